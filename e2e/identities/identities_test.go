// SPDX-License-Identifier: Apache-2.0

// Package identities tests who may ask for signatures, as CI jobs and people
// see it: the tokens of every kind of CI, and those of a real login.
package identities

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

func TestMain(m *testing.M) { lab.Main(m) }

// circleDefinition follows from the development project's id.
const circleDefinition = "https://circleci.com/api/v2/projects/00000000-0000-4000-8000-000000002001/pipeline-definitions/00000000-0000-4000-8000-003467363188"

// TestEveryProvider: a job of every kind of CI signs, and stock cosign says of
// whom the signature is. A job that is like it but for one thing does not.
func TestEveryProvider(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	unknown := login(t, startOP(t))
	for provider, tc := range map[string]struct {
		san, issuer string
		refused     []string // claims of a job that may not, one a token
	}{
		devissuer.GitHub: {"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", l.Issuer.URL(devissuer.GitHub),
			[]string{"event_name=pull_request_target", "runner_environment=self-hosted", "ref=refs/heads/feature", "run_id="}},
		devissuer.GitLab: {"https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main", l.Issuer.URL(devissuer.GitLab),
			[]string{"pipeline_source=merge_request_event", "ref_protected=false", "job_id="}},
		devissuer.Buildkite: {"https://buildkite.com/acme/app", l.Issuer.URL(devissuer.Buildkite),
			[]string{"organization_id=", "organization_slug=mallory", "build_source=ui", "job_id="}},
		devissuer.CircleCI: {circleDefinition, l.Issuer.URL(devissuer.CircleCI),
			[]string{"oidc.circleci.com/ssh-rerun=true", "oidc.circleci.com/vcs-origin=github.com/mallory/app", "oidc.circleci.com/job-id="}},
		devissuer.Kubernetes: {"https://kubernetes.io/namespaces/acme-ci/serviceaccounts/release", l.Issuer.URL(devissuer.Kubernetes),
			[]string{"namespace=default", "pod.uid="}},
		devissuer.SPIFFE: {"spiffe://ci.acme.example/ns/acme-ci/sa/release", "spiffe://ci.acme.example",
			[]string{"sub=spiffe://ci.acme.example/ns/acme-ci/sa/other", "sub=spiffe://evil.example/ns/acme-ci/sa/release"}},
		devissuer.Jenkins: {"https://jenkins.acme.example/job/acme/job/app/job/main/", l.Issuer.URL(devissuer.Jenkins),
			[]string{"git_branch=PR-1", "sub=https://jenkins.acme.example/job/other/job/main/", "build_url="}},
	} {
		t.Run(provider, func(t *testing.T) {
			image := l.PushSmall(t, "acme/app", provider)
			for _, claims := range append(tc.refused, "email=jane@acme.example") {
				if got := l.Hallmark(t, l.Token(t, provider, claims), "sign", image); got.Code != 1 {
					t.Errorf("a job with %s: exit code %d: %s%s", claims, got.Code, got.Stdout, got.Stderr)
				}
			}
			got := l.Hallmark(t, l.Token(t, provider), "sign", image, "-o", "json")
			if got.Code != 0 {
				t.Fatalf("sign: exit code %d: %s", got.Code, got.Stderr)
			}
			var receipt signer.Receipt
			if err := json.Unmarshal([]byte(got.Stdout), &receipt); err != nil || receipt.Identity != tc.san || receipt.Issuer != tc.issuer {
				t.Errorf("receipt of %s, issuer %s: %v", receipt.Identity, receipt.Issuer, err)
			}
			// What differs between the two versions does not depend on the CI: one
			// of them each, and both where the URI is of another kind.
			versions := []string{stock.CosignV2}
			if provider == devissuer.SPIFFE {
				versions = []string{stock.CosignV2, stock.CosignV3}
			}
			for _, version := range versions {
				got := stock.Cosign(t, version, "verify", "--trusted-root", l.TrustedRoot(),
					"--certificate-identity", tc.san, "--certificate-oidc-issuer", tc.issuer, image)
				if got.Code != 0 {
					t.Errorf("%s: exit code %d: %s", version, got.Code, got.Stderr)
				}
			}
		})
	}
	t.Run("a person", func(t *testing.T) {
		image := l.PushSmall(t, "acme/app", "person")
		if got := l.Hallmark(t, unknown, "sign", image); got.Code != 1 || !strings.Contains(got.Stderr, "unknown_issuer") {
			t.Errorf("exit code %d: %s", got.Code, got.Stderr)
		}
	})
	l.Stop(t)
	l.Fsck(t)
	t.Run("a login server in the configuration", func(t *testing.T) { refusesToStart(t, l) })
}

// refusesToStart configures well-known places where people log in.
func refusesToStart(t *testing.T, l *lab.Lab) {
	path := filepath.Join(l.Dir, "hallmark.yaml")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range []string{
		"https://accounts.google.com", "https://github.com/login/oauth", "https://acme.okta.com", "https://login.microsoftonline.com/acme/v2.0",
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", "https://sso.corp.example/realms/staff",
	} {
		config := strings.Replace(string(good), "identities:\n", "identities:\n- {name: people, provider: github, issuer: \""+issuer+"\", url: https://github.com}\n", 1)
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := l.Server(t, "serve"); got.Code != 2 || !strings.Contains(got.Stderr, "people log in") {
			t.Errorf("%s: exit code %d: %s", issuer, got.Code, got.Stderr)
		}
	}
}
