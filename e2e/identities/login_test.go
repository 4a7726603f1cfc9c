// SPDX-License-Identifier: Apache-2.0

package identities

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// clientID is what the provider knows this test as: the audience of its tokens.
const clientID = "web"

// startOP runs a real OpenID provider, the example server of
// github.com/zitadel/oidc, and returns its issuer.
func startOP(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(lab.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(stock.Tool(t, "openid-provider")) //nolint:noctx // ended with the test
	cmd.Env = []string{"PORT=" + port}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has no other end
		_ = cmd.Wait()
	})
	issuer := "http://localhost:" + port + "/"
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(issuer + ".well-known/openid-configuration") //nolint:noctx // bounded by the deadline
		if err == nil {
			_ = resp.Body.Close() // only whether it answers
			return issuer
		}
		if time.Now().After(deadline) {
			t.Fatalf("the OpenID provider does not answer: %v", err)
		}
	}
}

// login logs a person in with a browser's requests, and returns the ID token.
func login(t *testing.T, issuer string) string {
	t.Helper()
	const callback = "http://localhost:9999/auth/callback"
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(req *http.Request) *http.Response {
		t.Helper()
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	location := func(req *http.Request) *url.URL {
		t.Helper()
		resp := send(req)
		defer func() { _ = resp.Body.Close() }() // not needed
		to, err := resp.Location()
		if err != nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
			t.Fatalf("%s: %v: %s", resp.Request.URL, err, body)
		}
		return to
	}
	get := func(where string) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, where, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	post := func(where string, form url.Values) *http.Request {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, where, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return req
	}
	query := url.Values{"client_id": {clientID}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile email"}, "state": {"s"}, "nonce": {"n"}}
	form := location(get(issuer + "auth?" + query.Encode()))
	back := location(post(issuer+"login/username", url.Values{
		"id": {form.Query().Get("authRequestID")}, "username": {"test-user@localhost"}, "password": {"verysecure"},
	}))
	code := location(get(back.String())).Query().Get("code")
	exchange := post(issuer+"oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}})
	exchange.SetBasicAuth(clientID, "secret")
	resp := send(exchange)
	defer func() { _ = resp.Body.Close() }() // read below
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&tokens); err != nil || tokens.IDToken == "" {
		t.Fatalf("no ID token: %v, %s", err, resp.Status)
	}
	return tokens.IDToken
}

// TestLogin: somebody configures a company's login server as if it were a CI,
// under a name that no list knows, with the audience that its tokens have. A
// person who logs in there signs nothing.
func TestLogin(t *testing.T) {
	const generic = `url: "https://ci.example", generic: {run: "{build_url}", san: "https://ci.example/{sub}", sanPrefix: "https://ci.example/"}`
	for name, tc := range map[string]struct {
		source string // ISSUER stands for the provider's
		code   int
		says   string
	}{
		"as GitHub": {`provider: github, issuer: "ISSUER", url: "https://github.com"`, 1, "human_token"},
		"as any CI": {"provider: generic, issuer: \"ISSUER\", jwksURI: \"ISSUERkeys\", " + generic, 1, "human_token"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := startOP(t)
			l := lab.Start(t, lab.Options{
				Audience:   clientID,
				Identities: fmt.Sprintf("- {name: people, %s}", strings.ReplaceAll(tc.source, "ISSUER", issuer)),
			})
			image := l.PushSmall(t, "acme/app", "login")
			got := l.Hallmark(t, login(t, issuer), "sign", image)
			if got.Code != tc.code || !strings.Contains(got.Stderr, tc.says) {
				t.Errorf("exit code %d: %s", got.Code, got.Stderr)
			}
		})
	}
}
