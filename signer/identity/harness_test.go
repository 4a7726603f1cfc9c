// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

const (
	audience = "https://hallmark.corp.example"
	commitA  = "00000000000000000000000000000000000000aa"
	commitB  = "00000000000000000000000000000000000000bb"
	commitC  = "00000000000000000000000000000000000000cc"
)

// start is the time at which all tests begin.
var start = time.Unix(1_750_000_000, 0)

// keyA and keyB are made once; RSA keys are slow to find.
var (
	keyA = sync.OnceValue(newRSA)
	keyB = sync.OnceValue(newRSA)
)

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// testClock is a present that only moves when told.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ci is a real issuer on loopback: discovery and keys, counted, and able to
// misbehave.
type ci struct {
	*httptest.Server
	clock *testClock

	discoveries, keyFetches atomic.Int64

	mu sync.Mutex
	// keys is the published set.
	keys jose.JSONWebKeySet
	// misbehave, when set, answers instead.
	misbehave http.HandlerFunc
}

func newCI(t testing.TB) *ci {
	c := &ci{clock: &testClock{now: start}}
	c.publish(public("a", &keyA().PublicKey))
	c.Server = httptest.NewServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func public(kid string, key any) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig"}
}

func (c *ci) publish(keys ...jose.JSONWebKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = jose.JSONWebKeySet{Keys: keys}
}

func (c *ci) setMisbehave(h http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.misbehave = h
}

func (c *ci) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	misbehave, keys := c.misbehave, c.keys
	c.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		c.discoveries.Add(1)
	case "/jwks":
		c.keyFetches.Add(1)
	}
	switch {
	case misbehave != nil:
		misbehave(w, r)
	case r.URL.Path == "/jwks":
		_ = json.NewEncoder(w).Encode(keys)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": c.URL, "jwks_uri": c.URL + "/jwks"})
	default:
		http.NotFound(w, r)
	}
}

// authenticator returns one whose only source is this issuer; change may edit
// the configuration.
func (c *ci) authenticator(t testing.TB, provider string, change ...func(*identity.Config)) *identity.Authenticator {
	t.Helper()
	cfg := identity.Config{
		Audience: audience, Clock: c.clock.Now,
		Sources: []identity.Source{{Name: "ci", Provider: provider, Issuer: c.URL, URL: "https://ci.example"}},
	}
	for _, f := range change {
		f(&cfg)
	}
	a, err := identity.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// claims is a token's payload in a test.
type claims map[string]any

// with returns a copy with one claim set.
func (c claims) with(name string, value any) claims {
	c = maps.Clone(c)
	c[name] = value
	return c
}

// without returns a copy that lacks the claims.
func (c claims) without(names ...string) claims {
	c = maps.Clone(c)
	for _, n := range names {
		delete(c, n)
	}
	return c
}

// common are the claims of every provider, issued at start.
func (c *ci) common() claims {
	now := c.clock.Now().Unix()
	return claims{"iss": c.URL, "aud": audience, "sub": "anything", "jti": "token-1", "iat": now, "nbf": now, "exp": now + 300}
}

// sign signs claims with key A as the issuer would.
func sign(t testing.TB, c claims) string {
	t.Helper()
	return signAs(t, jose.RS256, keyA(), c, map[string]any{"kid": "a", "typ": "JWT"})
}

func signAs(t testing.TB, alg jose.SignatureAlgorithm, key any, c claims, header map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return signBytes(t, alg, key, payload, header)
}

func signBytes(t testing.TB, alg jose.SignatureAlgorithm, key any, payload []byte, header map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// wantRefused checks that the token is refused for the reason.
func wantRefused(t testing.TB, a *identity.Authenticator, token, reason string) {
	t.Helper()
	_ = refusal(t, a, token, reason)
}

// refusal is wantRefused for who wants to look at it.
func refusal(t testing.TB, a *identity.Authenticator, token, reason string) *signer.Unauthenticated {
	t.Helper()
	p, err := a.Authenticate(context.Background(), token)
	var no *signer.Unauthenticated
	if !errors.As(err, &no) {
		t.Fatalf("got principal %q, error %v, want a refusal for %q", p.SAN, err, reason)
	}
	if no.Reason != reason {
		t.Fatalf("refused for %q (%s), want %q", no.Reason, no.Detail, reason)
	}
	if no.Detail == "" {
		t.Error("a refusal without a sentence")
	}
	return no
}

// wantUndecided checks that the error is no refusal.
func wantUndecided(t testing.TB, a *identity.Authenticator, token string) {
	t.Helper()
	_ = undecided(t, a, token)
}

// undecided is wantUndecided for who wants to look at the error.
func undecided(t testing.TB, a *identity.Authenticator, token string) error {
	t.Helper()
	_, err := a.Authenticate(context.Background(), token)
	var no *signer.Unauthenticated
	if err == nil || errors.As(err, &no) {
		t.Fatalf("got %v, want an error that is no refusal", err)
	}
	return err
}

func wantAccepted(t testing.TB, a *identity.Authenticator, token string) signer.Principal {
	t.Helper()
	p, err := a.Authenticate(context.Background(), token)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// typeTable checks the types of claims: each required one refused when
// missing, null, empty or of another type, each optional one when of another
// type.
type typeTable struct {
	base               claims
	required, optional []string
	numbers            map[string]bool
}

func (table typeTable) run(t *testing.T, a *identity.Authenticator) {
	for _, name := range table.required {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, a, sign(t, table.base.without(name)), identity.ReasonMissingClaim)
			wantRefused(t, a, sign(t, table.base.with(name, nil)), identity.ReasonMissingClaim)
			wantRefused(t, a, sign(t, table.base.with(name, "")), identity.ReasonMissingClaim)
		})
	}
	for _, name := range append(table.required, table.optional...) {
		t.Run(name+" of another type", func(t *testing.T) {
			wrong := []any{7, true, []string{"x"}, claims{"x": "y"}}
			if table.numbers[name] {
				wrong = []any{"7", true, []int{7}}
			}
			for _, value := range wrong {
				wantRefused(t, a, sign(t, table.base.with(name, value)), identity.ReasonWrongType)
			}
		})
	}
}
