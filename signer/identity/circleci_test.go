// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

const circle = "oidc.circleci.com/"

// circleciClaims is a pipeline of main with one restricted context.
func (c *ci) circleciClaims() claims {
	all := c.common().without("jti", "nbf")
	for name, value := range map[string]any{
		"sub":                 "org/" + uidA + "/project/" + uidB + "/user/" + uidD + "/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/main",
		circle + "org-id":     uidA,
		circle + "project-id": uidB, circle + "pipeline-id": uidC, circle + "pipeline-definition-id": uidD,
		circle + "workflow-id": uidA, circle + "job-id": uidC,
		circle + "vcs-origin": "github.com/acme/app", circle + "vcs-ref": "refs/heads/main",
		circle + "context-ids": []string{uidD}, circle + "ssh-rerun": false,
	} {
		all[name] = value
	}
	return all
}

func TestCircleCIMapping(t *testing.T) {
	c := newCI(t)
	const issuer = "https://oidc.circleci.com/org/" + uidA
	a := c.authenticator(t, "circleci", func(cfg *identity.Config) {
		cfg.Sources[0].Issuer, cfg.Sources[0].URL, cfg.Sources[0].JWKSURI = issuer, "", c.URL+"/jwks"
	})
	base := c.circleciClaims().with("iss", issuer)
	p := wantAccepted(t, a, sign(t, base))
	definition := "https://circleci.com/api/v2/projects/" + uidB + "/pipeline-definitions/" + uidD
	run := "https://app.circleci.com//workflow/" + uidA + "/job/" + uidC
	want := certificate.Extensions{
		Issuer: issuer, Subject: base["sub"].(string), //nolint:errcheck // set above
		BuildSignerURI:      definition,
		SourceRepositoryURI: "https://github.com/acme/app", SourceRepositoryRef: "refs/heads/main",
		SourceRepositoryIdentifier: uidB, SourceRepositoryOwnerIdentifier: uidA,
		BuildConfigURI:   "https://circleci.com/api/v2/pipeline/" + uidC + "/config",
		RunInvocationURI: run,
	}
	if p.Extensions != want {
		t.Errorf("extensions\n got %+v\nwant %+v", p.Extensions, want)
	}
	if p.SAN != definition || p.Run != run || p.Provider != "circleci" {
		t.Errorf("SAN %q, run %q, provider %q", p.SAN, p.Run, p.Provider)
	}
	// Of a rerun with a person in it the certificate says so.
	rerun := wantAccepted(t, a, sign(t, base.with(circle+"ssh-rerun", true)))
	if rerun.Extensions.RunnerEnvironment != "ssh-rerun" || rerun.Claims[circle+"ssh-rerun"] != true {
		t.Errorf("runner %q, claim %v", rerun.Extensions.RunnerEnvironment, rerun.Claims[circle+"ssh-rerun"])
	}
	// The issuer's own key signs for all organisations.
	wantRefused(t, a, sign(t, base.with(circle+"org-id", uidB)), identity.ReasonContradiction)
}

func TestCircleCIRefuses(t *testing.T) {
	c := newCI(t)
	a := c.authenticator(t, "circleci")
	base := c.circleciClaims()
	p := wantAccepted(t, a, sign(t, base.without(circle+"vcs-origin", circle+"vcs-ref"))) // a custom webhook's
	if p.Extensions.SourceRepositoryURI != "" || p.Extensions.SourceRepositoryRef != "" {
		t.Errorf("repository %q at %q of a pipeline without one", p.Extensions.SourceRepositoryURI, p.Extensions.SourceRepositoryRef)
	}
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"nothing about SSH":         {base.without(circle + "ssh-rerun"), identity.ReasonMissingClaim},
		"SSH as text":               {base.with(circle+"ssh-rerun", "false"), identity.ReasonWrongType},
		"SSH as a number":           {base.with(circle+"ssh-rerun", 0), identity.ReasonWrongType},
		"SSH null":                  {base.with(circle+"ssh-rerun", nil), identity.ReasonMissingClaim},
		"contexts as text":          {base.with(circle+"context-ids", uidD), identity.ReasonWrongType},
		"contexts of other types":   {base.with(circle+"context-ids", []any{uidD, 7}), identity.ReasonWrongType},
		"origin with a scheme":      {base.with(circle+"vcs-origin", "https://github.com/acme/app"), identity.ReasonBadClaim},
		"origin that climbs":        {base.with(circle+"vcs-origin", "github.com/acme/../evil"), identity.ReasonBadClaim},
		"origin without repository": {base.with(circle+"vcs-origin", "github.com"), identity.ReasonBadClaim},
		"short ref":                 {base.with(circle+"vcs-ref", "main"), identity.ReasonBadClaim},
		"project with a slash":      {base.with(circle+"project-id", "a/b"), identity.ReasonBadClaim},
		"names without the prefix":  {base.without(circle+"org-id").with("org-id", uidA), identity.ReasonMissingClaim},
		"default audience":          {base.with("aud", uidA), identity.ReasonWrongAudience},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
	typeTable{base: base,
		required: []string{"sub", circle + "org-id", circle + "project-id", circle + "pipeline-id", circle + "pipeline-definition-id", circle + "workflow-id", circle + "job-id"},
		optional: []string{circle + "vcs-origin", circle + "vcs-ref"},
	}.run(t, a)
}
