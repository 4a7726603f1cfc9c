// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
)

// recorder is a registry that keeps what it was asked and with which
// credentials.
type recorder struct {
	host string

	mu       sync.Mutex
	requests []string
	secrets  map[string]bool
	before   func(w http.ResponseWriter, r *http.Request) (done bool)
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	rec := &recorder{secrets: map[string]bool{}}
	inner := registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec.mu.Lock()
		rec.requests = append(rec.requests, r.Method+" "+r.URL.Path)
		if auth := r.Header.Get("Authorization"); auth != "" {
			rec.secrets[auth] = true
		}
		before := rec.before
		rec.mu.Unlock()
		if before == nil || !before(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	rec.host = strings.TrimPrefix(server.URL, "http://")
	return rec
}

// record forgets what was, and looks at what comes.
func (r *recorder) record(before func(http.ResponseWriter, *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests, r.before = nil, before
	clear(r.secrets)
}

func (r *recorder) seen() (requests []string, secrets []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.secrets {
		secrets = append(secrets, s)
	}
	return slices.Clone(r.requests), secrets
}

// TestHosts: two hosts of the central registry, each with its own account. Both
// can be signed, neither sees the other's account, and a third is not spoken to.
func TestHosts(t *testing.T) {
	one, two, third := newRecorder(t), newRecorder(t), newRecorder(t)
	passwords := filepath.Join(t.TempDir(), "password")
	check(t, os.WriteFile(passwords+"1", []byte("one"), 0o600))
	check(t, os.WriteFile(passwords+"2", []byte("two"), 0o600))
	l := lab.Start(t, lab.Options{Registry: one.host, RegistryConfig: fmt.Sprintf(`insecure: true, username: robot, passwordFile: %q}
registries:
- {host: %q, insecure: true, username: robot, passwordFile: %q}`, passwords+"1", two.host, passwords+"2")})
	images := []string{push(t, one.host, "acme/app"), push(t, two.host, "acme/app"), push(t, third.host, "acme/app")}
	want := func(w http.ResponseWriter, r *http.Request) bool {
		if _, _, ok := r.BasicAuth(); ok {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	for _, r := range []*recorder{one, two, third} {
		r.record(want)
	}
	for i, image := range images[:2] {
		if got, _ := sign(t, l, 0, image); got.LogIndex != int64(genesis+i) || got.Image != image {
			t.Errorf("receipt of %s: %+v", image, got)
		}
	}
	if _, words := sign(t, l, 1, images[2]); !strings.Contains(words, third.host) {
		t.Errorf("another host: %s", words)
	}
	for i, r := range []*recorder{one, two} {
		if _, secrets := r.seen(); len(secrets) != 1 {
			t.Errorf("host %d saw %d accounts: %v", i+1, len(secrets), secrets)
		}
	}
	_, first := one.seen()
	if _, second := two.seen(); slices.Equal(first, second) {
		t.Errorf("both hosts saw %v", first)
	}
	if requests, _ := third.seen(); len(requests) != 0 {
		t.Errorf("the other host was asked %v", requests)
	}
	l.Stop(t)
	l.Fsck(t)
}

// TestRoundTrips: what a signature costs a registry. The first needs the
// question whether the repository has the empty config.
func TestRoundTrips(t *testing.T) {
	r := newRecorder(t)
	l := lab.Start(t, lab.Options{Registry: r.host})
	sign(t, l, 0, push(t, r.host, "acme/app"))
	image := push(t, r.host, "acme/app")
	r.record(nil)
	sign(t, l, 0, image)
	if requests, _ := r.seen(); len(requests) != 5 {
		t.Errorf("%d requests, want 5 (resolve, blob, manifest, both read back): %v", len(requests), requests)
	}
	l.Stop(t)
}

// TestRedirectedBlobs: a registry that keeps its blobs elsewhere. The service
// follows it nowhere; a verifier only where it is told to, without credentials.
func TestRedirectedBlobs(t *testing.T) {
	storage, r := newRecorder(t), newRecorder(t)
	l := lab.Start(t, lab.Options{Registry: r.host})
	image := push(t, r.host, "acme/app")
	var blobs sync.Map
	redirect := func(w http.ResponseWriter, req *http.Request) bool {
		read := req.Method == http.MethodGet || req.Method == http.MethodHead
		if !read || !strings.Contains(req.URL.Path, "/blobs/sha256:") || req.Header.Get("X-Test") != "" {
			return false
		}
		http.Redirect(w, req, "http://"+storage.host+req.URL.Path, http.StatusTemporaryRedirect)
		return true
	}
	r.record(redirect)
	sign(t, l, 0, image)
	if requests, _ := storage.seen(); len(requests) != 0 {
		t.Errorf("the service went to the storage: %v", requests)
	}
	// The storage has what the registry has.
	storage.record(func(w http.ResponseWriter, req *http.Request) bool {
		b, ok := blobs.Load(req.URL.Path)
		if !ok {
			fetch, err := http.NewRequestWithContext(req.Context(), http.MethodGet, "http://"+r.host+req.URL.Path, nil)
			if err != nil {
				return false
			}
			fetch.Header.Set("X-Test", "x")
			resp, err := http.DefaultClient.Do(fetch)
			if err != nil {
				return false
			}
			defer func() { _ = resp.Body.Close() }() // read below
			raw, err := io.ReadAll(resp.Body)
			if err != nil {
				return false
			}
			b = raw
			blobs.Store(req.URL.Path, b)
		}
		raw, _ := b.([]byte)
		_, _ = w.Write(raw)
		return true
	})
	verify := func(flags ...string) lab.Result {
		return l.Hallmark(t, "", append([]string{"verify", image, "--certificate-identity-regexp", ".*", "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub)}, flags...)...)
	}
	if got := verify(); got.Code != 3 && got.Code != 1 || !strings.Contains(got.Stderr, "redirects to") {
		t.Errorf("unlisted storage: exit code %d, %s", got.Code, got.Stderr)
	}
	if requests, _ := storage.seen(); len(requests) != 0 {
		t.Errorf("the verifier went to unlisted storage: %v", requests)
	}
	if got := verify("--registry-blob-host", storage.host); got.Code != 0 {
		t.Errorf("listed storage: exit code %d, %s", got.Code, got.Stderr)
	}
	if requests, secrets := storage.seen(); len(requests) != 1 || len(secrets) != 0 {
		t.Errorf("storage was asked %v with %v", requests, secrets)
	}
	l.Stop(t)
}

// TestTagMoves: whoever can push moves the tag when the service has read it,
// and every time after. What was read is signed, and nothing else.
func TestTagMoves(t *testing.T) {
	r := newRecorder(t)
	l := lab.Start(t, lab.Options{Registry: r.host})
	first := push(t, r.host, "acme/app")
	var moved []string
	var moving sync.Mutex
	asked := 0
	r.record(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Header.Get("User-Agent") != "hallmark" || !strings.Contains(req.URL.Path, "/manifests/") {
			return false
		}
		moving.Lock()
		defer moving.Unlock()
		if asked++; asked > 1 {
			moved = append(moved, push(t, r.host, "acme/app"))
		}
		return false
	})
	got, _ := sign(t, l, 0, r.host+"/acme/app:1")
	r.record(nil)
	if got.Image != first {
		t.Errorf("signed %s, the tag named %s when it was read", got.Image, first)
	}
	plain := oci.Registry{Host: r.host, Insecure: true}
	if n := len(bundles(t, first, plain, nil)); n != 1 {
		t.Errorf("%d bundles of what was read", n)
	}
	if len(moved) == 0 {
		t.Fatal("the tag did not move")
	}
	for _, image := range moved {
		if n := len(bundles(t, image, plain, nil)); n != 0 {
			t.Errorf("%d bundles of what came later", n)
		}
	}
	l.Stop(t)
	l.Fsck(t)
}

// TestTwoWriters: two servers of one deployment attest one image at the same
// time, in a registry without the referrers API. The list that clients keep
// there has all of it.
func TestTwoWriters(t *testing.T) {
	const each = 8
	upstream := stock.Registry(t)
	pg := pglab.Start(t)
	first := lab.Start(t, lab.Options{Registry: upstream.Host, Database: pg.NewDatabase(t)})
	second := first.Replica(t)
	image := push(t, upstream.Host, "acme/app")
	predicate := filepath.Join(t.TempDir(), "predicate.json")
	check(t, os.WriteFile(predicate, []byte(`{"result":"passed"}`), 0o600))
	var mu sync.Mutex
	want := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 2 * each {
		l := []*lab.Lab{first, second}[i%2]
		token := first.Token(t, devissuer.GitHub, fmt.Sprint("run_id=", 1000+i))
		wg.Go(func() {
			r := l.Hallmark(t, token, "attest", image, "--type", "https://in-toto.io/attestation/test-result/v0.1", "--predicate", predicate, "-o", "json")
			var receipt struct {
				Manifest string `json:"manifest"`
			}
			if r.Code != 0 || json.Unmarshal([]byte(r.Stdout), &receipt) != nil {
				t.Errorf("exit code %d: %s", r.Code, r.Stderr)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			want[receipt.Manifest] = true
		})
	}
	wg.Wait()
	found := bundles(t, image, oci.Registry{Host: upstream.Host, Insecure: true}, nil)
	for _, b := range found {
		delete(want, string(b.Manifest))
	}
	if len(found) != 2*each || len(want) != 0 {
		t.Errorf("%d of %d attestations are listed; lost: %v", len(found), 2*each, want)
	}
	second.Stop(t)
	first.Stop(t)
	first.Fsck(t)
}
