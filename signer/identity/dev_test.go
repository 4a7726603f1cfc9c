// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

// TestDevelopmentIssuer: its tokens pass here as real ones would, and what it
// derives from an override agrees with itself.
func TestDevelopmentIssuer(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	dev, err := devissuer.New(keyA(), "http://"+server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = dev.Handler()
	server.Start()
	t.Cleanup(server.Close)
	var sources []identity.Source
	if err := yaml.Unmarshal([]byte(dev.Sources()), &sources); err != nil {
		t.Fatal(err)
	}
	now := time.Now() // the time of go-spiffe, which reads JWT-SVIDs
	a, err := identity.New(identity.Config{Audience: audience, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	const (
		refused    = "-"
		definition = "00000000-0000-4000-8000-003467363188" // follows from the project
	)
	for name, tc := range map[string]struct {
		provider  string
		overrides map[string]string
		san       string
	}{
		"GitHub push":         {"github", nil, "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"},
		"GitHub tag":          {"github", map[string]string{"ref": "refs/tags/v1"}, "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"},
		"GitHub pull request": {"github", map[string]string{"event_name": "pull_request"}, "https://github.com/acme/app/.github/workflows/release.yml@refs/pull/1/merge"},
		"GitHub fork":         {"github", map[string]string{"repository": "mallory/app"}, "https://github.com/mallory/app/.github/workflows/release.yml@refs/heads/main"},
		"GitHub builder":      {"github", map[string]string{"job_workflow_ref": "acme/b/.github/workflows/b.yml@refs/tags/v1"}, "https://github.com/acme/b/.github/workflows/b.yml@refs/tags/v1"},
		"GitLab push":         {"gitlab", nil, "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"},
		"GitLab tag":          {"gitlab", map[string]string{"ref_path": "refs/tags/v1"}, "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/tags/v1"},
		"GitLab subgroup":     {"gitlab", map[string]string{"project_path": "acme/web/app", "runner_id": "null"}, "https://gitlab.com/acme/web/app//.gitlab-ci.yml@refs/heads/main"},
		"GitLab merge":        {"gitlab", map[string]string{"pipeline_source": "merge_request_event"}, "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/feature"},
		"GitLab fork's merge": {"gitlab", map[string]string{"project_path": "mallory/app", "job_project_path": "acme/app"}, refused},
		"a person":            {"github", map[string]string{"email": "jane@acme.example"}, refused},
		"no run":              {"github", map[string]string{"run_id": ""}, refused},
		"expired":             {"github", map[string]string{"exp": "1749999000", "iat": "1749998900"}, refused},
		"Buildkite":           {"buildkite", nil, "https://buildkite.com/acme/app"},
		"Buildkite, no ids":   {"buildkite", map[string]string{"organization_id": "", "pipeline_id": ""}, refused},
		"CircleCI":            {"circleci", nil, "https://circleci.com/api/v2/projects/00000000-0000-4000-8000-000000002001/pipeline-definitions/" + definition},
		"Kubernetes":          {"kubernetes", nil, "https://kubernetes.io/namespaces/acme-ci/serviceaccounts/release"},
		"Kubernetes, no pod":  {"kubernetes", map[string]string{"pod.uid": ""}, refused},
		"SPIFFE":              {"spiffe", nil, "spiffe://ci.acme.example/ns/acme-ci/sa/release"},
		"SPIFFE elsewhere":    {"spiffe", map[string]string{"sub": "spiffe://evil.example/ns/acme-ci/sa/release"}, refused},
		"Jenkins":             {"jenkins", nil, "https://jenkins.acme.example/job/acme/job/app/job/main/"},
		"Jenkins elsewhere":   {"jenkins", map[string]string{"sub": "https://jenkins.acme.example/job/other/"}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := dev.Mint(tc.provider, audience, tc.overrides, now)
			if err != nil {
				t.Fatal(err)
			}
			p, err := a.Authenticate(t.Context(), token)
			if (err != nil) != (tc.san == refused) {
				t.Fatal(err)
			}
			if err == nil && (p.SAN != tc.san || p.Identity != tc.provider) {
				t.Errorf("%s is %q, want %q", p.Identity, p.SAN, tc.san)
			}
		})
	}
	t.Run("one issuer's token at the other", func(t *testing.T) {
		token, err := dev.Mint("github", audience, map[string]string{"iss": dev.URL("gitlab")}, now)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, a, token, identity.ReasonMissingClaim)
	})
}
