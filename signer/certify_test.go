// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

const certifyingPolicy = testPolicy + `
- name: acme-certificates
  identity: github
  actions: [certificate]
  conditions:
  - {name: own-repository, expression: claims.repository == "acme/app", message: only acme's own repository}
`

// desk is a world whose service issues certificates on request.
type desk struct {
	*world
	s       *signer.Service
	key     *ecdsa.PrivateKey
	issued  []signer.IssuedCertificate
	created int // certificates that the authority made
}

func newDesk(t *testing.T, policyText string) *desk {
	t.Helper()
	d := &desk{world: newWorld(t)}
	var err error
	if d.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	d.start(t, policyText, nil)
	return d
}

// start makes the service, with revocations or nil.
func (d *desk) start(t *testing.T, policyText string, gone signer.Revocations) {
	t.Helper()
	p, err := policy.ParseSigningPolicy([]byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	d.s, err = signer.New(signer.Config{
		Origin: origin, Authenticator: nobody{}, Registry: d, Policy: p, Certificates: d, Timestamper: d, Logs: []signer.Log{d.logs[0]},
		Verifier: d, Journal: d, Audit: d, OnRequest: &signer.OnRequest{Authenticator: d.world, Certificates: d, Record: d},
		Revocations: gone,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nobody is the authenticator of the signing flow; certificates have their own.
type nobody struct{}

func (nobody) Authenticate(context.Context, string) (signer.Principal, error) {
	return signer.Principal{}, errors.New("the wrong authenticator was asked")
}

func (d *desk) Issue(ctx context.Context, req signer.CertificateRequest) (signer.Certificate, error) {
	c, err := d.world.Issue(ctx, req)
	if err == nil {
		d.created++
	}
	return c, err
}

func (d *desk) UseToken(_ context.Context, use signer.TokenUse, request string) error {
	return d.count(use, request)
}

func (d *desk) RecordCertificate(_ context.Context, c signer.IssuedCertificate, ev signer.AuditEvent) error {
	return d.do("record", func() error {
		d.issued, d.audit = append(d.issued, c), append(d.audit, ev)
		return nil
	})
}

func (d *desk) ask(t *testing.T, token string, prove func(signer.Principal) (crypto.PublicKey, error)) (signer.Certificate, error) {
	t.Helper()
	if prove == nil {
		prove = func(signer.Principal) (crypto.PublicKey, error) { return d.key.Public(), nil }
	}
	return d.s.Certify(t.Context(), signer.CertifyRequest{Token: token, Prove: prove, Origin: signer.Origin{RequestID: "r", RemoteAddr: "192.0.2.1:1"}})
}

func TestCertify(t *testing.T) {
	d := newDesk(t, certifyingPolicy)
	// When the authority is asked the grant is recorded, and when a certificate
	// is recorded nobody has it yet.
	d.before = func(port string) {
		if port == "ca" && (len(d.audit) != 1 || d.audit[0].Decision != signer.DecisionGranted) {
			t.Errorf("the authority is asked, and recorded is %+v", d.audit)
		}
	}
	var provedFor signer.Principal
	cert, err := d.ask(t, "good", func(p signer.Principal) (crypto.PublicKey, error) {
		provedFor = p
		return d.key.Public(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if provedFor.Subject != "repo:acme/app" {
		t.Errorf("possession was asked for %+v", provedFor)
	}
	leaf, err := x509.ParseCertificate(cert.Leaf)
	if err != nil || leaf.URIs[0].String() != workflow {
		t.Fatalf("%v, %v", leaf.URIs, err)
	}
	want := signer.IssuedCertificate{ID: sha256.Sum256(leaf.RawTBSCertificate), Expires: leaf.NotAfter}
	if len(d.issued) != 1 || d.issued[0] != want {
		t.Errorf("recorded %+v, want %+v", d.issued, want)
	}
	spki, err := x509.MarshalPKIXPublicKey(d.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	key := sha256.Sum256(spki)
	if len(d.audit) != 2 {
		t.Fatalf("%d events", len(d.audit))
	}
	for i, decision := range []string{signer.DecisionGranted, signer.DecisionIssued} {
		ev := d.audit[i]
		if ev.Decision != decision || ev.Action != signer.ActionCertificate || ev.Rule != "acme-certificates" || ev.Requester.SAN != workflow ||
			ev.PublicKey != hex.EncodeToString(key[:]) || ev.RequestID != "r" || !strings.HasPrefix(ev.PolicyDigest, "sha256:") {
			t.Errorf("event %d: %+v", i, ev)
		}
	}
	if d.audit[0].Serial != "" || d.audit[1].Serial != "01" {
		t.Errorf("serials %q and %q", d.audit[0].Serial, d.audit[1].Serial)
	}
}

// TestCertifyRefuses: no certificate is made, and the refusal is recorded with
// its reason, or is one of a flood.
func TestCertifyRefuses(t *testing.T) {
	unproven := fmt.Errorf("%w: the signature is not the key's", signer.ErrBadRequest)
	for name, tc := range map[string]struct {
		policy, token, says string
		prove               func(signer.Principal) (crypto.PublicKey, error)
		stage               string
	}{
		"bad token":         {certifyingPolicy, "bad", "bad_signature", nil, "authenticate"},
		"no rule for it":    {testPolicy, "good", "action is", nil, "policy"},
		"another job":       {strings.Replace(certifyingPolicy, `claims.repository == "acme/app", message: only`, `claims.repository == "acme/x", message: only`, 1), "good", "only acme's own", nil, "policy"},
		"no possession":     {certifyingPolicy, "good", "not the key's", func(signer.Principal) (crypto.PublicKey, error) { return nil, unproven }, "request"},
		"no key of X.509's": {certifyingPolicy, "good", "public key", func(signer.Principal) (crypto.PublicKey, error) { return "PGP", nil }, "request"},
	} {
		d := newDesk(t, tc.policy)
		cert, err := d.ask(t, tc.token, tc.prove)
		if err == nil || cert.Leaf != nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
		if d.created != 0 || len(d.issued) != 0 {
			t.Errorf("%s: a certificate was made", name)
		}
		if len(d.audit) != 1 || d.audit[0].Decision != signer.DecisionRefused || d.audit[0].Stage != tc.stage || d.audit[0].Action != signer.ActionCertificate ||
			!strings.Contains(strings.Join(d.audit[0].Reasons, " "), tc.says) {
			t.Errorf("%s: recorded %+v", name, d.audit)
		}
	}
}

// TestCertifyIsRecordedFirst: what cannot be recorded does not happen, and what
// happened and could not be recorded is not handed out.
func TestCertifyIsRecordedFirst(t *testing.T) {
	for port, created := range map[string]int{"audit": 0, "record": 1, "ca": 0} {
		d := newDesk(t, certifyingPolicy)
		d.down[port] = errors.New("the disk is full")
		cert, err := d.ask(t, "good", nil)
		if err == nil || cert.Leaf != nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("%s is down: %v", port, err)
		}
		if d.created != created || len(d.issued) != 0 {
			t.Errorf("%s is down: %d certificates made, %d recorded", port, d.created, len(d.issued))
		}
	}
}

// TestCertifyFlood: bad tokens at this door share the bound of the other one.
func TestCertifyFlood(t *testing.T) {
	d := newDesk(t, certifyingPolicy)
	told := 0
	for range 2 * burst {
		_, err := d.ask(t, "bad", nil)
		var refused *signer.Unauthenticated
		switch {
		case errors.As(err, &refused):
			told++
		case !errors.Is(err, signer.ErrTooManyRefusals):
			t.Fatal(err)
		}
	}
	if told > burst+5 || len(d.audit) != told {
		t.Errorf("%d of %d were told, %d recorded", told, 2*burst, len(d.audit))
	}
	if _, err := d.ask(t, "good", nil); err != nil {
		t.Errorf("a job: %v", err)
	}
}

func TestCertifyIsOffByDefault(t *testing.T) {
	w := newWorld(t)
	_, err := w.start().Certify(t.Context(), signer.CertifyRequest{Token: "good"})
	if !errors.Is(err, signer.ErrNoCertificates) || len(w.audit) != 0 {
		t.Errorf("%v, recorded %v", err, w.audit)
	}
}

func TestOnRequestIsComplete(t *testing.T) {
	d := newDesk(t, certifyingPolicy)
	for name, o := range map[string]signer.OnRequest{
		"authenticator": {Certificates: d, Record: d}, "authority": {Authenticator: d, Record: d}, "record": {Authenticator: d, Certificates: d},
	} {
		_, err := signer.New(signer.Config{
			Origin: origin, Authenticator: d, Registry: d, Policy: &policy.SigningPolicy{}, Certificates: d, Timestamper: d, Logs: []signer.Log{d.logs[0]},
			Verifier: d, Journal: d, Audit: d, OnRequest: &o,
		})
		if err == nil || !strings.Contains(err.Error(), "on request") {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestCertifyCountsUses: a token buys as many certificates as it serves other
// requests, the same key's among them.
func TestCertifyCountsUses(t *testing.T) {
	d := newDesk(t, certifyingPolicy)
	prove := func(signer.Principal) (crypto.PublicKey, error) { return d.key.Public(), nil }
	for range signer.DefaultMaxUses {
		if _, err := d.ask(t, "good", prove); err != nil {
			t.Fatal(err)
		}
	}
	_, err := d.ask(t, "good", prove)
	var replayed *signer.Replayed
	if !errors.As(err, &replayed) || d.created != signer.DefaultMaxUses {
		t.Errorf("%v, %d certificates", err, d.created)
	}
	if last := d.audit[len(d.audit)-1]; last.Decision != signer.DecisionRefused || last.Stage != "replay" {
		t.Errorf("recorded %+v", last)
	}
}
