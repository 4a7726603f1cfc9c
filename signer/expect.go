// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"cmp"
	"context"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Expect tells whether a request that has been admitted may bring documents at
// all, so that hundreds of megabytes are not received for somebody whom no rule
// lets sign or attest: it resolves the artifact, and asks the policy about claims
// and artifact only. req.Documents have kinds and no content yet. A refusal is
// recorded as run records it. What Expect returns goes into the request in place
// of the Admission, which then does not ask the registry again.
func (s *Service) Expect(ctx context.Context, req Request) (*Admission, error) {
	if req.Action == ActionSign {
		req.PredicateType = attest.PredicateSignature
	}
	p, err := s.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	ev := s.newEvent(req)
	ev.Requester = requesterOf(p)
	a, err := s.find(ctx, ev, p, req)
	if err != nil {
		return nil, err
	}
	ev.Digest = string(a.Digest)
	if err := s.refuseRevoked(ctx, p, a.Digest); err != nil {
		return nil, s.refuse(ctx, ev, stagePolicy, err)
	}
	if refused := s.unexpected(p, a, req); refused != nil {
		return nil, s.refuse(ctx, ev, stagePolicy, refused)
	}
	return &Admission{token: req.Token, principal: p, image: req.Image, artifact: a}, nil
}

// unexpected is the refusal of a request whose documents no rule would let
// anybody attest; nil: they may be good.
func (s *Service) unexpected(p Principal, a oci.Artifact, req Request) error {
	in := s.policyInput(p, a, req)
	if req.Action == ActionSign {
		if s.cfg.Policy.Needs(in).Allowed {
			return nil
		}
		return refusedBy(s.cfg.Policy.Decide(in))
	}
	var last error
	for _, d := range req.Documents {
		// The index is what its images are asked for by, and their kind is another.
		in.Kind = kindAbout(a, cmp.Or(d.Platform, req.Platform))
		in.VEX = d.Kind == attest.EvidenceVEX
		for _, t := range typesOf([]Document{d}) {
			in.PredicateType = t
			decision := s.cfg.Policy.Decide(in)
			if _, granted := decision.Grant(); granted {
				return nil
			}
			last = refusedBy(decision)
		}
	}
	return last
}

// typesOf are the predicate types that documents may turn out to have.
func typesOf(documents []Document) []string {
	var all []string
	for _, d := range documents {
		types := attest.PredicateTypesOf(d.Kind)
		if len(types) == 0 { // the name of a format
			types = attest.PredicateTypesOf("")
		}
		for _, t := range types {
			if !slices.Contains(all, t) {
				all = append(all, t)
			}
		}
	}
	return all
}

// resolved is what a request's image is, if nobody has asked yet.
func (s *Service) resolved(ctx context.Context, req Request) (oci.Artifact, error) {
	if a := req.Admission; a != nil && a.image != "" && a.image == req.Image && a.token == req.Token {
		return a.artifact, nil
	}
	return s.resolve(ctx, req.Image)
}
