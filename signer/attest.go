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
	return s.run(ctx, req, s.draftAttestation)
}

func (s *Service) draftAttestation(p Principal, a oci.Artifact, req Request) (draft, error) {
	predicateType, err := attest.CanonicalPredicateType(req.PredicateType)
	if err != nil {
		return draft{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if predicateType == attest.PredicateSignature {
		return draft{}, fmt.Errorf("%w: predicate type %s is a signature, not an attestation (hint: hallmark sign)", ErrBadRequest, predicateType)
	}
	st, err := attest.NewStatement(a.Digest, predicateType, req.Predicate)
	if err != nil {
		return draft{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	payload, err := st.Encode()
	if err != nil {
		return draft{}, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	extensions := p.Extensions
	extensions.Issuer = s.cfg.Origin
	return draft{statement: payload, predicateType: predicateType, san: AttestorSAN(s.cfg.Origin), extensions: extensions}, nil
}
