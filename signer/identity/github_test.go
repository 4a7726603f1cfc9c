// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"encoding/json"
	"testing"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// githubClaims is a push to main of acme/app that calls a reusable workflow.
func (c *ci) githubClaims() claims {
	all := c.common()
	for name, value := range map[string]any{
		"sub":        "repo:acme/app:ref:refs/heads/main",
		"repository": "acme/app", "repository_id": "1234567890", "repository_owner": "acme", "repository_owner_id": "65",
		"repository_visibility": "private", "event_name": "push",
		"ref": "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "base_ref": "", "head_ref": "",
		"sha": commitA, "workflow": "Release", "environment": "production",
		"workflow_ref": "acme/app/.github/workflows/ci.yml@refs/heads/main", "workflow_sha": commitB,
		"job_workflow_ref": "acme/builders/.github/workflows/build.yaml@refs/tags/v1", "job_workflow_sha": commitC,
		"runner_environment": "github-hosted", "run_id": "9876543210", "run_number": "7", "run_attempt": "2",
		"actor": "octocat", "actor_id": "583231",
	} {
		all[name] = value
	}
	return all
}

func TestGitHubMapping(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	token := sign(t, c.githubClaims())
	p := wantAccepted(t, a, token)

	want := certificate.Extensions{
		Issuer: c.URL, Subject: "repo:acme/app:ref:refs/heads/main",
		GithubWorkflowTrigger: "push", GithubWorkflowSHA: commitA, GithubWorkflowName: "Release",
		GithubWorkflowRepository: "acme/app", GithubWorkflowRef: "refs/heads/main",
		BuildSignerURI:    "https://ci.example/acme/builders/.github/workflows/build.yaml@refs/tags/v1",
		BuildSignerDigest: commitC, RunnerEnvironment: "github-hosted",
		SourceRepositoryURI: "https://ci.example/acme/app", SourceRepositoryDigest: commitA,
		SourceRepositoryRef: "refs/heads/main", SourceRepositoryIdentifier: "1234567890",
		SourceRepositoryOwnerURI: "https://ci.example/acme", SourceRepositoryOwnerIdentifier: "65",
		BuildConfigURI:    "https://ci.example/acme/app/.github/workflows/ci.yml@refs/heads/main",
		BuildConfigDigest: commitB, BuildTrigger: "push",
		RunInvocationURI:                    "https://ci.example/acme/app/actions/runs/9876543210/attempts/2",
		SourceRepositoryVisibilityAtSigning: "private", DeploymentEnvironment: "production",
	}
	if p.Extensions != want {
		t.Errorf("extensions\n got %+v\nwant %+v", p.Extensions, want)
	}
	for name, pair := range map[string][2]string{
		"identity": {p.Identity, "ci"}, "provider": {p.Provider, "github"}, "issuer": {p.Issuer, c.URL},
		"subject": {p.Subject, "repo:acme/app:ref:refs/heads/main"},
		"SAN":     {p.SAN, want.BuildSignerURI}, "run": {p.Run, want.RunInvocationURI}, "token id": {p.TokenID, "jti:token-1"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", name, pair[0], pair[1])
		}
	}
	if got := p.Expiry.Unix(); got != start.Unix()+300 {
		t.Errorf("expiry %d", got)
	}
	if n, ok := p.Claims["iat"].(json.Number); !ok || n != "1750000000" {
		t.Errorf("iat is %#v, want the number as written", p.Claims["iat"])
	}
	if id, ok := p.Claims["repository_id"].(string); !ok || id != "1234567890" {
		t.Errorf("repository_id is %#v, want the string as written", p.Claims["repository_id"])
	}
}

