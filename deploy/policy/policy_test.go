// SPDX-License-Identifier: Apache-2.0

package policyfiles_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/policy"
)

// jobs mints tokens of the development issuer and asks the shipped policy about them.
type jobs struct {
	issuer *devissuer.Issuer
	policy *policy.SigningPolicy
}

func newJobs(t *testing.T) jobs {
	t.Helper()
	key, err := devissuer.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := devissuer.New(key, "http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseSigningPolicy(policyfiles.SigningPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return jobs{issuer, p}
}

// claims are those of a job that overrides some, given as NAME=VALUE words.
func (j jobs) claims(t *testing.T, provider, overrides string) map[string]any {
	t.Helper()
	parsed, err := devissuer.ParseClaims(strings.Fields(overrides))
	if err != nil {
		t.Fatal(err)
	}
	token, err := j.issuer.Mint(provider, "https://hallmark.example", parsed, time.Unix(1_800_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, strings.Split(token, ".")[1])
}

func decode(t *testing.T, part string) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func (j jobs) decide(identity string, claims map[string]any, repository string) policy.Decision {
	subject, _ := claims["sub"].(string)
	return j.policy.Decide(policy.Input{
		Action: policy.ActionSign, Identity: identity, Provider: identity, Subject: subject, Claims: claims, Repository: repository, Kind: policy.KindIndex,
		Digest: "sha256:" + strings.Repeat("0", 64), MediaType: "application/vnd.oci.image.index.v1+json",
	})
}

// certificate asks for a certificate instead.
func (j jobs) certificate(identity string, claims map[string]any) policy.Decision {
	return j.policy.Decide(policy.Input{Action: policy.ActionCertificate, Identity: identity, Provider: identity, Claims: claims})
}

// TestShippedPolicyOnCertificates: who may not have an image signed gets no
// certificate either, and Kubernetes gets none.
func TestShippedPolicyOnCertificates(t *testing.T) {
	j := newJobs(t)
	for _, test := range []struct {
		identity, overrides string
		granted             bool
	}{
		{"github", "", true},
		{"github", "repository_owner_id=1002", false},
		{"github", "event_name=pull_request_target", false},
		{"github", "ref_protected=false", false},
		{"github", "runner_environment=self-hosted", false},
		{"github", "job_workflow_ref=evil/x/.github/workflows/r.yml@refs/heads/main", false},
		{"gitlab", "", true},
		{"gitlab", "namespace_id=1002", false},
		{"gitlab", "pipeline_source=merge_request_event", false},
		{"gitlab", "runner_environment=self-hosted", false},
	} {
		if _, ok := j.certificate(test.identity, j.claims(t, test.identity, test.overrides)).Grant(); ok != test.granted {
			t.Errorf("%s %s: granted %v", test.identity, test.overrides, ok)
		}
	}
	if _, ok := j.certificate("kubernetes", map[string]any{}).Grant(); ok {
		t.Error("kubernetes: granted")
	}
}

func TestShippedPolicyOnDevelopmentTokens(t *testing.T) {
	j := newJobs(t)
	for _, test := range []struct{ identity, overrides, refuse string }{
		{"github", "", ""},
		{"github", "ref=refs/tags/v1.2.3", ""},
		{"github", "event_name=release", ""},
		{"github", "event_name=workflow_dispatch", ""},
		{"github", "event_name=schedule", ""},
		{"github", "repository=acme/other", ""},
		{"github", "ref=refs/heads/feature", `condition "protected-ref" failed: ref_protected is "false"; sign from a protected branch or tag`},
		{"github", "event_name=pull_request", `condition "trigger" failed: event_name is "pull_request"`},
		{"github", "event_name=pull_request_target", `condition "trigger" failed`},
		{"github", "event_name=workflow_run", `condition "trigger" failed`},
		{"github", "event_name=issue_comment", `condition "trigger" failed`},
		{"github", "event_name=merge_group", `condition "trigger" failed`},
		{"github", "event_name=Push", `condition "trigger" failed`},
		{"github", "head_ref=feature", `condition "not-a-pull-request" failed`},
		{"github", "repository=mallory/app", `condition "own-organisation" failed: repository_owner_id is`},
		{"github", "repository_owner_id=10010", `condition "own-organisation" failed: repository_owner_id is "10010"`},
		{"github", "runner_environment=self-hosted", `condition "hosted-runner" failed: runner_environment is "self-hosted"`},
		{"github", "ref=refs/pull/1/merge ref_protected=true", `condition "branch-or-tag" failed`},
		{"github", "job_workflow_ref=mallory/x/.github/workflows/a.yml@refs/heads/main", `condition "own-workflow" failed`},
		{"gitlab", "", ""},
		{"gitlab", "ref_path=refs/tags/v1", ""},
		{"gitlab", "project_path=acme/other", ""},
		{"gitlab", "pipeline_source=merge_request_event ref_protected=true", `condition "trigger" failed: pipeline_source is "merge_request_event"`},
		{"gitlab", "pipeline_source=trigger", `condition "trigger" failed`},
		{"gitlab", "project_path=mallory/app job_project_path=acme/app", `condition "own-pipeline" failed`},
		{"gitlab", "job_project_path=mallory/app", `condition "own-pipeline" failed`},
		{"gitlab", "project_path=mallory/app", `condition "own-group" failed`},
		{"gitlab", "ref_path=refs/heads/feature", `condition "protected-ref" failed`},
		{"gitlab", "ref_protected=", `condition "protected-ref" failed: ref_protected is ""`},
		{"gitlab", "ci_config_ref_uri=null", `condition "own-configuration" failed: ci_config_ref_uri is null`},
		{"gitlab", "ci_config_ref_uri=gitlab.com/acme/app-2//.gitlab-ci.yml@refs/heads/main", `condition "own-configuration" failed`},
		{"gitlab", "runner_environment=self-hosted", `condition "hosted-runner" failed`},
		{"gitlab", "runner_environment=null", `condition "hosted-runner" failed`},
		{"buildkite", "", ""},
		{"buildkite", "build_source=schedule", ""},
		{"buildkite", "organization_slug=mallory", `condition "own-organisation" failed: organization_id is`},
		{"buildkite", "pipeline_slug=other", `condition "own-pipeline" failed`},
		{"buildkite", "organization_id=00000000-0000-4000-8000-000000001009", `condition "own-organisation" failed`},
		{"buildkite", "build_source=ui", `condition "trigger" failed: build_source is "ui"`},
		{"buildkite", "build_source=api", `condition "trigger" failed`},
		{"buildkite", "build_source=trigger_job", `condition "trigger" failed`},
		{"buildkite", "build_branch=feature", `condition "release-branch" failed`},
		{"buildkite", "build_branch=mallory:main", `condition "release-branch" failed`},
		{"buildkite", "runner_environment=self-hosted", `condition "hosted-runner" failed`},
		{"circleci", "", ""},
		{"circleci", "oidc.circleci.com/vcs-ref=refs/tags/v1.2.3", ""},
		{"circleci", "oidc.circleci.com/ssh-rerun=true", `condition "nobody-inside" failed`},
		{"circleci", "oidc.circleci.com/org-id=00000000-0000-4000-8000-000000001009", `condition "own-organisation" failed`},
		{"circleci", "oidc.circleci.com/project-id=00000000-0000-4000-8000-000000002009", `condition "own-project" failed`},
		{"circleci", "oidc.circleci.com/vcs-origin=github.com/mallory/app", `condition "own-repository" failed`},
		{"circleci", "oidc.circleci.com/vcs-origin=github.com/acme-2/app", `condition "own-repository" failed`},
		{"circleci", "oidc.circleci.com/vcs-ref=refs/heads/feature", `condition "release-branch" failed`},
		{"circleci", "oidc.circleci.com/vcs-ref=refs/heads/main-by-mallory", `condition "release-branch" failed`},
		{"circleci", "oidc.circleci.com/vcs-ref=refs/pull/1/head", `condition "release-branch" failed`},
		{"circleci", "oidc.circleci.com/context-ids=00000000-0000-4000-8000-00000000c002", `condition "restricted-context" failed`},
		{"spiffe", "", ""},
		{"spiffe", "sub=spiffe://ci.acme.example/ns/acme-ci/sa/release-2", `condition "own-workload" failed`},
		{"spiffe", "sub=spiffe://ci.acme.example/ns/acme-ci/sa", `condition "own-workload" failed`},
		{"jenkins", "", ""},
		{"jenkins", "git_branch=feature", `condition "release-job" failed`},
		{"jenkins", "git_branch=PR-7", `condition "release-job" failed`},
		{"jenkins", "git_branch=feature sub=https://jenkins.acme.example/job/acme/job/app/job/main/", `condition "release-job" failed`},
		{"jenkins", "sub=https://jenkins.acme.example/job/other/job/app/job/main/", `condition "own-folder" failed`},
		{"jenkins", "build_url=https://jenkins.acme.example/job/other/job/main/7/", `condition "own-build" failed`},
		{"kubernetes", "", ""},
		{"kubernetes", "namespace=default", `condition "namespace" failed`},
		{"kubernetes", "serviceaccount.name=default", `condition "service-account" failed`},
		{"kubernetes", "pod.uid=", `condition "pod" failed`},
	} {
		claims := j.claims(t, test.identity, test.overrides)
		refusal := j.decide(test.identity, claims, "acme/team/app").Refusal()
		if test.refuse == "" {
			if refusal != nil {
				t.Errorf("%s %s: %v", test.identity, test.overrides, refusal)
			}
			continue
		}
		if refusal == nil || !strings.Contains(refusal.Error(), test.refuse) {
			t.Errorf("%s %s: %v, want %s", test.identity, test.overrides, refusal, test.refuse)
		}
	}
}

// Without any single claim that a condition reads, a good token is refused: nothing passes by leaving something out.
func TestShippedPolicyNeedsEveryClaimItReads(t *testing.T) {
	j := newJobs(t)
	for identity, names := range map[string][]string{
		"github":    {"repository_owner_id", "event_name", "base_ref", "head_ref", "ref_protected", "ref", "job_workflow_ref", "runner_environment"},
		"gitlab":    {"namespace_id", "project_id", "job_project_id", "pipeline_source", "ref_protected", "ref_path", "ci_config_ref_uri", "project_path", "runner_environment"},
		"buildkite": {"organization_id", "pipeline_id", "build_source", "build_branch", "runner_environment"},
		"circleci": {"oidc.circleci.com/org-id", "oidc.circleci.com/project-id", "oidc.circleci.com/vcs-origin", "oidc.circleci.com/vcs-ref",
			"oidc.circleci.com/context-ids", "oidc.circleci.com/ssh-rerun"},
		"jenkins": {"git_branch", "build_url"},
	} {
		for _, name := range names {
			claims := j.claims(t, identity, "")
			delete(claims, name)
			if refusal := j.decide(identity, claims, "acme/app").Refusal(); refusal == nil || !strings.Contains(strings.ReplaceAll(refusal.Error(), `"] is`, " is"), name+" is missing") {
				t.Errorf("%s without %s: %v", identity, name, refusal)
			}
			claims[name] = json.Number("1001") // right digits, wrong type
			if refusal := j.decide(identity, claims, "acme/app").Refusal(); refusal == nil {
				t.Errorf("%s with a number for %s is allowed", identity, name)
			}
		}
	}
}

func TestShippedPolicyOnKubernetesTokens(t *testing.T) {
	j := newJobs(t)
	claims := func(namespace, account string, pod any) map[string]any {
		return map[string]any{"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": account}, "pod": pod}}
	}
	pod := map[string]any{"uid": "4c9f6c2e-0000-4000-8000-000000000000"}
	for _, test := range []struct {
		claims  map[string]any
		allowed bool
	}{
		{claims("acme-ci", "release", pod), true},
		{claims("default", "release", pod), false},
		{claims("acme-ci", "default", pod), false},
		{claims("acme-ci", "release", nil), false},
		{claims("acme-ci", "release", map[string]any{"uid": ""}), false},
		{map[string]any{}, false},
	} {
		if _, ok := j.decide("kubernetes", test.claims, "acme/app").Grant(); ok != test.allowed {
			t.Errorf("%v: allowed is %t", test.claims, ok)
		}
	}
}

