// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	tokenService = "the registry"
	tokenIssuer  = "the token service"
)

// tokenServer is a token service as distribution wants one: it gives whoever
// has the password an ES256 token for what is asked.
type tokenServer struct {
	host   string
	jwks   string // file
	signer jose.Signer

	mu     sync.Mutex
	life   time.Duration
	scopes []string // of tokens given
	denied int
}

func newTokenServer(t *testing.T, ca *authority) *tokenServer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	check(t, err)
	s := &tokenServer{life: time.Minute, jwks: filepath.Join(t.TempDir(), "jwks.json")}
	check(t, os.WriteFile(s.jwks, public, 0o600))
	s.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "one"}}, nil)
	check(t, err)
	server := httptest.NewUnstartedServer(s)
	_, _, pair := ca.issue(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "https://")
	return s
}

// ServeHTTP answers GET /token?service=…&scope=repository:NAME:ACTIONS.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, secret, _ := r.BasicAuth()
	if name != robot || secret != password || r.URL.Query().Get("service") != tokenService {
		s.denied++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var all []access
	for _, scope := range r.URL.Query()["scope"] {
		s.scopes = append(s.scopes, scope)
		if parts := strings.Split(scope, ":"); len(parts) == 3 {
			all = append(all, access{parts[0], parts[1], strings.Split(parts[2], ",")})
		}
	}
	token, err := s.token(s.life, all)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(w, `{"token":%q,"expires_in":60}`, token)
}

// access is what a token is for.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

func (s *tokenServer) token(life time.Duration, all []access) (string, error) {
	now := time.Now()
	return jwt.Signed(s.signer).Claims(map[string]any{
		"iss": tokenIssuer, "sub": robot, "aud": tokenService, "jti": rand.Text(), "access": all,
		"iat": now.Add(-2 * time.Hour).Unix(), "nbf": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(life).Unix(),
	}).Serialize()
}

// mint gives the test a token: the library that pushes asks no token service on
// loopback.
func (s *tokenServer) mint(t *testing.T, repository string) string {
	t.Helper()
	token, err := s.token(time.Hour, []access{{"repository", repository, []string{"pull", "push"}}})
	check(t, err)
	return token
}

// bearer adds a token to each request.
type bearer struct {
	token string
	base  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}

func (s *tokenServer) lifeOf(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life = d
	s.scopes, s.denied = nil, 0
}

func (s *tokenServer) asked() ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.scopes...), s.denied
}

// TestTokenAuth: CNCF distribution with HTTPS under a private authority and
// tokens from a service on another host.
func TestTokenAuth(t *testing.T) {
	ca := newAuthority(t)
	tokens := newTokenServer(t, ca)
	cert, key, _ := ca.issue(t)
	registry := stock.Registry(t,
		stock.WithTLS(stock.TLS{CertFile: cert, KeyFile: key, Roots: ca.pool()}),
		stock.WithTokenAuth(stock.TokenAuth{Realm: "https://" + tokens.host + "/token", Service: tokenService, Issuer: tokenIssuer, JWKS: tokens.jwks}))
	options := []remote.Option{remote.WithTransport(bearer{tokens.mint(t, "acme/app"), ca.transport()})}
	dir := t.TempDir()
	good, wrong := filepath.Join(dir, "password"), filepath.Join(dir, "wrong")
	check(t, os.WriteFile(good, []byte(password), 0o600))
	check(t, os.WriteFile(wrong, []byte("incorrect horse"), 0o600))
	config := func(file, tokenHost, caFile string) string {
		return fmt.Sprintf("username: %s, passwordFile: %q%s%s}", robot, file, tokenHost, caFile)
	}
	tokenHost, caFile := fmt.Sprintf(", tokenHost: %q", tokens.host), fmt.Sprintf(", caFile: %q", ca.file(t))
	other := newAuthority(t)

	whole := t // a server that is started again outlives the subtest
	l := lab.Start(t, lab.Options{Registry: registry.Host, RegistryConfig: config(good, tokenHost, caFile)})
	t.Run("signs", func(t *testing.T) {
		var images []string
		for range 3 {
			images = append(images, push(t, registry.Host, "acme/app", options...))
		}
		tokens.lifeOf(time.Minute)
		for _, image := range images {
			sign(t, l, 0, image)
		}
		// One token for reading and one for writing.
		scopes, denied := tokens.asked()
		slices.Sort(scopes)
		if fmt.Sprint(scopes) != "[repository:acme/app:pull repository:acme/app:pull,push]" || denied != 0 {
			t.Errorf("tokens for three signatures: %v, %d denied", scopes, denied)
		}
		found := bundles(t, images[2], oci.Registry{Host: registry.Host, TokenHost: tokens.host, Roots: []*x509.Certificate{ca.cert}}, user{robot, password})
		if len(found) != 1 {
			t.Errorf("%d bundles", len(found))
		}
	})

	for name, tc := range map[string]struct {
		config string
		life   time.Duration
		code   int
		says   []string
	}{
		"wrong password":      {config(wrong, tokenHost, caFile), time.Minute, 3, []string{registry.Host, "denies access", "hint"}},
		"expired token":       {config(good, tokenHost, caFile), -time.Hour, 3, []string{registry.Host, "denies access"}},
		"unlisted token host": {config(good, "", caFile), time.Minute, 1, []string{tokens.host, "token host"}},
		"another authority":   {config(good, tokenHost, fmt.Sprintf(", caFile: %q", other.file(t))), time.Minute, 3, []string{registry.Host, "certificate"}},
		"the system's only":   {config(good, tokenHost, ""), time.Minute, 3, []string{registry.Host, "certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			tokens.lifeOf(time.Minute)
			image := push(t, registry.Host, "acme/app", options...)
			tokens.lifeOf(tc.life)
			reconfigure(whole, l, tc.config)
			_, words := sign(t, l, tc.code, image)
			for _, want := range tc.says {
				if !strings.Contains(words, want) {
					t.Errorf("the job is not told %q: %s", want, words)
				}
			}
			if strings.Contains(words, "horse") {
				t.Errorf("the password is in the answer: %s", words)
			}
			if scopes, denied := tokens.asked(); name == "unlisted token host" && len(scopes)+denied != 0 {
				t.Errorf("the token service was asked: %v, denied %d", scopes, denied)
			}
		})
	}
	endsWith(t, l, 3)
}