func TestGitHubAccepts(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	base := c.githubClaims()
	onRef := func(ref, kind string) claims {
		return base.with("ref", ref).with("ref_type", kind).with("workflow_ref", "acme/app/.github/workflows/ci.yml@"+ref)
	}
	calling := func(job string) claims { return base.with("job_workflow_ref", job) }
	for name, tc := range map[string]struct {
		claims claims
		san    string // below the URL
	}{
		"own workflow":              {calling("acme/app/.github/workflows/ci.yml@refs/heads/main"), "acme/app/.github/workflows/ci.yml@refs/heads/main"},
		"workflow pinned to commit": {calling("acme/b/.github/workflows/b.yml@" + commitA), "acme/b/.github/workflows/b.yml@" + commitA},
		"organisation's .github":    {calling("acme/.github/.github/workflows/b.yml@refs/heads/main"), "acme/.github/.github/workflows/b.yml@refs/heads/main"},
		"@ in the file name":        {calling("acme/b/.github/workflows/a@b.yml@refs/heads/main"), "acme/b/.github/workflows/a@b.yml@refs/heads/main"},
		"@ in the branch":           {calling("acme/b/.github/workflows/b.yml@refs/heads/dependabot/npm/@types/node"), "acme/b/.github/workflows/b.yml@refs/heads/dependabot/npm/@types/node"},
		"branch main@x":             {calling("acme/b/.github/workflows/b.yml@refs/heads/main@x"), "acme/b/.github/workflows/b.yml@refs/heads/main@x"},
		"letters beyond ASCII":      {calling("acme/b/.github/workflows/b.yml@refs/heads/ä"), "acme/b/.github/workflows/b.yml@refs/heads/%C3%A4"},
		"# in the branch":           {calling("acme/b/.github/workflows/b.yml@refs/heads/fix#1"), "acme/b/.github/workflows/b.yml@refs/heads/fix#1"},
		"pull request":              {onRef("refs/pull/12/merge", "branch").with("event_name", "pull_request").with("base_ref", "main").with("head_ref", "x"), ""},
		"tag":                       {onRef("refs/tags/v1", "tag").with("event_name", "release"), ""},
		"branch named as a tag":     {onRef("refs/heads/refs/tags/v1", "branch"), ""},
		"workflow of an organisation's rule": {
			base.with("workflow_ref", "acme/rules/.github/workflows/r.yml@refs/heads/other"), ""},
		"customised sub":          {base.with("sub", "repository_owner:evil:repo:other/app:ref:refs/tags/v1"), ""},
		"owner in another case":   {base.with("repository_owner", "Acme"), ""},
		"no optional claims":      {base.without("environment", "workflow", "ref_type", "ref_protected", "base_ref", "head_ref", "actor", "actor_id", "repository_visibility"), ""},
		"a claim of tomorrow":     {base.with("repo_property_tier", "gold").with("new", []int{1}), ""},
		"large number kept exact": {base.with("new", json.Number("12345678901234567890")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := wantAccepted(t, a, sign(t, tc.claims))
			want := "https://ci.example/acme/builders/.github/workflows/build.yaml@refs/tags/v1"
			if tc.san != "" {
				want = "https://ci.example/" + tc.san
			}
			if p.SAN != want || p.Extensions.BuildSignerURI != want {
				t.Errorf("SAN %q, signer %q, want %q", p.SAN, p.Extensions.BuildSignerURI, want)
			}
			if p.Extensions.SourceRepositoryURI != "https://ci.example/acme/app" {
				t.Errorf("repository %q", p.Extensions.SourceRepositoryURI)
			}
			for name, value := range tc.claims {
				wantJSON, _ := json.Marshal(value)
				if got, _ := json.Marshal(p.Claims[name]); string(got) != string(wantJSON) {
					t.Errorf("claim %s is %s, want %s", name, got, wantJSON)
				}
			}
		})
	}
}

