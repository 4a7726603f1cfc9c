// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

const password = "s3cret-password"

// keychain has one account for every host: a client that asks it for the wrong
// host gives the password away, and the tests notice.
type keychain struct{ cfg authn.AuthConfig }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(k.cfg), nil
}

var account = keychain{authn.AuthConfig{Username: "robot", Password: password}}

// guard is a token service and the rule it enforces in a registry.
type guard struct {
	mu     sync.Mutex
	realm  string
	life   int
	issued int
	valid  map[string]string // token -> scope
	asked  []string          // "METHOD scope" of each token request
}

func newGuard(realm string) *guard {
	return &guard{realm: realm, life: 300, valid: make(map[string]string)}
}

// trick refuses what has no valid token, and serves /token.
func (g *guard) trick(w http.ResponseWriter, r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Path == "/token" {
		g.token(w, r)
		return true
	}
	scope, ok := g.valid[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	want := "pull"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		want = "pull,push"
	}
	if ok && strings.HasPrefix(scope, "repository:acme/app:"+want) {
		return false
	}
	w.Header().Add("WWW-Authenticate", "Negotiate")
	w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q, service="the registry",scope="repository:evil/other:*"`, g.realm))
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

func (g *guard) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	g.asked = append(g.asked, r.Method+" "+r.Form.Get("scope"))
	user, pass, _ := r.BasicAuth()
	if (user != "robot" || pass != password) && r.PostForm.Get("refresh_token") != password || r.Form.Get("service") != "the registry" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.issued++
	token := fmt.Sprint("token-", g.issued)
	g.valid[token] = r.Form.Get("scope")
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"expires_in":%d}`, token, g.life)
}

func (g *guard) revoke() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.valid)
}

func withKeychain(k authn.Keychain) func(*oci.Config) { return func(c *oci.Config) { c.Keychain = k } }

func TestBearerToken(t *testing.T) {
	for name, k := range map[string]keychain{"password": account, "identity token": {authn.AuthConfig{IdentityToken: password}}} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			subject := f.subject()
			g := newGuard(f.server.URL + "/token")
			f.misbehave(g.trick)
			c := f.client(withKeychain(k))
			if _, err := c.AttachBundle(t.Context(), subject, blob(1)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Bundles(t.Context(), subject); err != nil {
				t.Fatal(err)
			}
			method := "GET"
			if k.cfg.IdentityToken != "" {
				method = "POST"
			}
			// One token for each scope, and the scope is ours, not the challenge's.
			want := []string{method + " repository:acme/app:pull,push", method + " repository:acme/app:pull"}
			if fmt.Sprint(g.asked) != fmt.Sprint(want) {
				t.Errorf("tokens asked for: %v, want %v", g.asked, want)
			}
			// Warm: nothing but the request itself.
			f.misbehave(g.trick)
			if _, err := c.Resolve(t.Context(), subject.String()); err != nil || len(f.seen()) != 1 {
				t.Errorf("warm resolve: %v, %v", f.seen(), err)
			}
			// A token that is no longer accepted is replaced, and a request
			// with a body is sent again with it.
			g.revoke()
			if _, err := c.AttachBundle(t.Context(), subject, blob(2)); err != nil {
				t.Errorf("after revocation: %v", err)
			}
			g.revoke()
			if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
				t.Errorf("after revocation: %v", err)
			}
		})
	}
}

// TestTokenExpires: a token is not used up to its last second, and a token
// without a life worth keeping is not kept.
func TestTokenExpires(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	g := newGuard(f.server.URL + "/token")
	g.life = 1
	f.misbehave(g.trick)
	c := f.client(withKeychain(account))
	for range 2 {
		if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.asked) != 2 {
		t.Errorf("%d tokens asked for", len(g.asked))
	}
}