// Every CI that the development issuer knows has a rule that its jobs pass and that a job of no other CI passes.
func TestShippedPolicyKnowsEveryProvider(t *testing.T) {
	j := newJobs(t)
	for _, provider := range devissuer.Providers() {
		claims := j.claims(t, provider, "")
		for _, identity := range devissuer.Providers() {
			if _, ok := j.decide(identity, claims, "acme/app").Grant(); ok != (identity == provider) {
				t.Errorf("a job of %s under the rule of %s: allowed is %t", provider, identity, ok)
			}
		}
	}
}

// A reusable workflow that was changed is another commit, and the shipped example says how to pin it.
func TestPinnedWorkflow(t *testing.T) {
	j := newJobs(t)
	claims := j.claims(t, "github", "")
	reviewed, _ := claims["job_workflow_sha"].(string)
	pinned := strings.NewReplacer("  # - name: read-builder\n  #   ", "  - name: read-builder\n    ", `in ["…"]`, `in ["`+reviewed+`"]`,
		"  #   message: call the builder", "    message: call the builder").Replace(string(policyfiles.SigningPolicy))
	var err error
	if j.policy, err = policy.ParseSigningPolicy([]byte(pinned)); err != nil {
		t.Fatal(err)
	}
	if refusal := j.decide("github", claims, "acme/app").Refusal(); refusal != nil {
		t.Error(refusal)
	}
	claims["job_workflow_sha"] = strings.Repeat("0", 40)
	if refusal := j.decide("github", claims, "acme/app").Refusal(); refusal == nil || !strings.Contains(refusal.Error(), `"read-builder" failed`) {
		t.Errorf("a changed workflow: %v", refusal)
	}
}

