// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// AttestDocuments attests the documents of a request and signs nothing else. It
// returns their receipts in the order of the documents, and of one document in
// the order of the platforms. Errors are those of Attest.
func (s *Service) AttestDocuments(ctx context.Context, req Request) ([]Receipt, error) {
	req.Action = ActionAttest
	ev := s.newEvent(req)
	principal, err := s.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.PredicateType != "" {
		if req.PredicateType, err = attestationType(req.PredicateType); err == nil {
			err = foreign(req.PredicateType, req.Predicate)
		}
		if err != nil {
			return nil, s.refuse(ctx, ev, stageRequest, err)
		}
	}
	ev.Requester = requesterOf(principal)
	artifact, err := s.find(ctx, ev, principal, req)
	if err != nil {
		return nil, err
	}
	ev.Digest = string(artifact.Digest)
	if err := s.refuseRevoked(ctx, principal, artifact.Digest); err != nil {
		return nil, s.refuse(ctx, ev, stagePolicy, err)
	}
	charges, err := s.charges(ctx, artifact, req)
	if err != nil {
		return nil, s.refuse(ctx, ev, stageEvidence, err)
	}
	receipts, err := s.attestAll(ctx, principal, req, charges)
	if err != nil {
		return nil, err
	}
	for i, attested := range attestedDocuments(charges, receipts) {
		receipts[i].Documents = []AttestedDocument{attested}
	}
	return receipts, nil
}

// charges are the statements that a request asks for: each document, or the
// predicate, about each subject.
func (s *Service) charges(ctx context.Context, a oci.Artifact, req Request) ([]*charge, error) {
	about, images, err := s.about(ctx, a, req)
	if err != nil {
		return nil, err
	}
	documents, err := s.recognise(a, req.Documents)
	if err != nil {
		return nil, err
	}
	if req.PredicateType != "" && req.Action == ActionAttest {
		documents = append(documents, carried{name: "predicate", Document: attest.Document{PredicateType: req.PredicateType, Predicate: req.Predicate}})
	}
	n := 0
	for _, d := range documents {
		n += len(about[d.platform])
	}
	if n > maxCharges {
		return nil, fmt.Errorf("%w: %d statements, at most %d in one request (hint: attest the platforms one by one)", ErrBadRequest, n, maxCharges)
	}
	kinship := s.kinship()
	var all []*charge
	for _, d := range documents {
		ev := d.Evidence
		if ev.Kind == "" {
			ev = evidenceIn(d.PredicateType, d.Predicate)
		}
		for _, subject := range about[d.platform] {
			c := &charge{carried: d, artifact: subject, of: platformOf(images, subject)}
			if c.kin, err = kinship.isAbout(ctx, a, subject, ev); err != nil {
				return nil, fmt.Errorf("%s: %w", d.name, err)
			}
			if err := ofSibling(a, subject, images, ev); err != nil {
				return nil, fmt.Errorf("%s: %w", d.name, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// maxCharges bounds the statements of one request.
const maxCharges = 64

// subjects are what the statements of a request are about.
func subjects(a oci.Artifact, images []oci.PlatformImage, platform string) ([]oci.Artifact, error) {
	picked, err := oci.Pick(a, images, platform)
	switch {
	case errors.Is(err, oci.ErrAmbiguous):
		return nil, fmt.Errorf("%w: platform %q: %w", ErrBadRequest, clip(platform), err)
	case err != nil:
		return nil, fmt.Errorf("platform %q: %w", clip(platform), err)
	}
	var all []oci.Artifact
	for _, i := range picked {
		all = append(all, i.Artifact)
	}
	return all, nil
}

// platformIndex is what Platform says for the index itself.
const platformIndex = "index"
