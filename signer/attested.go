// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// Who brings documents is told what became of each: which of them is the failed
// test, which scan has scanned nothing, where each is logged. It is part of
// answers, and of no receipt that is kept: the same signature is the answer to
// another request with other documents.

// AttestedDocument is what became of one document of a request, about one artifact.
type AttestedDocument struct {
	Name          string        `json:"name" doc:"as the request calls it"`
	PredicateType string        `json:"predicateType" doc:"of the statement"`
	Kind          string        `json:"kind,omitempty" doc:"what gates read it as: sbom, scan, vex, test, lint, …; empty: no evidence"`
	Summary       string        `json:"summary,omitempty" doc:"what it says, in words"`
	Subject       attest.Digest `json:"subject" doc:"digest of what the statement is about"`
	Platform      string        `json:"platform,omitempty" doc:"what the index says that the subject is for; empty: the subject is what the request names"`
	Refused       bool          `json:"refused,omitempty" doc:"in a dry run: policy does not let the job attest it, so that it counts for nothing"`
	LogIndex      *int64        `json:"logIndex,omitempty" doc:"global index of its log entry; none in a dry run"`
}

// attestedAs says what becomes of a charge.
func (c *charge) attestedAs() AttestedDocument {
	d := policy.Document{Digest: string(c.artifact.Digest)}
	ev := c.Evidence
	if ev.Kind == "" {
		ev = evidenceIn(c.PredicateType, c.Predicate)
	}
	said := AttestedDocument{Name: c.name, PredicateType: c.PredicateType, Subject: c.artifact.Digest, Platform: c.of}
	if ev.Kind != "" {
		document.Fill(&d, ev, c.kin...)
		said.Kind, said.Summary = d.Kind, d.Says()
	}
	return said
}

// attestedDocuments says it of all, in the order of the request; receipts are
// theirs, or none.
func attestedDocuments(charges []*charge, receipts []Receipt) []AttestedDocument {
	var all []AttestedDocument
	for i, c := range charges {
		said := c.attestedAs()
		if receipts != nil {
			said.LogIndex = &receipts[i].LogIndex
		}
		all = append(all, said)
	}
	return all
}

// platformOf is what an index says that one of its images is for.
func platformOf(images []oci.PlatformImage, a oci.Artifact) string {
	i := slices.IndexFunc(images, func(p oci.PlatformImage) bool { return p.Digest == a.Digest })
	if i < 0 {
		return ""
	}
	return images[i].Platform
}
