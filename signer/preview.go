// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Preview is what a service with the default settings would make of a document.
type Preview struct {
	// Permitted is the predicate type that a rule has to allow.
	Permitted string
	// VEX: the rule has to allow OpenVEX, too.
	VEX bool
	// PredicateType and Predicate are those of the statement, and Evidence is what
	// policy reads in it.
	PredicateType string
	Predicate     []byte
	Evidence      attest.Evidence
	// File is what the document itself says: its places are those of the file, not
	// of the predicate that it is wrapped in.
	File attest.Evidence
}

// PreviewDocument reads a document as Sign would, for whoever tries a policy
// without a service. Errors are ErrBadRequest.
func PreviewDocument(d Document) (Preview, error) {
	var s Service
	s.cfg.Origin = "https://preview.invalid"
	c, err := s.recogniseOne(oci.Artifact{Registry: "preview.invalid", Repository: "preview", Digest: attest.DigestOf(nil)}, d)
	if err != nil {
		return Preview{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	ev, err := attest.ReadEvidence(c.PredicateType, c.Predicate)
	if err != nil {
		return Preview{}, fmt.Errorf("%w: %s: %w", ErrBadRequest, c.name, err)
	}
	return Preview{Permitted: c.permitted(), VEX: c.isVEX(), PredicateType: c.PredicateType, Predicate: c.Predicate, Evidence: ev, File: c.Evidence}, nil
}

// ErrClaimsLost says that what a job claims of its build would be lost.
var ErrClaimsLost = errNoProvenance
