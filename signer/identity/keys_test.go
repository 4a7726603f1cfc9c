// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// fresh returns a token issued now, signed with the key under the kid.
func (c *ci) fresh(t testing.TB, kid string, key *rsa.PrivateKey) string {
	t.Helper()
	return signAs(t, jose.RS256, key, c.githubClaims(), map[string]any{"kid": kid})
}

func (c *ci) wantFetches(t *testing.T, want int64) {
	t.Helper()
	if got := c.keyFetches.Load(); got != want {
		t.Errorf("%d key fetches, want %d", got, want)
	}
}

func TestKeysAreFetchedOnce(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	token := c.fresh(t, "a", keyA())
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() { wantAccepted(t, a, token) })
	}
	wg.Wait()
	c.wantFetches(t, 1)
	if n := c.discoveries.Load(); n != 1 {
		t.Errorf("%d discoveries", n)
	}
}

func TestUnknownKidFlood(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	for round := range 4 {
		c.clock.advance(11 * time.Second)
		for i := range 25 {
			wantRefused(t, a, c.fresh(t, fmt.Sprintf("%d-%d", round, i), keyB()), identity.ReasonUnknownKey)
			wantRefused(t, a, c.fresh(t, "a", keyB()), identity.ReasonBadSignature)
		}
		c.wantFetches(t, int64(2+round))
	}
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
}

func TestNewKeyIsFound(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.publish(public("a", &keyA().PublicKey), public("b", &keyB().PublicKey))
	c.clock.advance(10*time.Second - 1)
	wantRefused(t, a, c.fresh(t, "b", keyB()), identity.ReasonUnknownKey) // too soon to ask again
	c.clock.advance(1)
	wantAccepted(t, a, c.fresh(t, "b", keyB()))
	c.wantFetches(t, 2)
}

func TestKeyReplacedUnderItsName(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.publish(public("a", &keyB().PublicKey))
	c.clock.advance(10 * time.Second)
	wantAccepted(t, a, c.fresh(t, "a", keyB()))
	wantRefused(t, a, c.fresh(t, "a", keyA()), identity.ReasonBadSignature)
}

func TestTwoKeysOfOneName(t *testing.T) {
	c := newCI(t)
	c.publish(public("a", &keyB().PublicKey), public("a", &keyA().PublicKey))
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	wantAccepted(t, a, c.fresh(t, "a", keyB()))
}

func TestRemovedKeyDies(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.publish(public("b", &keyB().PublicKey))
	c.clock.advance(5*time.Minute - time.Second)
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.clock.advance(time.Second)
	wantRefused(t, a, c.fresh(t, "a", keyA()), identity.ReasonUnknownKey)
	wantAccepted(t, a, c.fresh(t, "b", keyB()))
}

// TestIssuerDown: known keys serve a while, then nothing can be decided; a
// refusal is never made up.
func TestIssuerDown(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.setMisbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })

	c.clock.advance(15*time.Minute - time.Second)
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	wantRefused(t, a, c.fresh(t, "a", keyB()), identity.ReasonBadSignature)
	err := undecided(t, a, c.fresh(t, "b", keyB()))
	if !strings.Contains(err.Error(), "502") || !strings.Contains(err.Error(), c.URL) {
		t.Errorf("error %q names neither issuer nor reason", err)
	}
	c.clock.advance(time.Second)
	wantUndecided(t, a, c.fresh(t, "a", keyA()))
	c.clock.advance(10 * time.Second)
	wantUndecided(t, a, c.fresh(t, "a", keyA()))
	// What needs no key is still refused.
	wantRefused(t, a, sign(t, c.githubClaims().with("aud", "x")), identity.ReasonWrongAudience)

	c.setMisbehave(nil)
	c.clock.advance(10 * time.Second)
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
}

func TestFailureIsNotRetriedAtOnce(t *testing.T) {
	c := newCI(t)
	c.setMisbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	a := c.authenticator(t, "github")
	for range 20 {
		wantUndecided(t, a, c.fresh(t, "a", keyA()))
	}
	if n := c.discoveries.Load(); n != 1 {
		t.Errorf("%d attempts within ten seconds", n)
	}
}

func TestClockSetBack(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.clock.advance(-time.Hour)
	c.publish(public("b", &keyB().PublicKey))
	wantRefused(t, a, c.fresh(t, "a", keyA()), identity.ReasonUnknownKey)
}

