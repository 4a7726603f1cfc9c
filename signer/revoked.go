// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Revocations says what must not be signed any more: what verifiers would refuse
// must not come into being.
type Revocations interface {
	// Revoked returns why a run's identity or an artifact is revoked now. It is
	// called for every request and does not block.
	Revoked(ctx context.Context, p Principal, digest attest.Digest) (reason string, revoked bool)
}

// refuseRevoked refuses a revoked identity and a revoked artifact, before policy
// is asked: no rule can overrule a revocation.
func (s *Service) refuseRevoked(ctx context.Context, p Principal, a oci.Artifact) error {
	if s.cfg.Revocations == nil {
		return nil
	}
	if reason, revoked := s.cfg.Revocations.Revoked(ctx, p, a.Digest); revoked {
		return &Refused{Stage: stagePolicy, Reasons: []string{reason}}
	}
	return nil
}
