// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// Revocations says what must not be signed any more: what verifiers would refuse
// must not come into being.
type Revocations interface {
	// Revoked returns why a run's identity or an artifact is revoked now. It is
	// called for every request and does not block. Certificates on request are
	// for no artifact: digest is "".
	Revoked(ctx context.Context, p Principal, digest attest.Digest) (reason string, revoked bool)
	// RevokedKey returns why a key that would sign is revoked now.
	RevokedKey(ctx context.Context, key crypto.PublicKey) (reason string, revoked bool)
}

// refuseRevoked refuses a revoked identity and a revoked artifact, before policy
// is asked: no rule can overrule a revocation.
func (s *Service) refuseRevoked(ctx context.Context, p Principal, digest attest.Digest) error {
	if s.cfg.Revocations == nil {
		return nil
	}
	if reason, revoked := s.cfg.Revocations.Revoked(ctx, p, digest); revoked {
		return &Refused{Stage: stagePolicy, Reasons: []string{reason}}
	}
	return nil
}

// revoked says when and why an artifact was revoked.
func (s *Service) revoked(ctx context.Context, digest attest.Digest) (reason string, is bool) {
	if s.cfg.Revocations == nil {
		return "", false
	}
	return s.cfg.Revocations.Revoked(ctx, Principal{}, digest)
}

// refuseRevokedKey refuses to certify a revoked key.
func (s *Service) refuseRevokedKey(ctx context.Context, key crypto.PublicKey) error {
	if s.cfg.Revocations == nil {
		return nil
	}
	if reason, revoked := s.cfg.Revocations.RevokedKey(ctx, key); revoked {
		return &Refused{Stage: stagePolicy, Reasons: []string{reason}}
	}
	return nil
}

// refuseRevokedModes refuses to sign by a long-lived key that is revoked. All of
// the request is refused: half of what a rule grants is not what it grants.
func (s *Service) refuseRevokedModes(ctx context.Context, modes []string, action Action) error {
	for _, mode := range modes {
		name, byKey := strings.CutPrefix(mode, modeKeyPrefix)
		if !byKey {
			continue
		}
		if key := s.signingKey(name).of(action); key != nil {
			if err := s.refuseRevokedKey(ctx, key.Public()); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseRevokedIntent keeps a signature that a crash has left from being handed
// out when what it is of, or whose, has been revoked since. The intent stays: it
// is finished if the revocation is withdrawn.
func (s *Service) refuseRevokedIntent(ctx context.Context, in Intent) error {
	for _, p := range []Principal{{SAN: in.Requester.SAN, Subject: in.Requester.Subject}, {SAN: in.SAN}} {
		if err := s.refuseRevoked(ctx, p, in.Artifact.Digest); err != nil {
			return err
		}
	}
	return s.refuseRevokedModes(ctx, in.Modes, in.Action)
}
