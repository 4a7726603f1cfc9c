// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

const workload = "spiffe://ci.example/ns/ci/sa/builder"

// newTrustDomain is an issuer at the present time, which go-spiffe's checks know
// no other than, that serves a bundle at /jwks.
func newTrustDomain(t *testing.T) *ci {
	c := newCI(t)
	c.clock = &testClock{now: time.Now()}
	c.publish(svidKey("a", &keyA().PublicKey))
	return c
}

func svidKey(kid string, key any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Use: "jwt-svid"}
}

func (c *ci) svidClaims() claims {
	now := c.clock.Now().Unix()
	return claims{"sub": workload, "aud": []string{audience}, "iat": now, "exp": now + 300}
}

func (c *ci) trustDomain(t *testing.T, change ...func(*identity.Source)) *identity.Authenticator {
	t.Helper()
	return c.authenticator(t, "spiffe", func(cfg *identity.Config) {
		cfg.Sources[0] = identity.Source{Name: "ci", Provider: "spiffe", TrustDomain: "ci.example", BundleEndpoint: c.URL + "/jwks"}
		for _, f := range change {
			f(&cfg.Sources[0])
		}
	})
}

func TestSPIFFEMapping(t *testing.T) {
	c := newTrustDomain(t)
	p := wantAccepted(t, c.trustDomain(t), sign(t, c.svidClaims()))
	if want := (certificate.Extensions{Issuer: "spiffe://ci.example", Subject: workload}); p.Extensions != want {
		t.Errorf("extensions %+v, want %+v", p.Extensions, want)
	}
	if p.SAN != workload || p.Run != workload || p.Issuer != "spiffe://ci.example" || !strings.HasPrefix(p.TokenID, "sha256:") {
		t.Errorf("SAN %q, run %q, issuer %q, token %q", p.SAN, p.Run, p.Issuer, p.TokenID)
	}
	if n := c.discoveries.Load(); n != 0 {
		t.Errorf("%d discoveries of a trust domain, which has none", n)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.publish(svidKey("e", &ec.PublicKey))
	wantAccepted(t, c.trustDomain(t), signAs(t, jose.ES384, ec, c.svidClaims(), map[string]any{"kid": "e", "typ": "JOSE"}))

	// SPIRE can be told to name an issuer; then it must be that one.
	named := c.trustDomain(t, func(s *identity.Source) { s.Issuer = "https://spire.ci.example" })
	c.publish(svidKey("a", &keyA().PublicKey))
	p = wantAccepted(t, named, sign(t, c.svidClaims().with("iss", "https://spire.ci.example")))
	if p.Issuer != "https://spire.ci.example" || p.Extensions.Issuer != p.Issuer {
		t.Errorf("issuer %q", p.Issuer)
	}
	wantRefused(t, named, sign(t, c.svidClaims()), identity.ReasonUnknownIssuer)
	wantRefused(t, c.trustDomain(t), sign(t, c.svidClaims().with("iss", "https://spire.ci.example")), identity.ReasonUnknownIssuer)
}

func TestSPIFFERefuses(t *testing.T) {
	c := newTrustDomain(t)
	a := c.trustDomain(t)
	base := c.svidClaims()
	now := c.clock.Now().Unix()
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"another trust domain":      {base.with("sub", "spiffe://evil.example/ns/ci/sa/builder"), identity.ReasonUnknownIssuer},
		"a longer trust domain":     {base.with("sub", "spiffe://ci.example.evil/ns/ci/sa/builder"), identity.ReasonUnknownIssuer},
		"the trust domain itself":   {base.with("sub", "spiffe://ci.example"), identity.ReasonMissingClaim},
		"an empty path segment":     {base.with("sub", "spiffe://ci.example/ns//sa"), identity.ReasonUnknownIssuer},
		"a path that climbs":        {base.with("sub", "spiffe://ci.example/ns/../sa"), identity.ReasonUnknownIssuer},
		"a slash at the end":        {base.with("sub", workload+"/"), identity.ReasonUnknownIssuer},
		"upper case in the domain":  {base.with("sub", "spiffe://CI.example/ns/ci/sa/builder"), identity.ReasonUnknownIssuer},
		"a query":                   {base.with("sub", workload+"?x"), identity.ReasonUnknownIssuer},
		"no SPIFFE ID":              {base.with("sub", "builder"), identity.ReasonUnknownIssuer},
		"no subject":                {base.without("sub"), identity.ReasonUnknownIssuer},
		"subject of another type":   {base.with("sub", []string{workload}), identity.ReasonUnknownIssuer},
		"an issuer that is empty":   {base.with("iss", ""), identity.ReasonUnknownIssuer},
		"an issuer of another type": {base.with("iss", 7), identity.ReasonUnknownIssuer},
		"no expiry":                 {base.without("exp"), identity.ReasonMissingClaim},
		"expired":                   {base.with("iat", now-400).with("exp", now-100), identity.ReasonExpired},
		"two audiences":             {base.with("aud", []string{audience, "other"}), identity.ReasonWrongAudience},
		"another audience":          {base.with("aud", []string{"spiffe://ci.example/other"}), identity.ReasonWrongAudience},
		"a person's":                {base.with("email", "jane@ci.example"), identity.ReasonHumanToken},
		"the domain's name as issuer, another's subject": {base.with("iss", "spiffe://ci.example").with("sub", "spiffe://evil.example/x"), identity.ReasonContradiction},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
	wantRefused(t, a, signAs(t, jose.RS256, keyB(), base, map[string]any{"kid": "a"}), identity.ReasonBadSignature)
	wantRefused(t, a, signAs(t, jose.PS256, keyA(), base, map[string]any{"kid": "a"}), identity.ReasonWrongAlgorithm)
	// go-spiffe reads the token, too, and knows its types by their exact names.
	wantRefused(t, a, signAs(t, jose.RS256, keyA(), base, map[string]any{"kid": "a", "typ": "jwt"}), identity.ReasonMalformed)
}

// TestSPIFFEBundles: where keys come from, and what no bundle is.
func TestSPIFFEBundles(t *testing.T) {
	c := newTrustDomain(t)
	token := sign(t, c.svidClaims())
	good, err := json.Marshal(svidKey("a", &keyA().PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	forX509 := strings.Replace(string(good), "jwt-svid", "sig", 1)
	file := filepath.Join(t.TempDir(), "bundle.json")
	fromFile := func(s *identity.Source) { s.BundleEndpoint, s.BundleFile = "", file }
	for name, tc := range map[string]struct {
		bundle string
		good   bool
	}{
		"a bundle":                 {`{"keys":[` + string(good) + `],"spiffe_sequence":2,"spiffe_refresh_hint":60}`, true},
		"with a kind of tomorrow":  {`{"keys":[` + string(good) + `,` + strings.Replace(forX509, `"a"`, `"z"`, 1) + `]}`, true},
		"only keys of another use": {`{"keys":[` + forX509 + `]}`, false},
		"no keys":                  {`{"keys":[]}`, false},
		"no list":                  {`{}`, false},
		"two lists":                {`{"keys":[` + string(good) + `],"keys":[]}`, false},
		"no JSON":                  {`<html>`, false},
		"more keys than there are": {`{"keys":[` + strings.Repeat(string(good)+",", 64) + string(good) + `]}`, false},
		"larger than a bundle":     {`{"keys":[` + string(good) + `],"x":"` + strings.Repeat("x", 256<<10) + `"}`, false},
		"nested ten thousand deep": {`{"keys":[` + string(good) + `],"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.setMisbehave(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tc.bundle)) })
			if err := os.WriteFile(file, []byte(tc.bundle), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, a := range []*identity.Authenticator{c.trustDomain(t), c.trustDomain(t, fromFile)} {
				if tc.good {
					wantAccepted(t, a, token)
				} else {
					wantUndecided(t, a, token)
				}
			}
		})
	}
	t.Run("a file that is not there", func(t *testing.T) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		wantUndecided(t, c.trustDomain(t, fromFile), token)
	})
}

// TestSPIFFERefresh: a key that leaves the bundle dies, a new one is found.
func TestSPIFFERefresh(t *testing.T) {
	c := newTrustDomain(t)
	a := c.trustDomain(t)
	wantAccepted(t, a, sign(t, c.svidClaims()))
	c.publish(svidKey("b", &keyB().PublicKey))
	c.clock.advance(10 * time.Second)
	wantAccepted(t, a, signAs(t, jose.RS256, keyB(), c.svidClaims(), map[string]any{"kid": "b"}))
	wantRefused(t, a, sign(t, c.svidClaims()), identity.ReasonUnknownKey)
}
