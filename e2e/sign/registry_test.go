// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// moody is a registry that can be told to misbehave for reads of manifests.
type moody struct{ mood atomic.Value } // of http.HandlerFunc

func (m *moody) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mood, ok := m.mood.Load().(http.HandlerFunc); ok && mood != nil && strings.Contains(r.URL.Path, "/manifests/sha256:") {
			mood(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestRegistryMisbehaves: whatever the registry does, the job gets a reason
// and an exit code, and nothing is signed.
func TestRegistryMisbehaves(t *testing.T) {
	var registry moody
	var elsewhere atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(trap.Close)
	l := lab.Start(t, lab.Options{Wrap: registry.wrap})
	image := l.PushSmall(t, "acme/app", "1")
	missing := l.Registry + "/acme/app@sha256:" + strings.Repeat("0", 64)
	for _, tc := range []struct {
		name, image string
		mood        http.HandlerFunc
		code        int
		says        string
	}{
		{"not in the registry", missing, nil, 1, "not found"},
		{"tag not in the registry", l.Registry + "/acme/app:nope", nil, 1, "not found"},
		{"another registry", "ghcr.io/acme/app@sha256:" + strings.Repeat("0", 64), nil, 1, "ghcr.io"},
		{"no registry", "acme/app:1", nil, 2, "acme/app:1"},
		{"no reference", "https://" + image, nil, 2, "https"},
		{"other bytes", image, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = w.Write([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
		}, 3, "digest mismatch"},
		{"broken", image, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 3, "500"},
		{"redirects elsewhere", image, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, trap.URL+r.URL.Path, http.StatusTemporaryRedirect)
		}, 1, "redirects to"},
		{"slow", image, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 3, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			registry.mood.Store(tc.mood)
			defer registry.mood.Store(http.HandlerFunc(nil))
			r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", tc.image)
			if r.Code != tc.code || r.Stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q, stderr %s", r.Code, tc.code, r.Stdout, r.Stderr)
			}
			if !strings.Contains(r.Stderr, tc.says) {
				t.Errorf("the answer does not say %q: %s", tc.says, r.Stderr)
			}
		})
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the service made %d requests to another host", n)
	}
	if got := mustSign(t, l, l.Token(t, devissuer.GitHub), image); got.LogIndex != genesis {
		t.Errorf("the first signature has log index %d: something was logged before", got.LogIndex)
	}
	l.Stop(t)
	l.Fsck(t)
}

// TestRegistryGoesDown: a registry that dies before the attachment costs the
// job an error and the service nothing: the same request succeeds afterwards,
// with one log entry.
func TestRegistryGoesDown(t *testing.T) {
	var down atomic.Bool
	l := lab.Start(t, lab.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() && r.Method != http.MethodGet && r.Method != http.MethodHead {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	image, token := l.PushSmall(t, "acme/app", "1"), l.Token(t, devissuer.GitHub)
	down.Store(true)
	if r := l.Hallmark(t, token, "sign", image); r.Code != 3 {
		t.Fatalf("exit code %d, want 3: %s", r.Code, r.Stderr)
	}
	down.Store(false)
	if got := mustSign(t, l, token, image); got.LogIndex != genesis {
		t.Errorf("log index %d: signed twice for one request", got.LogIndex)
	}
	verifyWith(t, l, image, 0)
	l.Stop(t)
	if report := l.Fsck(t); !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+1)) {
		t.Errorf("want one entry and the first:\n%s", report)
	}
}

// TestRegistryGone: nobody answers.
func TestRegistryGone(t *testing.T) {
	upstream := stock.Registry(t)
	l := lab.Start(t, lab.Options{Registry: upstream.Host})
	image := l.PushSmall(t, "acme/app", "1")
	upstream.Stop()
	r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image)
	if r.Code != 3 || !strings.Contains(r.Stderr, upstream.Host) {
		t.Errorf("registry gone: exit code %d, want 3, naming it: %s", r.Code, r.Stderr)
	}
	l.Stop(t)
	l.Fsck(t)
}

func verifyWith(t *testing.T, l *lab.Lab, image string, want int) {
	t.Helper()
	r := l.Hallmark(t, "", "verify", image, "--certificate-identity", appWorkflow, "--certificate-oidc-issuer", l.Issuer.URL(devissuer.GitHub))
	if r.Code != want {
		t.Errorf("verify %s: exit code %d, want %d: %s", image, r.Code, want, r.Stderr)
	}
}