// TestBadAnswers: an endpoint that answers wrongly decides nothing.
func TestBadAnswers(t *testing.T) {
	elsewhere := newCI(t) // publishes key A as well: it must not be asked
	discovery := func(doc string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(doc)) }
	}
	for name, tc := range map[string]struct {
		answer func(c *ci) http.HandlerFunc
		says   string
	}{
		"huge": {func(*ci) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				chunk := []byte(strings.Repeat(" ", 64<<10))
				for {
					if _, err := w.Write(chunk); err != nil {
						return // the client stopped reading, as it must
					}
				}
			}
		}, "more than"},
		"redirect to another host": {func(*ci) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+"/jwks", http.StatusFound)
			}
		}, "redirects to another host"},
		"redirect to itself": {func(*ci) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/jwks", http.StatusFound)
			}
		}, "redirects more than"},
		"another issuer's document": {func(*ci) http.HandlerFunc {
			return discovery(`{"issuer":"` + elsewhere.URL + `","jwks_uri":"` + elsewhere.URL + `/jwks"}`)
		}, "is of issuer"},
		"keys on another host": {func(c *ci) http.HandlerFunc {
			return discovery(`{"issuer":"` + c.URL + `","jwks_uri":"` + elsewhere.URL + `/jwks"}`)
		}, "jwksURI"},
		"keys at a metadata address": {func(c *ci) http.HandlerFunc {
			return discovery(`{"issuer":"` + c.URL + `","jwks_uri":"http://169.254.169.254/latest"}`)
		}, "jwksURI"},
		"keys in a file": {func(c *ci) http.HandlerFunc {
			return discovery(`{"issuer":"` + c.URL + `","jwks_uri":"file:///etc/keys"}`)
		}, "jwksURI"},
		"no keys named":             {func(c *ci) http.HandlerFunc { return discovery(`{"issuer":"` + c.URL + `"}`) }, "jwksURI"},
		"two issuers":               {func(c *ci) http.HandlerFunc { return discovery(`{"issuer":"` + c.URL + `","issuer":"x"}`) }, "issuer"},
		"not JSON":                  {func(*ci) http.HandlerFunc { return discovery(`<html>login</html>`) }, "discovery document"},
		"nothing":                   {func(*ci) http.HandlerFunc { return discovery(``) }, "discovery document"},
		"half a document, then cut": {func(*ci) http.HandlerFunc { return cutOff }, "fetch keys"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCI(t)
			c.setMisbehave(tc.answer(c))
			err := undecided(t, c.authenticator(t, "github"), c.fresh(t, "a", keyA()))
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
		})
	}
	if n := elsewhere.discoveries.Load() + elsewhere.keyFetches.Load(); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = w.Write([]byte(`{"issuer":`))
}

func TestRedirectWithinTheHost(t *testing.T) {
	c := newCI(t)
	c.setMisbehave(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			http.Redirect(w, r, "/moved", http.StatusFound)
		case "/moved":
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, c.URL, c.URL+"/jwks")
		default:
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public("a", &keyA().PublicKey)}})
		}
	})
	wantAccepted(t, c.authenticator(t, "github"), c.fresh(t, "a", keyA()))
}

func TestGoneEndpoint(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	token := c.fresh(t, "a", keyA())
	c.Close()
	wantUndecided(t, a, token)
}

// TestSlowEndpoint: a fetch ends by its own timeout, and a request that is
// given up before does not wait for it, nor end it for the others.
func TestSlowEndpoint(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		c := newCI(t)
		c.setMisbehave(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		a := c.authenticator(t, "github", func(cfg *identity.Config) { cfg.FetchTimeout = 20 * time.Millisecond })
		if err := undecided(t, a, c.fresh(t, "a", keyA())); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("one caller gives up", func(t *testing.T) {
		c := newCI(t)
		arrived, release := make(chan struct{}), make(chan struct{})
		var once sync.Once
		c.setMisbehave(func(w http.ResponseWriter, _ *http.Request) {
			once.Do(func() { close(arrived) })
			<-release
			c.setMisbehave(nil)
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, c.URL, c.URL+"/jwks")
		})
		a := c.authenticator(t, "github", func(cfg *identity.Config) { cfg.FetchTimeout = time.Minute })
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-arrived
			cancel()
		}()
		token := c.fresh(t, "a", keyA())
		if _, err := a.Authenticate(ctx, token); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the caller's cancellation", err)
		}
		close(release)
		wantAccepted(t, a, token)
		c.wantFetches(t, 1)
	})
}