func TestTokenDenied(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	g := newGuard(f.server.URL + "/token")
	f.misbehave(g.trick)
	for name, k := range map[string]authn.Keychain{"anonymous": nil, "wrong": keychain{authn.AuthConfig{Username: "robot", Password: "wrong"}}} {
		if _, err := f.client(withKeychain(k)).Resolve(t.Context(), subject.String()); !errors.Is(err, oci.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTokenServiceFails: its 404 is not "the registry does not have it", which
// would read as "no signatures".
func TestTokenServiceFails(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"not found": {http.NotFound, oci.ErrRejected},
		"fails":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, oci.ErrUnavailable},
		"not JSON":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("token-1 " + password)) }, oci.ErrRejected},
		"no token": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"refresh_token":"` + password + `"}`))
		}, oci.ErrRejected},
		"split": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"token":"a\r\nX: ` + password + `"}`))
		}, oci.ErrRejected},
		"endless":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, oci.ErrTooLarge},
		"redirects":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v2/", http.StatusFound) }, oci.ErrForeignRegistry},
		"hangs up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, oci.ErrUnavailable},
		"no service": {nil, oci.ErrRejected},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			subject := f.subject()
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/token" {
					tc.answer(w, r)
					return true
				}
				challenge := `Bearer realm="` + f.server.URL + `/token"`
				if tc.answer == nil {
					challenge = "Bearer"
				}
				w.Header().Set("WWW-Authenticate", challenge)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			})
			c := f.client(withKeychain(account))
			_, err := c.Resolve(t.Context(), subject.String())
			if !errors.Is(err, tc.want) || errors.Is(err, oci.ErrNotFound) {
				t.Errorf("resolve: %v", err)
			}
			if strings.Contains(fmt.Sprint(err), password) {
				t.Errorf("message holds a secret: %v", err)
			}
			if found, err := c.Bundles(t.Context(), subject); err == nil {
				t.Errorf("bundles: %v", found)
			}
		})
	}
}

// TestRealm: the token service may be on the registry's host or the one that
// is configured, and nobody else gets the password.
func TestRealm(t *testing.T) {
	g := newGuard("")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.trick(w, r) }))
	t.Cleanup(service.Close)
	serviceHost := strings.TrimPrefix(service.URL, "http://")
	f := newFake(t, true)
	subject := f.subject()
	f.misbehave(g.trick)
	withToken := func(c *oci.Config) { c.Registries[0].TokenHost = serviceHost }
	anotherRegistry := func(c *oci.Config) {
		c.Registries = append(c.Registries, oci.Registry{Host: serviceHost, Insecure: true})
	}

	g.realm = service.URL + "/token"
	if _, err := f.client(withKeychain(account), withToken).Resolve(t.Context(), subject.String()); err != nil || len(g.asked) != 1 {
		t.Errorf("configured token host: %v, asked %v", err, g.asked)
	}
	g.asked = nil
	for _, realm := range []string{service.URL + "/token", "https://" + f.host + "/token", "https://auth.example/token", "http://robot@" + f.host + "/token", "/token", "file:///etc/passwd", ""} {
		g.realm = realm
		for _, change := range []func(*oci.Config){func(*oci.Config) {}, anotherRegistry} {
			if _, err := f.client(withKeychain(account), change).Resolve(t.Context(), subject.String()); !errors.Is(err, oci.ErrForeignRegistry) && !errors.Is(err, oci.ErrRejected) {
				t.Errorf("realm %q: %v", realm, err)
			}
		}
	}
	if len(g.asked) != 0 {
		t.Errorf("tokens were asked for: %v", g.asked)
	}
}

// TestOneBadChallenge: a registry that once asks for what it cannot get is asked
// again like any other, and not shut out.
func TestOneBadChallenge(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	g := newGuard(f.server.URL + "/token")
	c := f.client(withKeychain(account))
	bad := `Bearer realm="http://169.254.169.254/token",service="x"`
	f.misbehave(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", bad)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	for range 2 {
		if _, err := c.Resolve(t.Context(), subject.String()); !errors.Is(err, oci.ErrForeignRegistry) {
			t.Errorf("bad challenge: %v", err)
		}
	}
	f.misbehave(g.trick)
	if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
		t.Errorf("the registry is itself again, with tokens: %v", err)
	}
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			return false
		}
		w.Header().Set("WWW-Authenticate", bad)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	if _, err := c.Resolve(t.Context(), subject.String()); !errors.Is(err, oci.ErrForeignRegistry) {
		t.Errorf("bad challenge instead of a token's: %v", err)
	}
	if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
		t.Errorf("the registry is itself again, for everybody: %v", err)
	}
}

