// SPDX-License-Identifier: Apache-2.0

package devissuer_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"go.yaml.in/yaml/v3"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
)

// TestShapes: the types that each CI gives its claims, and what follows from an
// override.
func TestShapes(t *testing.T) {
	const circle = "oidc.circleci.com/"
	for name, tc := range map[string]struct {
		provider string
		args     []string
		want     map[string]string
	}{
		"Buildkite": {devissuer.Buildkite, nil, map[string]string{
			"organization_slug": `"acme"`, "organization_id": `"00000000-0000-4000-8000-000000001001"`, "pipeline_id": `"00000000-0000-4000-8000-000000002001"`,
			"build_number": "17", "build_tag": "null", "step_key": "null", "build_source": `"webhook"`, "runner_environment": `"buildkite-hosted"`}},
		"Buildkite of another pipeline": {devissuer.Buildkite, []string{"pipeline_slug=other", "build_branch=x"}, map[string]string{
			"organization_id": `"00000000-0000-4000-8000-000000001001"`, "build_branch": `"x"`}},
		"CircleCI": {devissuer.CircleCI, nil, map[string]string{
			circle + "ssh-rerun": "false", circle + "vcs-origin": `"github.com/acme/app"`, circle + "vcs-ref": `"refs/heads/main"`,
			circle + "context-ids": `["` + devissuer.CircleContext + `"]`, circle + "org-id": `"00000000-0000-4000-8000-000000001001"`}},
		"CircleCI by SSH": {devissuer.CircleCI, []string{circle + "ssh-rerun=true"}, map[string]string{circle + "ssh-rerun": "true"}},
		"Kubernetes": {devissuer.Kubernetes, []string{"namespace=other"}, map[string]string{
			"sub": `"system:serviceaccount:other:release"`, "aud": `["` + audience + `"]`}},
		"Kubernetes of a person": {devissuer.Kubernetes, []string{"pod.uid=", "serviceaccount.uid=u"}, map[string]string{
			"kubernetes.io": `{"namespace":"acme-ci","serviceaccount":{"name":"release","uid":"u"},"warnafter":1750003600}`}},
		"SPIFFE": {devissuer.SPIFFE, nil, map[string]string{"sub": `"spiffe://ci.acme.example/ns/acme-ci/sa/release"`, "aud": `["` + audience + `"]`, "iss": ""}},
		"Jenkins": {devissuer.Jenkins, []string{"git_branch=feature"}, map[string]string{
			"sub": `"https://jenkins.acme.example/job/acme/job/app/job/feature/"`, "build_number": "42", "jti": "", "nbf": "",
			"build_url": `"https://jenkins.acme.example/job/acme/job/app/job/feature/42/"`}},
		"Jenkins by its provider's name": {"generic", nil, map[string]string{"build_number": "42", "iss": `"http://127.0.0.1:8480/jenkins"`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := mint(t, tc.provider, tc.args...)
			want(t, got, tc.want)
			for _, part := range []string{"namespace", "pod.uid"} {
				if _, has := got[part]; has {
					t.Errorf("a claim %s of its own", part)
				}
			}
		})
	}
}

// TestSources: every shape but those left out is configured once.
func TestSources(t *testing.T) {
	var sources []map[string]any
	if err := yaml.Unmarshal([]byte(newIssuer(t, "http://127.0.0.1:8480").Sources("gitlab", "spiffe")), &sources); err != nil {
		t.Fatal(err)
	}
	if len(sources) != len(devissuer.Providers())-2 {
		t.Errorf("%d sources", len(sources))
	}
	for _, s := range sources {
		issuer, _ := s["issuer"].(string)
		if name, _ := s["name"].(string); issuer != "http://127.0.0.1:8480/"+name {
			t.Errorf("source %v", s)
		}
	}
}

// TestBundle: SPIFFE's own library reads the trust domain's bundle.
func TestBundle(t *testing.T) {
	recorder := httptest.NewRecorder()
	newIssuer(t, "http://127.0.0.1:8480").Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/spiffe/bundle", http.NoBody))
	bundle, err := spiffebundle.Read(spiffeid.RequireTrustDomainFromString(devissuer.TrustDomain), recorder.Body)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(bundle.JWTAuthorities()); n != 1 {
		t.Errorf("%d keys for JWT-SVIDs", n)
	}
	token, err := newIssuer(t, "http://127.0.0.1:8480").Mint(devissuer.SPIFFE, audience, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil || json.Unmarshal(raw, &header) != nil {
		t.Fatalf("header %q: %v", raw, err)
	}
	if _, ok := bundle.FindJWTAuthority(header.Kid); !ok {
		t.Errorf("the token's key %q is not in the bundle", header.Kid)
	}
}