func TestShippedPolicyKeepsIdentitiesAndPlacesApart(t *testing.T) {
	j := newJobs(t)
	github := j.claims(t, "github", "")
	for _, test := range []struct{ identity, repository string }{
		{"gitlab", "acme/app"}, {"kubernetes", "acme/app"}, {"github-2", "acme/app"}, {"", "acme/app"},
		{"github", "acme"}, {"github", "acme-2/app"}, {"github", "globex/app"}, {"github", "acme/../globex/app"},
	} {
		if _, ok := j.decide(test.identity, github, test.repository).Grant(); ok {
			t.Errorf("%+v is allowed", test)
		}
	}
}

func TestShippedPolicyAttests(t *testing.T) {
	j := newJobs(t)
	claims := j.claims(t, "github", "")
	for predicateType, allowed := range map[string]bool{
		"https://spdx.dev/Document": true, "https://cyclonedx.org/bom": true, "https://in-toto.io/attestation/vulns/v0.2": true,
		"https://cosign.sigstore.dev/attestation/vuln/v1": true, "https://cosign.sigstore.dev/attestation/v1": true,
		"https://slsa.dev/provenance/v1": false, "https://openvex.dev/ns": false, policy.PredicateSignature: false,
	} {
		d := j.policy.Decide(policy.Input{
			Action: policy.ActionAttest, Identity: "github", Claims: claims, Repository: "acme/app", Kind: policy.KindImage,
			Digest: "sha256:" + strings.Repeat("0", 64), PredicateType: predicateType,
		})
		if _, ok := d.Grant(); ok != allowed {
			t.Errorf("%s: allowed is %t: %v", predicateType, ok, d.Refusal())
		}
	}
}

