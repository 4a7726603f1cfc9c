// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"encoding/json"
	"testing"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// gitlabClaims is a push to main of a project in a subgroup.
func (c *ci) gitlabClaims() claims {
	all := c.common()
	for name, value := range map[string]any{
		"sub":        "project_path:acme/web/app:ref_type:branch:ref:main",
		"project_id": "20", "project_path": "acme/web/app", "namespace_id": "10", "namespace_path": "acme/web",
		"job_project_id": "20", "job_project_path": "acme/web/app", "job_namespace_id": "10", "job_namespace_path": "acme/web",
		"project_visibility": "internal", "pipeline_id": "300", "pipeline_source": "push", "job_id": "4000",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "sha": commitA,
		"ci_config_ref_uri": "ci.example/acme/web/app//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": commitB,
		"runner_id": 1234567, "runner_environment": "self-hosted", "environment": "production", "environment_protected": "true",
		"user_id": "42", "user_login": "octavia", "user_email": "octavia@acme.example",
		"user_identities": []claims{{"provider": "saml", "extern_uid": "x"}}, "groups_direct": []string{"acme"},
	} {
		all[name] = value
	}
	return all
}

func TestGitLabMapping(t *testing.T) {
	c := newCI(t)
	p := wantAccepted(t, c.authenticator(t, "gitlab"), sign(t, c.gitlabClaims()))
	config := "https://ci.example/acme/web/app//.gitlab-ci.yml@refs/heads/main"
	job := "https://ci.example/acme/web/app/-/jobs/4000"
	want := certificate.Extensions{
		Issuer: c.URL, Subject: "project_path:acme/web/app:ref_type:branch:ref:main",
		BuildSignerURI: config, BuildSignerDigest: commitB, RunnerEnvironment: "self-hosted",
		SourceRepositoryURI: "https://ci.example/acme/web/app", SourceRepositoryDigest: commitA,
		SourceRepositoryRef: "refs/heads/main", SourceRepositoryIdentifier: "20",
		SourceRepositoryOwnerURI: "https://ci.example/acme/web", SourceRepositoryOwnerIdentifier: "10",
		BuildConfigURI: config, BuildConfigDigest: commitB, BuildTrigger: "push", RunInvocationURI: job,
		SourceRepositoryVisibilityAtSigning: "internal", DeploymentEnvironment: "production",
	}
	if p.Extensions != want {
		t.Errorf("extensions\n got %+v\nwant %+v", p.Extensions, want)
	}
	if p.SAN != config || p.Run != job || p.Provider != "gitlab" {
		t.Errorf("SAN %q, run %q, provider %q", p.SAN, p.Run, p.Provider)
	}
	if p.Claims["runner_id"] != json.Number("1234567") {
		t.Errorf("runner_id is %#v", p.Claims["runner_id"])
	}
}

func TestGitLabAccepts(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "gitlab")
	base := c.gitlabClaims()
	config := func(file, ref string) string { return "ci.example/acme/web/app//" + file + "@" + ref }
	tag := base.with("ref", "v1").with("ref_type", "tag").with("ref_path", "refs/tags/v1")
	for name, tc := range map[string]struct {
		claims claims
		ref    string
		san    string // below the URL
	}{
		"tag":                   {tag.with("ci_config_ref_uri", config(".gitlab-ci.yml", "refs/tags/v1")), "refs/tags/v1", "acme/web/app//.gitlab-ci.yml@refs/tags/v1"},
		"@ in the file":         {base.with("ci_config_ref_uri", config("ci/a@b.yml", "refs/heads/main")), "refs/heads/main", "acme/web/app//ci/a@b.yml@refs/heads/main"},
		"what it does not know": {base.with("runner_id", nil).with("runner_environment", nil).with("job_project_id", nil), "refs/heads/main", "acme/web/app//.gitlab-ci.yml@refs/heads/main"},
		"before 18.3":           {base.without("job_project_id", "job_project_path", "job_namespace_id", "job_namespace_path").with("ref_protected", ""), "refs/heads/main", "acme/web/app//.gitlab-ci.yml@refs/heads/main"},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantAccepted(t, a, sign(t, tc.claims))
			if p.Extensions.SourceRepositoryRef != tc.ref || p.SAN != "https://ci.example/"+tc.san {
				t.Errorf("ref %q, SAN %q", p.Extensions.SourceRepositoryRef, p.SAN)
			}
		})
	}

	t.Run("instance below a path, its own issuer", func(t *testing.T) {
		a := c.authenticator(t, "gitlab", func(cfg *identity.Config) { cfg.Sources[0].URL = "https://ci.example:8443/gitlab/" })
		p := wantAccepted(t, a, sign(t, base.with("ci_config_ref_uri", "ci.example:8443/gitlab/acme/web/app//x.yml@refs/heads/main")))
		if want := "https://ci.example:8443/gitlab/acme/web/app//x.yml@refs/heads/main"; p.SAN != want {
			t.Errorf("SAN %q, want %q", p.SAN, want)
		}
		wantRefused(t, a, sign(t, base), identity.ReasonContradiction)
	})
}

