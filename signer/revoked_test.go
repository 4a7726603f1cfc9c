// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
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

// RevokedKey revokes the key with this base64 of its SubjectPublicKeyInfo.
func (r revokedBy) RevokedKey(_ context.Context, key crypto.PublicKey) (string, bool) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || string(r) != base64.StdEncoding.EncodeToString(spki) {
		return "", false
	}
	return "the key was revoked: taken over", true
}

func revokedKey(t *testing.T, key crypto.PublicKey) revokedBy {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return revokedBy(base64.StdEncoding.EncodeToString(spki))
}

// refusedAsRevoked says whether an error and its record are a refusal for a
// revocation, before anything was begun.
func refusedAsRevoked(t *testing.T, w *world, err error) {
	t.Helper()
	var refused *signer.Refused
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "taken over") {
		t.Fatalf("error %v", err)
	}
	last := w.audit[len(w.audit)-1]
	if last.Decision != signer.DecisionRefused || last.Stage != "policy" || !strings.Contains(strings.Join(last.Reasons, " "), "taken over") || last.Requester.SAN != workflow {
		t.Errorf("audit: %+v", last)
	}
	if len(w.logs[0].entries)+len(w.intents) != 0 {
		t.Error("something was begun")
	}
}

// TestRevokedSigningKey: a revoked long-lived key signs nothing, and a request
// that it would sign a part of gets nothing at all.
func TestRevokedSigningKey(t *testing.T) {
	for _, modes := range []string{"  modes: [certificate, key]\n", "  modes: [key]\n"} {
		w := newWorld(t)
		w.withKeys(modes)
		w.revocations = revokedKey(t, w.keys["release"].Signatures.Public())
		s := w.start()
		_, err := s.Sign(t.Context(), goodRequest())
		refusedAsRevoked(t, w, err)
		x, err := s.DryRun(t.Context(), goodRequest())
		if err != nil || x.Allowed || x.Rule != "" || !strings.Contains(strings.Join(x.Reasons, " "), "taken over") {
			t.Errorf("dry run: %+v, %v", x, err)
		}
		// The key of attestations is another one.
		attestation := goodRequest()
		attestation.PredicateType, attestation.Predicate = "https://spdx.dev/Document", []byte(`{"spdxVersion": "SPDX-2.3"}`)
		if _, err := s.Attest(t.Context(), attestation); err != nil {
			t.Errorf("an attestation by the other key: %v", err)
		}
	}
}

// TestRevokedDryRun: what is revoked is an answer of a dry run like any refusal,
// and recorded as a dry run.
func TestRevokedDryRun(t *testing.T) {
	for name, revoked := range map[string]revokedBy{"the identity": workflow, "the artifact": revokedBy(theImage)} {
		w := newWorld(t)
		w.revocations = revoked
		x, err := w.start().DryRun(t.Context(), goodRequest())
		if err != nil || x.Allowed || x.Rule != "" || len(x.Reasons) != 1 || !strings.Contains(x.Reasons[0], "taken over") {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		if last := w.audit[len(w.audit)-1]; last.Decision != signer.DecisionDryRun || len(last.Reasons) != 1 {
			t.Errorf("%s: audit %+v", name, last)
		}
	}
}

// TestRevokedCertify: a revoked identity gets no certificate on request, and
// nobody gets one on a revoked key.
func TestRevokedCertify(t *testing.T) {
	for _, name := range []string{"the identity", "the key"} {
		d := newDesk(t, certifyingPolicy)
		revoked := revokedBy(workflow)
		if name == "the key" {
			revoked = revokedKey(t, d.key.Public())
		}
		d.start(t, certifyingPolicy, revoked)
		_, err := d.ask(t, "good", nil)
		refusedAsRevoked(t, d.world, err)
		if d.created+len(d.issued) != 0 {
			t.Errorf("%s: a certificate was made", name)
		}
	}
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
