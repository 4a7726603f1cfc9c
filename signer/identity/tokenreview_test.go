// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// apiServer answers TokenReviews; what it says of the pod's token can be
// changed.
type apiServer struct {
	*httptest.Server
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
	bearer string // a file
}

// review is what a healthy API server says of podClaims.
func review() map[string]any {
	return map[string]any{
		"authenticated": true, "audiences": []string{audience},
		"user": map[string]any{
			"username": "system:serviceaccount:ci:builder", "uid": "5a1c0000-0000-4000-8000-000000000001",
			"groups": []string{"system:serviceaccounts"},
			"extra": map[string]any{
				"authentication.kubernetes.io/pod-name": []string{"build-xyz.1"},
				"authentication.kubernetes.io/pod-uid":  []string{"90d00000-0000-4000-8000-000000000002"},
			},
		},
	}
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{bearer: filepath.Join(t.TempDir(), "reviewer-token")}
	if err := os.WriteFile(s.bearer, []byte("reviewer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	s.says(review())
	return s
}

func (s *apiServer) handle(h http.HandlerFunc) { s.answer.Store(&h) }

// says has it answer as kube-apiserver does, to the request that it wants.
func (s *apiServer) says(status map[string]any) {
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			APIVersion, Kind string
			Spec             struct {
				Token     string
				Audiences []string
			}
		}
		err := json.NewDecoder(r.Body).Decode(&asked)
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || asked.Kind != "TokenReview" ||
			asked.APIVersion != "authentication.k8s.io/v1" || strings.Count(asked.Spec.Token, ".") != 2 || len(asked.Spec.Audiences) != 1 ||
			asked.Spec.Audiences[0] != audience || r.Header.Get("Authorization") != "Bearer reviewer" {
			http.Error(w, "not what was expected", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "TokenReview", "apiVersion": asked.APIVersion, "status": status})
	})
}

func (c *ci) reviewed(t *testing.T, s *apiServer) *identity.Authenticator {
	t.Helper()
	return c.authenticator(t, "kubernetes", func(cfg *identity.Config) {
		cfg.FetchTimeout = time.Second
		cfg.Sources[0].TokenReview = &identity.TokenReview{Server: s.URL, BearerTokenFile: s.bearer}
	})
}

func TestTokenReview(t *testing.T) {
	c, s := newCI(t), newAPIServer(t)
	a := c.reviewed(t, s)
	token := sign(t, c.podClaims())
	wantAccepted(t, a, token)
	user := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m["user"].(map[string]any)[name] = value } //nolint:errcheck // made by review
	}
	extra := func(name string, values ...string) func(map[string]any) {
		return func(m map[string]any) {
			m["user"].(map[string]any)["extra"].(map[string]any)["authentication.kubernetes.io/"+name] = values //nolint:errcheck // made by review
		}
	}
	for name, change := range map[string]func(map[string]any){
		"the pod is gone": func(m map[string]any) {
			clear(m)
			m["authenticated"], m["error"] = false, "pods \"build-xyz.1\" not found"
		},
		"nothing is said":                   func(m map[string]any) { clear(m) },
		"the audience is not confirmed":     func(m map[string]any) { delete(m, "audiences") },
		"another audience is confirmed":     func(m map[string]any) { m["audiences"] = []string{"https://kubernetes.default.svc"} },
		"another account":                   user("username", "system:serviceaccount:ci:admin"),
		"an account of that name, made new": user("uid", "5a1c0000-0000-4000-8000-00000000000f"),
		"an account without a uid":          user("uid", ""),
		"a pod of that name, made new":      extra("pod-uid", "90d00000-0000-4000-8000-00000000000f"),
		"another pod":                       extra("pod-name", "other"),
		"no pod":                            extra("pod-uid"),
		"two pods":                          extra("pod-uid", "90d00000-0000-4000-8000-000000000002", "90d00000-0000-4000-8000-000000000002"),
	} {
		t.Run(name, func(t *testing.T) {
			status := review()
			change(status)
			s.says(status)
			wantRefused(t, a, token, identity.ReasonNotConfirmed)
		})
	}
	s.says(review())
	wantAccepted(t, a, token)

	// What is no good without the cluster's word is not shown to it.
	before := s.asked.Load()
	wantRefused(t, a, sign(t, c.podClaims().bound("pod", nil)), identity.ReasonMissingClaim)
	wantRefused(t, a, signAs(t, "RS256", keyB(), c.podClaims(), map[string]any{"kid": "a"}), identity.ReasonBadSignature)
	wantRefused(t, a, sign(t, c.podClaims().with("aud", "x")), identity.ReasonWrongAudience)
	if n := s.asked.Load() - before; n != 0 {
		t.Errorf("the API server was asked %d times about tokens that are no good", n)
	}
}