func TestShippedTrustPolicy(t *testing.T) {
	p, err := policy.ParseTrustPolicy(policyfiles.ImageTrustPolicy)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	image := policy.Image{Registry: "registry.corp.example", Repository: "acme/app", Digest: "sha256:" + strings.Repeat("0", 64)}
	sbom := policy.Fact{
		PredicateType: "https://spdx.dev/Document", Bound: true, SignedAt: now,
		SAN: "https://hallmark.corp.example/attestor", Issuer: "https://hallmark.corp.example",
	}
	const github, gitlab = "https://token.actions.githubusercontent.com", "https://gitlab.com"
	for _, test := range []struct {
		san, issuer string
		allowed     bool
	}{
		{"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", github, true},
		{"https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.3", github, true},
		{"https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main", gitlab, true},
		{"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main-by-mallory", github, false},
		{"https://github.com/acme-2/app/.github/workflows/release.yml@refs/heads/main", github, false},
		{"https://githubxcom/acme/app/.github/workflows/release.yml@refs/heads/main", github, false},
		{"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", gitlab, false},
		{"https://hallmark.corp.example/attestor", "https://hallmark.corp.example", false},
	} {
		signature := policy.Fact{PredicateType: policy.PredicateSignature, Bound: true, SignedAt: now, SAN: test.san, Issuer: test.issuer}
		if verdict := p.Evaluate(image, []policy.Fact{signature, sbom}, now); verdict.Allowed() != test.allowed {
			t.Errorf("%s: %q", test.san, verdict.Reasons())
		}
		if p.Evaluate(image, []policy.Fact{signature}, now).Allowed() {
			t.Error("allowed without an SBOM")
		}
	}
	if p.ModeFor("acme-sandbox", now) != policy.ModeWarn || p.ModeFor("acme-sandbox", now.AddDate(1, 0, 0)) != policy.ModeEnforce {
		t.Error("the sandbox's override does not hold until its end")
	}
}

// TestShippedPolicyOnStrangers: a colleague's pull request reads why, somebody else's job does not.
func TestShippedPolicyOnStrangers(t *testing.T) {
	j := newJobs(t)
	for _, test := range []struct {
		identity, overrides string
		stranger            bool
	}{
		{"github", "", false},
		{"github", "event_name=pull_request ref=refs/pull/1/merge ref_protected=false", false},
		{"github", "runner_environment=self-hosted", false},
		{"github", "job_workflow_ref=mallory/ci/.github/workflows/x.yml@refs/heads/main", false},
		{"github", "repository_owner_id=1002", true},
		{"gitlab", "", false},
		{"gitlab", "pipeline_source=merge_request_event", false},
		{"gitlab", "job_project_id=2", false},
		{"gitlab", "namespace_id=1002", true},
		{"buildkite", "pipeline_id=other", false},
		{"buildkite", "organization_id=other", true},
		{"kubernetes", "", false},
	} {
		claims := j.claims(t, test.identity, test.overrides)
		subject, _ := claims["sub"].(string)
		in := policy.Input{Identity: test.identity, Provider: test.identity, Subject: subject, Claims: claims}
		refusal := j.policy.Stranger(in)
		if (refusal != nil) != test.stranger {
			t.Errorf("%s %s: %v", test.identity, test.overrides, refusal)
		}
		if refusal != nil && strings.Contains(refusal.Error(), "organisation") {
			t.Errorf("%s %s is told a rule: %v", test.identity, test.overrides, refusal)
		}
	}
}
