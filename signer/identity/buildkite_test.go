// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"encoding/json"
	"testing"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

const (
	uidA = "0190a1b2-0000-7000-8000-00000000000a"
	uidB = "0190a1b2-0000-7000-8000-00000000000b"
	uidC = "0190a1b2-0000-7000-8000-00000000000c"
	uidD = "0190a1b2-0000-7000-8000-00000000000d"
)

// buildkiteClaims is a build of main, with the ids that the job asked for.
func (c *ci) buildkiteClaims() claims {
	all := c.common().without("jti")
	for name, value := range map[string]any{
		"sub":               "organization:acme:pipeline:app:ref:refs/heads/main:commit:" + commitA + ":step:build",
		"organization_slug": "acme", "organization_id": uidA, "pipeline_slug": "app", "pipeline_id": uidB,
		"build_number": 1234567, "build_branch": "main", "build_tag": nil, "build_commit": commitA, "build_source": "webhook",
		"step_key": nil, "job_id": uidC, "agent_id": uidD, "runner_environment": "self-hosted",
	} {
		all[name] = value
	}
	return all
}

func TestBuildkiteMapping(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "buildkite", func(cfg *identity.Config) {
		cfg.Sources[0].Repositories = map[string]string{uidB: "https://git.example/acme/app", uidC: "https://git.example/acme/other"}
	})
	p := wantAccepted(t, a, sign(t, c.buildkiteClaims()))
	run := "https://ci.example/acme/app/builds/1234567#" + uidC
	want := certificate.Extensions{
		Issuer: c.URL, Subject: "organization:acme:pipeline:app:ref:refs/heads/main:commit:" + commitA + ":step:build",
		RunnerEnvironment: "self-hosted", SourceRepositoryURI: "https://git.example/acme/app", SourceRepositoryDigest: commitA,
		SourceRepositoryIdentifier: uidB, SourceRepositoryOwnerIdentifier: uidA, BuildTrigger: "webhook", RunInvocationURI: run,
	}
	if p.Extensions != want {
		t.Errorf("extensions\n got %+v\nwant %+v", p.Extensions, want)
	}
	if p.SAN != "https://ci.example/acme/app" || p.Run != run || p.Provider != "buildkite" {
		t.Errorf("SAN %q, run %q, provider %q", p.SAN, p.Run, p.Provider)
	}
	other := wantAccepted(t, a, sign(t, c.buildkiteClaims().with("pipeline_id", uidD)))
	if other.Extensions.SourceRepositoryURI != "" {
		t.Errorf("repository %q of a pipeline that is not configured", other.Extensions.SourceRepositoryURI)
	}
}

func TestBuildkiteRefuses(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "buildkite")
	base := c.buildkiteClaims()
	wantAccepted(t, a, sign(t, base.without("build_tag", "step_key", "build_source", "runner_environment")))
	wantAccepted(t, a, sign(t, base.with("build_tag", "v1").with("cluster_id", uidA).with("queue_key", "default")))
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"without the ids that tell organisations apart": {base.without("organization_id", "pipeline_id"), identity.ReasonMissingClaim},
		"organisation with a slash":                     {base.with("organization_slug", "acme/app"), identity.ReasonBadClaim},
		"pipeline that climbs":                          {base.with("pipeline_slug", ".."), identity.ReasonBadClaim},
		"pipeline with a fragment":                      {base.with("pipeline_slug", "app#x"), identity.ReasonBadClaim},
		"job with a fragment":                           {base.with("job_id", "a#b"), identity.ReasonBadClaim},
		"commit HEAD, of a build started by hand":       {base.with("build_commit", "HEAD"), identity.ReasonBadClaim},
		"number below zero":                             {base.with("build_number", -1), identity.ReasonBadClaim},
		"number with a fraction":                        {base.with("build_number", json.Number("1.5")), identity.ReasonBadClaim},
		"number with an exponent":                       {base.with("build_number", json.Number("1e6")), identity.ReasonBadClaim},
		"number beyond 64 bits":                         {base.with("build_number", json.Number("123456789012345678901")), identity.ReasonBadClaim},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
	typeTable{base: base,
		required: []string{"sub", "organization_slug", "organization_id", "pipeline_slug", "pipeline_id", "build_branch", "build_commit", "job_id", "agent_id"},
		optional: []string{"build_tag", "build_source", "step_key", "runner_environment", "build_id", "cluster_id", "queue_id", "cluster_name", "queue_key"},
	}.run(t, a)
	typeTable{base: base, optional: []string{"build_number"}, numbers: map[string]bool{"build_number": true}}.run(t, a)
	wantRefused(t, a, sign(t, base.without("build_number")), identity.ReasonMissingClaim)
}
