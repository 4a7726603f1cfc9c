// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Attest makes a signed statement of req.PredicateType about the artifact,
// through the same steps as Sign. It is signed by the service's attestor
// identity and not by the workflow's, which stands in the certificate's other
// extensions: stock cosign verify takes any bundle of an accepted identity for
// a signature, so a failed scan report must never carry the workflow's name.
func (s *Service) Attest(ctx context.Context, req Request) (Receipt, error) {
	req.Action = ActionAttest
	predicateType, err := attestationType(req.PredicateType)
	if err == nil {
		err = foreign(predicateType, req.Predicate)
	}
	if err != nil {
		// Only callers with a valid token get a record of their own.
		if _, refused := s.admit(ctx, req); refused != nil {
			return Receipt{}, refused
		}
		return Receipt{}, s.refuse(ctx, s.newEvent(req), stageRequest, err)
	}
	req.PredicateType = predicateType
	req.vex = carried{Document: attest.Document{PredicateType: predicateType, Predicate: req.Predicate}}.isVEX()
	return s.run(ctx, req, func(p Principal, a oci.Artifact, req Request) (draft, error) {
		if _, err := s.kinship().isAbout(ctx, a, a, evidenceIn(req.PredicateType, req.Predicate)); err != nil {
			return draft{}, fmt.Errorf("predicate: %w", err)
		}
		return s.draftAttestation(p, a, req)
	})
}

// attestationType spells out cosign's short names, so that policy and the
// statement see one and the same URI.
func attestationType(asked string) (string, error) {
	predicateType, err := attest.CanonicalPredicateType(asked)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if predicateType == attest.PredicateSignature {
		return "", fmt.Errorf("%w: predicate type %s is a signature, not an attestation (hint: hallmark sign)", ErrBadRequest, predicateType)
	}
	return predicateType, nil
}

// foreign refuses what only the service may say.
func foreign(predicateType string, predicate []byte) error {
	if err := attest.CheckForeign(predicateType, predicate); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return nil
}

func (s *Service) draftAttestation(p Principal, a oci.Artifact, req Request) (draft, error) {
	if s.cfg.Schemas != nil {
		if err := s.cfg.Schemas.Check(req.PredicateType, req.Predicate); err != nil {
			return draft{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
	st, err := attest.NewStatement(a.Digest, req.PredicateType, req.Predicate)
	if err != nil {
		return draft{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	payload, err := st.Encode()
	if err != nil {
		return draft{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	extensions := p.Extensions
	extensions.Issuer = s.cfg.Origin
	// On whose behalf. Some CI systems have no extension for it, and what the
	// service says by itself must not look like a workflow's word.
	extensions.BuildSignerURI = p.SAN
	if req.own {
		extensions.BuildSignerURI = AttestorSAN(s.cfg.Origin)
	}
	return draft{statement: payload, predicateType: req.PredicateType, san: AttestorSAN(s.cfg.Origin), extensions: extensions}, nil
}
