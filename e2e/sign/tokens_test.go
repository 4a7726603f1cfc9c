// SPDX-License-Identifier: Apache-2.0

package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// problem is the service's problem+json.
type problem struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Message, Location string }
}

// post calls the service as a job would that writes its own client, and
// returns the answer's status.
func post(t *testing.T, l *lab.Lab, path, token, body string) (int, problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read below
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	var p problem
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
	}
	return resp.StatusCode, p
}

// mint makes a token with claims changed after the fact, for times and
// audiences that the issuer would not give.
func mint(t *testing.T, l *lab.Lab, change func(map[string]any)) string {
	t.Helper()
	_, payload, _ := strings.Cut(l.Token(t, devissuer.GitHub), ".")
	payload, _, _ = strings.Cut(payload, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iat", "nbf", "exp"} {
		claims[name] = int64(as[float64](t, claims[name]))
	}
	change(claims)
	token, err := l.Issuer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func shift(t *testing.T, by time.Duration) func(map[string]any) {
	return func(c map[string]any) {
		for _, name := range []string{"iat", "nbf", "exp"} {
			c[name] = as[int64](t, c[name]) + int64(by.Seconds())
		}
	}
}

// otherAlgorithm signs a token's claims another way, under the same key id.
func otherAlgorithm(token, algorithm string, sign func(input string) []byte) string {
	parts := strings.Split(token, ".")
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	changed := strings.Replace(string(header), "RS256", algorithm, 1)
	input := base64.RawURLEncoding.EncodeToString([]byte(changed)) + "." + parts[1]
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

// TestBadTokens: whoever is not a CI run of ours gets 401 with a reason, or
// 403 if policy says so, and no signature.
func TestBadTokens(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	image := l.PushSmall(t, "acme/app", "1")
	body := `{"image": "` + image + `"}`
	good := l.Token(t, devissuer.GitHub)
	for _, tc := range []struct {
		name, token string
		status      int
		reason      string // the machine's word, for 401
	}{
		{"none", "", 401, "malformed"},
		{"not a token", "hello", 401, "malformed"},
		{"truncated", good[:len(good)/2], 401, "malformed"},
		{"expired", mint(t, l, shift(t, -time.Hour)), 401, "expired"},
		{"future", mint(t, l, shift(t, time.Hour)), 401, "not_yet_valid"},
		{"wrong audience", mint(t, l, func(c map[string]any) { c["aud"] = "sigstore" }), 401, "wrong_audience"},
		{"two audiences", mint(t, l, func(c map[string]any) { c["aud"] = []string{l.URL, "sigstore"} }), 401, "wrong_audience"},
		{"wrong issuer", mint(t, l, func(c map[string]any) { c["iss"] = "https://accounts.google.com" }), 401, "unknown_issuer"},
		{"issuer look-alike", mint(t, l, func(c map[string]any) { c["iss"] = as[string](t, c["iss"]) + "/" }), 401, "unknown_issuer"},
		{"alg none", otherAlgorithm(good, "none", func(string) []byte { return []byte("x") }), 401, "wrong_algorithm"},
		{"alg HS256", otherAlgorithm(good, "HS256", func(input string) []byte {
			mac := hmac.New(sha256.New, []byte("public key"))
			mac.Write([]byte(input))
			return mac.Sum(nil)
		}), 401, "wrong_algorithm"},
		{"a person", mint(t, l, func(c map[string]any) { c["email"] = "mallory@example.com" }), 401, ""},
		{"pull request", l.Token(t, devissuer.GitHub, "event_name=pull_request"), 403, ""},
		{"unprotected branch", l.Token(t, devissuer.GitHub, "ref_protected=false"), 403, ""},
		{"self-hosted runner", l.Token(t, devissuer.GitHub, "runner_environment=self-hosted"), 403, ""},
		{"other organisation", l.Token(t, devissuer.GitHub, "repository=evil/app"), 403, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, p := post(t, l, "/hallmark/v1/sign", tc.token, body)
			if status != tc.status || p.Status != tc.status || p.Detail == "" {
				t.Fatalf("answer %d, problem %+v, want %d", status, p, tc.status)
			}
			if tc.reason != "" && !strings.Contains(p.Detail, "("+tc.reason+")") {
				t.Errorf("problem %q does not name %q", p.Detail, tc.reason)
			}
			if tc.token != "" && strings.Contains(p.Detail, tc.token) {
				t.Error("the answer holds the token")
			}
		})
	}
	t.Run("1 MB", func(t *testing.T) {
		status, _ := post(t, l, "/hallmark/v1/sign", strings.Repeat("a", 1<<20), body)
		if status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("answer %d, want 431", status)
		}
	})
	t.Run("CLI", func(t *testing.T) {
		for token, want := range map[string]int{"hello": 1, l.Token(t, devissuer.GitHub, "event_name=pull_request"): 1, good: 0} {
			if r := l.Hallmark(t, token, "sign", image); r.Code != want {
				t.Errorf("exit code %d, want %d: %s", r.Code, want, r.Stderr)
			}
		}
	})
	for _, secret := range []string{good, strings.Split(good, ".")[2]} {
		if strings.Contains(l.Log(), secret) {
			t.Error("the service's log holds a token")
		}
	}
	l.Stop(t)
	if report := l.Fsck(t); !strings.Contains(report, fmt.Sprintf("entries\t%d\n", genesis+1)) {
		t.Errorf("after one good request the log holds:\n%s", report)
	}
}