func TestGitHubRefuses(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "github")
	base := c.githubClaims()
	job := func(ref string) claims { return base.with("job_workflow_ref", ref) }
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"id with letters":               {base.with("repository_id", "12x"), identity.ReasonBadClaim},
		"id with a sign":                {base.with("repository_id", "-12"), identity.ReasonBadClaim},
		"id with an exponent":           {base.with("run_id", "1e9"), identity.ReasonBadClaim},
		"short commit":                  {base.with("sha", "abc123"), identity.ReasonBadClaim},
		"flag of another spelling":      {base.with("ref_protected", "True"), identity.ReasonBadClaim},
		"repository of somebody else":   {base.with("repository", "evil/app"), identity.ReasonContradiction},
		"repository without owner":      {base.with("repository", "acme"), identity.ReasonContradiction},
		"repository of three parts":     {base.with("repository", "acme/app/x"), identity.ReasonContradiction},
		"repository that climbs":        {base.with("repository", "acme/.."), identity.ReasonBadClaim},
		"repository with a query":       {base.with("repository", "acme/app?x"), identity.ReasonBadClaim},
		"short ref":                     {base.with("ref", "main"), identity.ReasonBadClaim},
		"ref that climbs":               {base.with("ref", "refs/heads/../tags/v1"), identity.ReasonBadClaim},
		"ref type unknown":              {base.with("ref_type", "commit"), identity.ReasonBadClaim},
		"branch that calls itself tag":  {base.with("ref_type", "tag"), identity.ReasonContradiction},
		"workflow at another ref":       {base.with("workflow_ref", "acme/app/.github/workflows/ci.yml@refs/heads/dev"), identity.ReasonContradiction},
		"ref of two refs":               {base.with("ref", "refs/heads/x.yml@refs/heads/main"), identity.ReasonBadClaim},
		"workflow with two refs":        {job("acme/b/.github/workflows/b.yml@refs/heads/x.yml@refs/heads/main"), identity.ReasonBadClaim},
		"file name that holds a ref":    {job("acme/b/.github/workflows/b.yml@x.yml@refs/heads/main"), identity.ReasonBadClaim},
		"workflow without ref":          {job("acme/b/.github/workflows/b.yml"), identity.ReasonBadClaim},
		"workflow with an empty ref":    {job("acme/b/.github/workflows/b.yml@"), identity.ReasonBadClaim},
		"workflow at a short ref":       {job("acme/b/.github/workflows/b.yml@main"), identity.ReasonBadClaim},
		"workflow outside the folder":   {job("acme/b/workflows/b.yml@refs/heads/main"), identity.ReasonBadClaim},
		"workflow in a folder":          {job("acme/b/.github/workflows/x/b.yml@refs/heads/main"), identity.ReasonBadClaim},
		"workflow that is not YAML":     {job("acme/b/.github/workflows/b.sh@refs/heads/main"), identity.ReasonBadClaim},
		"workflow of no repository":     {job("/.github/workflows/b.yml@refs/heads/main"), identity.ReasonBadClaim},
		"workflow on another host":      {job("evil.example/acme/b/.github/workflows/b.yml@refs/heads/main"), identity.ReasonBadClaim},
		"# at the end of the branch":    {job("acme/b/.github/workflows/b.yml@refs/heads/main#"), identity.ReasonBadClaim},
		"? and # at the end":            {job("acme/b/.github/workflows/b.yml@refs/heads/main?#"), identity.ReasonBadClaim},
		"percent in the branch":         {job("acme/b/.github/workflows/b.yml@refs/heads/%C3%A4"), identity.ReasonBadClaim},
		"line break in the event":       {base.with("event_name", "push\n"), identity.ReasonBadClaim},
		"lone surrogate, replaced":      {base.with("event_name", "push\uFFFD"), identity.ReasonBadClaim},
		"null where GitHub writes none": {base.with("environment", nil), identity.ReasonWrongType},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
	typeTable{base: base,
		required: []string{"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "event_name", "ref", "sha",
			"workflow_ref", "workflow_sha", "job_workflow_ref", "job_workflow_sha", "runner_environment", "run_id", "run_number", "run_attempt"},
		optional: []string{"jti", "ref_type", "ref_protected", "base_ref", "head_ref", "workflow", "repository_visibility", "environment",
			"actor", "actor_id", "enterprise", "enterprise_id", "environment_node_id", "check_run_id"},
	}.run(t, a)
}
