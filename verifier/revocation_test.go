// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// revocations is a list with one line, issued at a time.
func revocations(t testing.TB, issued time.Time, kind, value string, since *time.Time) *trust.Revocations {
	t.Helper()
	doc, err := json.Marshal(map[string]any{
		"mediaType": trust.RevocationsMediaType, "version": 7, "issued": issued,
		"revocations": []trust.Revocation{{Kind: kind, Value: value, Reason: "build agent was compromised", Revoked: issued, Since: since}},
	})
	must(t, err)
	list, err := trust.ParseRevocations(doc)
	must(t, err)
	return list
}

// TestRevoked: what is revoked counts for nothing, everything else as before, and the denial says why and when.
func TestRevoked(t *testing.T) {
	l := newLab(t)
	signature := l.signature(t, image)
	v := newVerifier(t, l, false)
	d, err := v.VerifyDigest(context.Background(), artifact, evidence(signature))
	must(t, err)
	if !d.Allowed() {
		t.Fatalf("before any revocation: %v", d.Reasons())
	}
	san, signed := d.Evidence[0].Signer, d.Evidence[0].SignedAt
	before, after := signed.Add(-time.Hour), signed.Add(time.Second)
	other := attest.DigestOf([]byte("another image"))
	logKey := "sha256:" + d.Evidence[0].LogID
	for name, tt := range map[string]struct {
		kind, value string
		since       *time.Time
		denied      bool
	}{
		"this artifact":                    {"digest", string(image), nil, true},
		"another artifact":                 {"digest", string(other), nil, false},
		"the signer":                       {"identity", san, nil, true},
		"the signer, since before":         {"identity", san, &before, true},
		"the signer, since that moment":    {"identity", san, &signed, true},
		"the signer, since afterwards":     {"identity", san, &after, false},
		"everybody below the organisation": {"identity", "https://github.com/acme/*", nil, true},
		"a neighbour of the organisation":  {"identity", "https://github.com/acm/*", nil, false},
		"a longer name":                    {"identity", san + "/x", nil, false},
		"a shorter name":                   {"identity", san[:len(san)-1], nil, false},
		"the log's key":                    {"key", logKey, nil, true},
		"the log's key, since afterwards":  {"key", logKey, &after, false},
		"the log's key as a digest":        {"digest", logKey, nil, false},
	} {
		list := revocations(t, clockAtNow(), tt.kind, tt.value, tt.since)
		d, err := newVerifier(t, l, false, verifier.WithRevocations(list, 0)).VerifyDigest(context.Background(), artifact, evidence(signature))
		must(t, err)
		if d.Allowed() == tt.denied {
			t.Errorf("%s: allowed %t, %v", name, d.Allowed(), d.Reasons())
		}
		if text := strings.Join(d.Reasons(), "\n"); tt.denied {
			if d.Evidence[0].Reason != verifier.ReasonRevoked || !strings.Contains(text, "build agent was compromised") || !strings.Contains(text, "revoked on "+clockAtNow().UTC().Format(time.RFC3339)) {
				t.Errorf("%s: reason %q, %s", name, d.Evidence[0].Reason, text)
			}
		}
	}
}

// TestRevokedOnce: whatever rests on one revocation is one reason, and of a revoked artifact the only one.
func TestRevokedOnce(t *testing.T) {
	l := newLab(t)
	found := evidence(l.signature(t, image), l.sbom(t, image, attestorSAN, attestorIssuer), []byte("junk"))
	list := revocations(t, clockAtNow(), "digest", string(image), nil)
	d, err := newVerifier(t, l, true, verifier.WithRevocations(list, 0)).VerifyDigest(context.Background(), artifact, found)
	must(t, err)
	want := "digest " + string(image) + " was revoked on " + clockAtNow().UTC().Format(time.RFC3339) + ": build agent was compromised ("
	if reasons := d.Reasons(); len(reasons) != 1 || !strings.HasPrefix(reasons[0], want) || !strings.HasSuffix(reasons[0], " bundles do not count)") {
		t.Errorf("reasons %q", reasons)
	}
	list = revocations(t, clockAtNow(), "identity", attestorSAN, nil)
	d, err = newVerifier(t, l, true, verifier.WithRevocations(list, 0)).VerifyDigest(context.Background(), artifact, found)
	must(t, err)
	text := strings.Join(d.Reasons(), "\n")
	if !strings.Contains(text, "(1 bundle does not count)") || !strings.Contains(text, "sbom") || !strings.Contains(text, "does not count: ") {
		t.Errorf("of a revoked attestor all that is missing is said, too: %s", text)
	}
}

