// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// What a request brings must be about what it is handed in for. Many documents say
// nothing of that; of those that do, the digest that they name must be that of the
// statement's subject, of the index that the subject is in, or of one of its
// platforms: a scanner that is given a tag names the index and looks into the image
// of one platform. Gates count by the same rule, so that nothing is attested that
// could never count.

// kinship asks the registry what the digests that documents name have to do with
// the subjects of a request: once for the same, and not without end.
type kinship struct {
	registry Registry
	known    map[string][]attest.Digest
}

// maxKin bounds the questions of one request. One that is in order has one for each
// document at most.
const maxKin = maxDocuments

func (s *Service) kinship() kinship {
	return kinship{registry: s.cfg.Registry, known: make(map[string][]attest.Digest)}
}

func (k kinship) of(ctx context.Context, subject oci.Artifact, named []attest.Digest) ([]attest.Digest, error) {
	question := fmt.Sprint(subject.Digest, named)
	if kin, known := k.known[question]; known {
		return kin, nil
	}
	if len(k.known) == maxKin {
		return nil, fmt.Errorf("%w: more than %d other digests are named (hint: attest the documents one by one)", ErrBadRequest, maxKin)
	}
	kin, err := k.registry.Relatives(ctx, subject, named)
	if err != nil {
		return nil, fmt.Errorf("look up what a document is about: %w", err)
	}
	k.known[question] = kin
	return kin, nil
}

// isAbout refuses a document that names another artifact, and returns the
// relatives of the subject that it names. a is what the request names.
func (k kinship) isAbout(ctx context.Context, a, subject oci.Artifact, ev attest.Evidence) ([]attest.Digest, error) {
	if ev.About(subject.Digest) == nil {
		return nil, nil
	}
	names, _ := ev.Names()
	if slices.Contains(names, string(a.Digest)) { // the subject is a platform of it
		return []attest.Digest{a.Digest}, nil
	}
	named := make([]attest.Digest, len(names))
	for i, name := range names {
		named[i] = attest.Digest(name)
	}
	kin, err := k.of(ctx, subject, named)
	if err != nil {
		return nil, err
	}
	if err := ev.About(append([]attest.Digest{subject.Digest}, kin...)...); err != nil {
		return nil, fmt.Errorf("%w: %w (hint: %s)", ErrBadRequest, err, HintOtherArtifact(ev, subject.Digest))
	}
	return kin, nil
}

// HintOtherArtifact says to whoever brings a document about another artifact what to do.
func HintOtherArtifact(ev attest.Evidence, digest attest.Digest) string {
	do := "scan"
	switch {
	case ev.SBOM != nil:
		do = "make the SBOM of"
	case ev.Check != nil:
		do = "check"
	}
	return fmt.Sprintf("%s %s, the digest that the request is about", do, digest)
}

// evidenceIn is what a predicate says that somebody wrote. One that cannot be read
// says nothing, and counts for nothing.
func evidenceIn(predicateType string, predicate []byte) attest.Evidence {
	if !attest.IsEvidence(predicateType) {
		return attest.Evidence{}
	}
	ev, err := attest.ReadEvidence(predicateType, predicate)
	if err != nil {
		return attest.Evidence{}
	}
	return ev
}
