// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// revokedBy revokes a SAN or a digest.
type revokedBy string

// Revoked implements signer.Revocations.
func (r revokedBy) Revoked(_ context.Context, p signer.Principal, digest attest.Digest) (string, bool) {
	if string(r) == p.SAN || string(r) == string(digest) {
		return string(r) + " was revoked: taken over", true
	}
	return "", false
}

// TestRevoked: a revoked identity and a revoked artifact get no signature and no
// attestation, whatever policy says, and the refusal is recorded with its reason.
func TestRevoked(t *testing.T) {
	attestation := goodRequest()
	attestation.PredicateType, attestation.Predicate = "https://spdx.dev/Document", []byte(`{"spdxVersion": "SPDX-2.3"}`)
	for name, tt := range map[string]struct {
		revoked revokedBy
		refused bool
	}{
		"the identity":     {workflow, true},
		"the artifact":     {revokedBy(theImage), true},
		"somebody else":    {"https://github.com/acme/other", false},
		"nobody (neutral)": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.revocations = tt.revoked
			s := w.start()
			for _, ask := range []func() error{
				func() error { _, err := s.Sign(t.Context(), goodRequest()); return err },
				func() error { _, err := s.Attest(t.Context(), attestation); return err },
			} {
				err := ask()
				var refused *signer.Refused
				if errors.As(err, &refused) != tt.refused || (err != nil) != tt.refused {
					t.Fatalf("error %v", err)
				}
				last := w.audit[len(w.audit)-1]
				if tt.refused && (last.Decision != signer.DecisionRefused || !strings.Contains(strings.Join(last.Reasons, " "), "taken over") || last.Requester.SAN != workflow) {
					t.Errorf("audit: %+v", last)
				}
			}
			if tt.refused && len(w.logs[0].entries)+len(w.intents) != 0 {
				t.Error("something was begun")
			}
			w.check()
		})
	}
}