func TestBasicAndRegistryToken(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("robot:"+password))
	for name, tc := range map[string]struct {
		cfg       authn.AuthConfig
		challenge string
		want      string
	}{
		"password":       {authn.AuthConfig{Username: "robot", Password: password}, `Basic realm="x"`, basic},
		"auth":           {authn.AuthConfig{Auth: strings.TrimPrefix(basic, "Basic ")}, `basic`, basic},
		"registry token": {authn.AuthConfig{RegistryToken: "given"}, `Bearer realm="https://nowhere.example"`, "Bearer given"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			subject := f.subject()
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == tc.want {
					return false
				}
				w.Header().Set("WWW-Authenticate", tc.challenge)
				w.WriteHeader(http.StatusUnauthorized)
				return true
			})
			if _, err := f.client(withKeychain(keychain{tc.cfg})).Resolve(t.Context(), subject.String()); err != nil {
				t.Error(err)
			}
			if _, err := f.client().Resolve(t.Context(), subject.String()); !errors.Is(err, oci.ErrDenied) && !errors.Is(err, oci.ErrForeignRegistry) {
				t.Errorf("without credentials: %v", err)
			}
		})
	}
}

// TestBlobHosts: downloads of blobs may be redirected to configured storage,
// which gets no credentials; nothing else may.
func TestBlobHosts(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	if _, err := f.client().AttachBundle(t.Context(), subject, blob(1)); err != nil {
		t.Fatal(err)
	}
	var visits, secrets atomic.Int64
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			secrets.Add(1)
		}
		_, _ = w.Write(blob(1).Bytes)
	}))
	t.Cleanup(storage.Close)
	// The same host name with another port: net/http would pass the header on.
	storageHost := strings.TrimPrefix(storage.URL, "http://")
	part := "/blobs/"
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		http.Redirect(w, r, "http://"+storageHost+"/x", http.StatusTemporaryRedirect)
		return true
	})
	withStorage := func(c *oci.Config) { c.Registries[0].BlobHosts = []string{storageHost} }
	if found, err := f.client(withKeychain(account), withStorage).Bundles(t.Context(), subject); err != nil || len(found) != 1 {
		t.Errorf("configured storage: %v, %v", found, err)
	}
	if visits.Load() != 1 || secrets.Load() != 0 {
		t.Errorf("storage was visited %d times, %d times with credentials", visits.Load(), secrets.Load())
	}
	part = "/manifests/"
	if got, err := f.client(withKeychain(account), withStorage).Resolve(t.Context(), subject.String()); !errors.Is(err, oci.ErrForeignRegistry) {
		t.Errorf("manifest from storage: %+v, %v", got, err)
	}
	part = "/blobs/uploads/"
	if got, err := f.client(withKeychain(account), withStorage).AttachBundle(t.Context(), subject, blob(2)); !errors.Is(err, oci.ErrForeignRegistry) {
		t.Errorf("upload to storage: %+v, %v", got, err)
	}
	if visits.Load() != 1 {
		t.Errorf("storage was visited %d times", visits.Load())
	}
}

// TestConcurrentRequestsShareAToken: a cold client under load asks once, and
// one caller's giving up does not hurt the others.
func TestConcurrentRequestsShareAToken(t *testing.T) {
	f := newFake(t, true)
	subject := f.subject()
	g := newGuard(f.server.URL + "/token")
	f.misbehave(g.trick)
	c := f.client(withKeychain(account))
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := c.Resolve(t.Context(), subject.String()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(g.asked); n != 1 {
		t.Errorf("%d tokens for 16 requests", n)
	}
}