func TestGitLabRefuses(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "gitlab")
	base := c.gitlabClaims()
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"fork's merge request":             {base.with("job_project_id", "21"), identity.ReasonContradiction},
		"configuration not in the project": {base.with("ci_config_ref_uri", nil).with("ci_config_sha", nil), identity.ReasonMissingClaim},
		"configuration absent":             {base.without("ci_config_ref_uri", "ci_config_sha"), identity.ReasonMissingClaim},
		"configuration of another project": {base.with("ci_config_ref_uri", "ci.example/acme/web/other//.gitlab-ci.yml@refs/heads/main"), identity.ReasonContradiction},
		"configuration of a longer name":   {base.with("ci_config_ref_uri", "ci.example/acme/web/app2//.gitlab-ci.yml@refs/heads/main"), identity.ReasonContradiction},
		"configuration of another host":    {base.with("ci_config_ref_uri", "ci.example.evil/acme/web/app//.gitlab-ci.yml@refs/heads/main"), identity.ReasonContradiction},
		"configuration at another ref":     {base.with("ci_config_ref_uri", "ci.example/acme/web/app//.gitlab-ci.yml@refs/heads/dev"), identity.ReasonContradiction},
		"configuration with two refs":      {base.with("ci_config_ref_uri", "ci.example/acme/web/app//x.yml@refs/heads/dev@refs/heads/main"), identity.ReasonContradiction},
		"configuration without ref":        {base.with("ci_config_ref_uri", "ci.example/acme/web/app//x.yml"), identity.ReasonContradiction},
		"configuration with a scheme":      {base.with("ci_config_ref_uri", "https://ci.example/acme/web/app//.gitlab-ci.yml@refs/heads/main"), identity.ReasonContradiction},
		"configuration that climbs":        {base.with("ci_config_ref_uri", "ci.example/acme/web/app//../x.yml@refs/heads/main"), identity.ReasonContradiction},
		"project outside the namespace":    {base.with("namespace_path", "acme/we"), identity.ReasonContradiction},
		"short and full ref differ":        {base.with("ref", "dev"), identity.ReasonContradiction},
		"tag that is a branch":             {base.with("ref_type", "tag"), identity.ReasonContradiction},
		"flag that is no flag":             {base.with("ref_protected", "yes"), identity.ReasonBadClaim},
		"commit that is no commit":         {base.with("sha", "HEAD"), identity.ReasonBadClaim},
		"a person's login":                 {base.with("email", "octavia@acme.example"), identity.ReasonHumanToken},
		"# at the end of the branch": {base.with("ref", "main#").with("ref_path", "refs/heads/main#").
			with("ci_config_ref_uri", "ci.example/acme/web/app//.gitlab-ci.yml@refs/heads/main#"), identity.ReasonBadClaim},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
	typeTable{base: base,
		required: []string{"sub", "project_id", "project_path", "namespace_id", "namespace_path", "pipeline_id", "pipeline_source", "job_id",
			"ref", "ref_type", "ref_path", "sha"},
		optional: []string{"job_project_id", "job_namespace_id", "job_project_path", "ref_protected", "ci_config_ref_uri", "ci_config_sha",
			"runner_id", "runner_environment", "project_visibility", "environment", "environment_protected", "deployment_tier"},
		numbers: map[string]bool{"runner_id": true},
	}.run(t, a)
}