// TestRevokedAttestor: what the attestor said does not count, signatures of others do.
func TestRevokedAttestor(t *testing.T) {
	l := newLab(t)
	found := evidence(l.signature(t, image), l.sbom(t, image, attestorSAN, attestorIssuer))
	revoked := verifier.WithRevocations(revocations(t, clockAtNow(), "identity", attestorSAN, nil), 0)
	for name, tt := range map[string]struct {
		v    *verifier.Verifier
		want bool
	}{
		"an SBOM is demanded, none is revoked": {newVerifier(t, l, true), true},
		"an SBOM is demanded":                  {newVerifier(t, l, true, revoked), false},
		"only a signature is":                  {newVerifier(t, l, false, revoked), true},
	} {
		d, err := tt.v.VerifyDigest(context.Background(), artifact, found)
		must(t, err)
		if d.Allowed() != tt.want {
			t.Errorf("%s: allowed %t, %v", name, d.Allowed(), d.Reasons())
		}
	}
}

// TestRevokedKey: a long-lived key, at any time: a signature without a proven time is as good as one of now.
func TestRevokedKey(t *testing.T) {
	l := newLab(t)
	way := p256(t)
	blob, err := verifier.ParseBlob(string(image))
	must(t, err)
	s := signing{payload: statement(t, image, attest.PredicateSignature, "{}"), v2: true}
	untimed := l.signByKey(t, way, s).encode(t)
	s.at = clockAtNow().Add(-time.Minute)
	timed := l.signByKey(t, way, s).encode(t)
	der := spki(t, way.key.Public())
	want, err := verifier.NewKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	must(t, err)
	id := fmt.Sprintf("sha256:%x", sha256.Sum256(der))
	future := clockAtNow().Add(time.Hour)
	for name, tt := range map[string]struct {
		list   *trust.Revocations
		bundle []byte
		denied bool
	}{
		"no list":                  {nil, untimed, false},
		"the key":                  {revocations(t, clockAtNow(), "key", id, nil), timed, true},
		"another key":              {revocations(t, clockAtNow(), "key", "sha256:"+strings.Repeat("0", 64), nil), untimed, false},
		"the artifact":             {revocations(t, clockAtNow(), "digest", string(image), nil), untimed, true},
		"since later":              {revocations(t, clockAtNow(), "key", id, &future), timed, false},
		"since later, unproven":    {revocations(t, clockAtNow(), "key", id, &future), untimed, true},
		"an identity, in key mode": {revocations(t, clockAtNow(), "identity", "https://github.com/acme/*", nil), untimed, false},
	} {
		c, err := verifier.NewCrypto(newRoot(t, l), verifier.WithClock(clockAtNow), verifier.WithRevocations(tt.list, 0))
		must(t, err)
		d, err := c.VerifyBundleWithKey(context.Background(), blob, verifier.Evidence{Origin: "b", Bundle: tt.bundle}, want)
		must(t, err)
		if d.Allowed() == tt.denied {
			t.Errorf("%s: allowed %t: %v", name, d.Allowed(), d.Reasons())
		}
	}
}

// TestStaleRevocations: with a maximum age, an old list or none is no decision, and without one it is used.
func TestStaleRevocations(t *testing.T) {
	l := newLab(t)
	signature := l.signature(t, image)
	old := revocations(t, clockAtNow().Add(-25*time.Hour), "digest", string(attest.DigestOf(nil)), nil)
	for name, tt := range map[string]struct {
		list  *trust.Revocations
		age   time.Duration
		stale bool
	}{
		"old, any age":    {old, 0, false},
		"old, a day":      {old, 24 * time.Hour, true},
		"old, two days":   {old, 48 * time.Hour, false},
		"none, any age":   {nil, 0, false},
		"none, two days":  {nil, 48 * time.Hour, true},
		"none, a century": {nil, 100 * 365 * 24 * time.Hour, true},
	} {
		d, err := newVerifier(t, l, false, verifier.WithRevocations(tt.list, tt.age)).VerifyDigest(context.Background(), artifact, evidence(signature))
		if stale := errors.Is(err, verifier.ErrStaleRevocations); stale != tt.stale || d.Allowed() == tt.stale {
			t.Errorf("%s: allowed %t, %v", name, d.Allowed(), err)
		}
		c, err := verifier.NewCrypto(newRoot(t, l), verifier.WithClock(clockAtNow), verifier.WithRevocations(tt.list, tt.age))
		must(t, err)
		if _, err := c.Facts(image, signature); errors.Is(err, verifier.ErrStaleRevocations) != tt.stale {
			t.Errorf("%s: facts: %v", name, err)
		}
	}
	if _, err := verifier.NewCrypto(newRoot(t, l), verifier.WithRevocations(nil, -1)); err == nil {
		t.Error("a negative age")
	}
}
