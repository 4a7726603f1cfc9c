// SPDX-License-Identifier: Apache-2.0

package devissuer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
)

const audience = "https://hallmark.corp.example"

var now = time.Unix(1_750_000_000, 0)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := devissuer.NewKey()
	if err != nil {
		panic(err)
	}
	return key
})

func newIssuer(t *testing.T, baseURL string) *devissuer.Issuer {
	t.Helper()
	i, err := devissuer.New(testKey(), baseURL)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// mint returns a token's claims as written, after checking its signature.
func mint(t *testing.T, provider string, args ...string) map[string]json.RawMessage {
	t.Helper()
	overrides, err := devissuer.ParseClaims(args)
	if err != nil {
		t.Fatal(err)
	}
	token, err := newIssuer(t, "http://127.0.0.1:8480").Mint(provider, audience, overrides, now)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(&testKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func want(t *testing.T, got map[string]json.RawMessage, expected map[string]string) {
	t.Helper()
	for name, value := range expected {
		if string(got[name]) != value {
			t.Errorf("%s is %s, want %s", name, got[name], value)
		}
	}
}

func TestGitHubDefaults(t *testing.T) {
	got := mint(t, devissuer.GitHub)
	want(t, got, map[string]string{
		"iss": `"http://127.0.0.1:8480/github"`, "aud": `"` + audience + `"`, "sub": `"repo:acme/app:ref:refs/heads/main"`,
		"iat": "1750000000", "exp": "1750000300", "nbf": "1749999400",
		"repository": `"acme/app"`, "repository_id": `"2001"`, "repository_owner": `"acme"`, "repository_owner_id": `"1001"`,
		"event_name": `"push"`, "ref": `"refs/heads/main"`, "ref_type": `"branch"`, "ref_protected": `"true"`, "base_ref": `""`, "head_ref": `""`,
		"workflow_ref":     `"acme/app/.github/workflows/release.yml@refs/heads/main"`,
		"job_workflow_ref": `"acme/app/.github/workflows/release.yml@refs/heads/main"`,
		"run_attempt":      `"1"`, "runner_environment": `"github-hosted"`,
	})
	for _, name := range []string{"run_id", "run_number", "actor_id", "jti"} {
		if len(got[name]) < 3 || got[name][0] != '"' {
			t.Errorf("%s is %s, want a string", name, got[name])
		}
	}
	if bytes.Equal(got["run_id"], mint(t, devissuer.GitHub)["run_id"]) {
		t.Error("two tokens are of the same run")
	}
	for _, name := range []string{"email", "email_verified", "environment"} {
		if _, has := got[name]; has {
			t.Errorf("has %s", name)
		}
	}
}

func TestGitHubFollows(t *testing.T) {
	const workflow = "/.github/workflows/release.yml@"
	for name, tc := range map[string]struct {
		args []string
		want map[string]string
	}{
		"repository": {[]string{"repository=other/lib"}, map[string]string{
			"repository_owner": `"other"`, "sub": `"repo:other/lib:ref:refs/heads/main"`, "workflow_ref": `"other/lib` + workflow + `refs/heads/main"`}},
		"tag": {[]string{"ref=refs/tags/v1"}, map[string]string{
			"ref_type": `"tag"`, "ref_protected": `"true"`, "job_workflow_ref": `"acme/app` + workflow + `refs/tags/v1"`}},
		"branch": {[]string{"ref=refs/heads/x"}, map[string]string{"ref_protected": `"false"`, "sub": `"repo:acme/app:ref:refs/heads/x"`}},
		"pull request": {[]string{"event_name=pull_request"}, map[string]string{
			"ref": `"refs/pull/1/merge"`, "base_ref": `"main"`, "head_ref": `"feature"`, "ref_protected": `"false"`, "sub": `"repo:acme/app:pull_request"`}},
		"pull_request_target": {[]string{"event_name=pull_request_target"}, map[string]string{
			"ref": `"refs/heads/main"`, "ref_protected": `"true"`, "base_ref": `"main"`, "sub": `"repo:acme/app:ref:refs/heads/main"`}},
		"environment": {[]string{"environment=prod:eu"}, map[string]string{
			"environment": `"prod:eu"`, "sub": `"repo:acme/app:environment:prod%3Aeu"`}},
		"reusable workflow": {[]string{"job_workflow_ref=a/b/.github/workflows/c.yml@refs/tags/v1"}, map[string]string{
			"workflow_ref": `"acme/app` + workflow + `refs/heads/main"`}},
		"types are kept": {[]string{"repository_id=7", "exp=1750000001", "new=8", "iat=null"}, map[string]string{
			"repository_id": `"7"`, "exp": "1750000001", "new": `"8"`, "iat": "null"}},
		"later wins": {[]string{"sub=a", "sub=b=c"}, map[string]string{"sub": `"b=c"`}},
	} {
		t.Run(name, func(t *testing.T) { want(t, mint(t, devissuer.GitHub, tc.args...), tc.want) })
	}
	other := mint(t, devissuer.GitHub, "repository=other/lib")
	for _, name := range []string{"repository_id", "repository_owner_id", "sha"} {
		if bytes.Equal(other[name], mint(t, devissuer.GitHub)[name]) {
			t.Errorf("another repository has the same %s", name)
		}
	}
}

func TestGitLab(t *testing.T) {
	got := mint(t, devissuer.GitLab)
	want(t, got, map[string]string{
		"iss": `"http://127.0.0.1:8480/gitlab"`, "sub": `"project_path:acme/app:ref_type:branch:ref:main"`, "nbf": "1749999995", "exp": "1750003600",
		"project_path": `"acme/app"`, "project_id": `"2001"`, "namespace_path": `"acme"`, "namespace_id": `"1001"`, "job_project_id": `"2001"`,
		"ref": `"main"`, "ref_path": `"refs/heads/main"`, "ref_type": `"branch"`, "ref_protected": `"true"`, "pipeline_source": `"push"`,
		"ci_config_ref_uri": `"gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"`, "runner_id": "12", "runner_environment": `"gitlab-hosted"`,
		"groups_direct": `["acme","acme/platform"]`,
	})
	for name, tc := range map[string]struct {
		args []string
		want map[string]string
	}{
		"short tag": {[]string{"ref_type=tag", "ref=v1"}, map[string]string{"ref_path": `"refs/tags/v1"`, "ref_protected": `"true"`,
			"ci_config_ref_uri": `"gitlab.com/acme/app//.gitlab-ci.yml@refs/tags/v1"`}},
		"full tag": {[]string{"ref_path=refs/tags/v1"}, map[string]string{"ref_type": `"tag"`, "ref": `"v1"`}},
		"subgroup": {[]string{"project_path=acme/web/app"}, map[string]string{"namespace_path": `"acme/web"`, "job_project_path": `"acme/web/app"`}},
		"merge request": {[]string{"pipeline_source=merge_request_event"}, map[string]string{"ref": `"feature"`, "ref_protected": `"false"`,
			"sub": `"project_path:acme/app:ref_type:branch:ref:feature"`}},
		"nulls": {[]string{"runner_id=null", "ci_config_ref_uri=null", "ci_config_sha=null"}, map[string]string{
			"runner_id": "null", "ci_config_ref_uri": "null", "ci_config_sha": "null"}},
		"types are kept": {[]string{"runner_id=99", "project_id=5", "groups_direct=a,b"}, map[string]string{
			"runner_id": "99", "project_id": `"5"`, "groups_direct": `["a","b"]`}},
	} {
		t.Run(name, func(t *testing.T) { want(t, mint(t, devissuer.GitLab, tc.args...), tc.want) })
	}
}

// TestDiscovery: an OIDC library finds the keys and accepts the token.
func TestDiscovery(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	i := newIssuer(t, "http://"+server.Listener.Addr().String())
	server.Config.Handler = i.Handler()
	server.Start()
	defer server.Close()
	for _, provider := range devissuer.Providers() {
		if provider == devissuer.SPIFFE {
			continue // has a bundle, no discovery
		}
		found, err := oidc.NewProvider(t.Context(), i.URL(provider))
		if err != nil {
			t.Fatal(err)
		}
		token, err := i.Mint(provider, audience, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := found.Verifier(&oidc.Config{ClientID: audience}).Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
}

func TestKeyRoundTrip(t *testing.T) {
	b, err := devissuer.MarshalKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	key, err := devissuer.ParseKey(b)
	if err != nil || !key.Equal(testKey()) {
		t.Errorf("another key came back, error %v", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("x"), "two keys": append(bytes.Clone(b), b...),
		"another kind": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"truncated":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[:9]}),
	} {
		if _, err := devissuer.ParseKey(text); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, base := range []string{"", "https://127.0.0.1", "http://ci.example", "http://127.0.0.1.evil.example", "127.0.0.1:80", "http://127.0.0.1?x"} {
		if _, err := devissuer.New(testKey(), base); err == nil {
			t.Errorf("issuer at %q", base)
		}
	}
	if _, err := devissuer.New(nil, "http://127.0.0.1"); err == nil {
		t.Error("issuer without a key")
	}
	for _, arg := range []string{"", "x", "=x"} {
		if _, err := devissuer.ParseClaims([]string{arg}); err == nil {
			t.Errorf("claim %q", arg)
		}
	}
	i := newIssuer(t, "http://127.0.0.1:1")
	for _, value := range []string{"", "x", "0x10", "NaN", "1_0", `"1"`} {
		if _, err := i.Mint(devissuer.GitHub, audience, map[string]string{"exp": value}, now); err == nil || !strings.Contains(err.Error(), "exp") {
			t.Errorf("exp=%s: %v", value, err)
		}
	}
	if _, err := i.Mint("travis", audience, nil, now); err == nil || !strings.Contains(err.Error(), "circleci") {
		t.Errorf("a token of an unknown provider: %v", err)
	}
	if _, err := i.Mint(devissuer.CircleCI, audience, map[string]string{"oidc.circleci.com/ssh-rerun": "perhaps"}, now); err == nil {
		t.Error("a boolean that is none")
	}
}