// TestUnusableKeys: what a key set may hold besides usable keys, and what no
// key set may hold.
func TestUnusableKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // weak on purpose
	if err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(public("a", &keyA().PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	encryption := public("a", &keyA().PublicKey)
	encryption.Use = "enc"
	private := public("a", keyA())
	otherAlg := public("a", &keyA().PublicKey)
	otherAlg.Algorithm = "PS256"
	symmetric := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "a"}
	marshal := func(k jose.JSONWebKey) string {
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	set := func(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }
	const nothing = "undecided"
	for name, tc := range map[string]struct{ keys, want string }{
		"beside a kind of tomorrow": {set(`{"kty":"XYZ","kid":"a"}`, `7`, `null`, string(good)), ""},
		"beside a weak key":         {set(marshal(public("w", &weak.PublicKey)), string(good)), ""},
		"with members of tomorrow":  {`{"keys":[` + string(good) + `],"next":1}`, ""},
		"only a weak key":           {set(marshal(public("a", &weak.PublicKey))), nothing},
		"only an encryption key":    {set(marshal(encryption)), nothing},
		"only a private key":        {set(marshal(private)), nothing},
		"only a symmetric key":      {set(marshal(symmetric)), nothing},
		"only a key without a name": {set(marshal(public("", &keyA().PublicKey))), nothing},
		"none":                      {set(), nothing},
		"no list":                   {`{}`, nothing},
		"too many":                  {set(strings.Split(strings.Repeat("{}|", 64)+string(good), "|")...), nothing},
		"duplicate members":         {set(strings.Replace(string(good), `"kid":"a"`, `"kid":"x","kid":"a"`, 1)), nothing},
		"for another algorithm":     {set(marshal(otherAlg)), identity.ReasonBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCI(t)
			c.setMisbehave(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tc.keys)) })
			a := c.authenticator(t, "github", func(cfg *identity.Config) { cfg.Sources[0].JWKSURI = c.URL + "/jwks" })
			token := c.fresh(t, "a", keyA())
			switch tc.want {
			case "":
				wantAccepted(t, a, token)
			case nothing:
				wantUndecided(t, a, token)
			default:
				wantRefused(t, a, token, tc.want)
			}
		})
	}
}

// TestClusterDiscovery: a cluster's own CA and bearer token, the token read at
// each fetch and given to nobody else.
func TestClusterDiscovery(t *testing.T) {
	c := newCI(t)
	stolen := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen <- r.Header.Get("Authorization") }))
	t.Cleanup(thief.Close)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var want, leak atomic.Value
	want.Store("Bearer first")
	leak.Store(false)
	cluster := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want.Load() {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if leak.Load() == true {
			http.Redirect(w, r, thief.URL, http.StatusFound)
			return
		}
		c.serve(w, r)
	}))
	cluster.Config.ErrorLog = log.New(io.Discard, "", 0) // one client distrusts it, as it must
	cluster.StartTLS()
	t.Cleanup(cluster.Close)
	ca := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw})))
	source := func(cfg *identity.Config) {
		cfg.Sources[0].Issuer = "https://kubernetes.default.svc.cluster.local"
		cfg.Sources[0].JWKSURI = cluster.URL + "/jwks"
		cfg.Sources[0].CAFile = ca
		cfg.Sources[0].BearerTokenFile = write("token", "first\n")
	}
	a := c.authenticator(t, "kubernetes", source)
	token := func() string {
		return sign(t, c.podClaims().with("iss", "https://kubernetes.default.svc.cluster.local"))
	}
	wantAccepted(t, a, token())

	want.Store("Bearer second")
	write("token", "second")
	c.publish(public("b", &keyB().PublicKey))
	c.clock.advance(5 * time.Minute)
	wantRefused(t, a, token(), identity.ReasonUnknownKey)

	leak.Store(true)
	c.clock.advance(15 * time.Minute)
	wantUndecided(t, a, token())
	select {
	case got := <-stolen:
		t.Errorf("the thief was asked, with %q", got)
	default:
	}

	without := c.authenticator(t, "kubernetes", source, func(cfg *identity.Config) { cfg.Sources[0].CAFile = "" })
	if err := undecided(t, without, token()); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the CA: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	c.clock.advance(15 * time.Minute)
	if err := undecided(t, a, token()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the token file: %v", err)
	}
}

func TestRefresh(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	if err := a.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.wantFetches(t, 1)
	wantAccepted(t, a, c.fresh(t, "a", keyA()))
	c.wantFetches(t, 1)
	c.setMisbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	c.clock.advance(4 * time.Minute)
	if err := a.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), `"ci"`) {
		t.Errorf("error %v does not name the source", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Errorf("Run ended with %v", err)
	}
}