// TestTokenReviewUndecided: an API server that gives no answer decides nothing.
func TestTokenReviewUndecided(t *testing.T) {
	c, s := newCI(t), newAPIServer(t)
	a := c.reviewed(t, s)
	token := sign(t, c.podClaims())
	thief := make(chan string, 1)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { thief <- r.Header.Get("Authorization") }))
	t.Cleanup(elsewhere.Close)
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"we may not ask": {status(http.StatusForbidden), "system:auth-delegator"},
		"we are nobody":  {status(http.StatusUnauthorized), "system:auth-delegator"},
		"overloaded":     {status(http.StatusTooManyRequests), "429"},
		"broken":         {status(http.StatusInternalServerError), "500"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "307"},
		"elsewhere on the host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login", http.StatusFound)
		}, "302"},
		"no JSON":        {body("<html>"), "ask the cluster"},
		"two answers":    {body(`{"kind":"TokenReview","status":{"authenticated":false},"status":{"authenticated":true}}`), "status"},
		"another object": {body(`{"kind":"Status","status":"Success"}`), "ask the cluster"},
		"huge":           {body(`{"kind":"TokenReview","x":"` + strings.Repeat("x", 300<<10) + `"}`), "more than"},
		"nested deeply":  {body(`{"kind":"TokenReview","x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), "ask the cluster"},
		"cut off":        {cutOff, "ask the cluster"},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody looks whether the client is still there
			<-r.Context().Done()
		}, "ask the cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			s.handle(tc.answer)
			err := undecided(t, a, token)
			if !strings.Contains(strings.ToLower(err.Error()), tc.says) && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
			if strings.Contains(err.Error(), token) {
				t.Error("the error holds the token")
			}
		})
	}
	select {
	case got := <-thief:
		t.Errorf("somebody else was asked, with %q", got)
	default:
	}
	t.Run("gone", func(t *testing.T) {
		s.Close()
		wantUndecided(t, a, token)
	})
	t.Run("without our own token", func(t *testing.T) {
		if err := os.Remove(s.bearer); err != nil {
			t.Fatal(err)
		}
		wantUndecided(t, a, token)
	})
}

func TestTokenReviewConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		review identity.TokenReview
		says   string
	}{
		"no server":       {identity.TokenReview{BearerTokenFile: "x"}, "tokenReview.server"},
		"plain http":      {identity.TokenReview{Server: "http://kubernetes.default.svc", BearerTokenFile: "x"}, "https"},
		"with a slash":    {identity.TokenReview{Server: "https://kubernetes.default.svc/", BearerTokenFile: "x"}, "slash"},
		"without a token": {identity.TokenReview{Server: "https://kubernetes.default.svc"}, "bearerTokenFile"},
		"no CA":           {identity.TokenReview{Server: "https://kubernetes.default.svc", BearerTokenFile: "x", CAFile: "/nowhere/ca.pem"}, "tokenReview: caFile"},
	} {
		t.Run(name, func(t *testing.T) {
			s := identity.Source{Name: "k", Provider: "kubernetes", Issuer: "https://kubernetes.corp.example", TokenReview: &tc.review}
			_, err := identity.New(identity.Config{Audience: audience, Sources: []identity.Source{s}})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v does not say %q", err, tc.says)
			}
		})
	}
}

// TestFiles: all files of a source can be found from the configuration's folder,
// and the caller's copy of the source is not changed by it.
func TestFiles(t *testing.T) {
	original := identity.Source{CAFile: "a", BearerTokenFile: "b", BundleFile: "c", TokenReview: &identity.TokenReview{CAFile: "d", BearerTokenFile: "e"}}
	s := original
	var all []string
	for _, file := range s.Files() {
		all = append(all, *file)
		*file = "/" + *file
	}
	if strings.Join(all, "") != "abcde" || s.TokenReview.CAFile != "/d" || s.CAFile != "/a" || original.TokenReview.CAFile != "d" {
		t.Errorf("files %v, source %+v, original %+v", all, s.TokenReview, original.TokenReview)
	}
}
