// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

const jenkins = "https://jenkins.example"

// jenkinsGeneric describes the plugin oidc-provider with an administrator's
// templates.
func jenkinsGeneric() *identity.Generic {
	return &identity.Generic{
		Claims: map[string]string{"build_number": "number", "job_id": "digits", "trusted": "boolean"},
		Run:    "{build_url}", SAN: "{sub}", SANPrefix: jenkins + "/job/acme/",
		Extensions: map[string]string{
			"buildConfigURI": "{sub}", "runInvocationURI": "{build_url}", "buildTrigger": "{cause?}", "runnerEnvironment": "self-hosted",
			"sourceRepositoryURI": "{git_url?}", "sourceRepositoryDigest": "{git_commit?}", "sourceRepositoryRef": "refs/heads/{git_branch?}",
			"sourceRepositoryIdentifier": "{job_id}", "deploymentEnvironment": "{sub}#{build_number}",
		},
	}
}

func (c *ci) jenkinsClaims() claims {
	all := c.common().without("jti", "nbf")
	job := jenkins + "/job/acme/job/app/job/main/"
	for name, value := range map[string]any{
		"sub": job, "aud": []string{audience}, "build_number": 1234567, "build_url": job + "1234567/", "job_id": "77", "trusted": true,
		"git_url": "https://git.example/acme/app", "git_commit": commitA, "git_branch": "main",
	} {
		all[name] = value
	}
	return all
}

func (c *ci) jenkins(t *testing.T, change ...func(*identity.Source)) *identity.Authenticator {
	t.Helper()
	return c.authenticator(t, "generic", func(cfg *identity.Config) {
		s := &cfg.Sources[0]
		s.URL, s.Generic = jenkins, jenkinsGeneric()
		for _, f := range change {
			f(s)
		}
	})
}

func TestGenericMapping(t *testing.T) {
	c := newCI(t)
	a := c.jenkins(t)
	p := wantAccepted(t, a, sign(t, c.jenkinsClaims()))
	job := jenkins + "/job/acme/job/app/job/main/"
	want := certificate.Extensions{
		Issuer: c.URL, Subject: job, BuildConfigURI: job, RunInvocationURI: job + "1234567/", RunnerEnvironment: "self-hosted",
		SourceRepositoryURI: "https://git.example/acme/app", SourceRepositoryDigest: commitA, SourceRepositoryRef: "refs/heads/main",
		SourceRepositoryIdentifier: "77", DeploymentEnvironment: job + "#1234567",
	}
	if p.Extensions != want {
		t.Errorf("extensions\n got %+v\nwant %+v", p.Extensions, want)
	}
	if p.SAN != job || p.Run != job+"1234567/" || p.Provider != "generic" {
		t.Errorf("SAN %q, run %q, provider %q", p.SAN, p.Run, p.Provider)
	}
	if p.Claims["build_number"] != json.Number("1234567") {
		t.Errorf("build_number is %#v", p.Claims["build_number"])
	}
	p = wantAccepted(t, a, sign(t, c.jenkinsClaims().without("git_url", "git_commit").with("git_branch", nil)))
	if e := p.Extensions; e.SourceRepositoryURI != "" || e.SourceRepositoryDigest != "" || e.SourceRepositoryRef != "" {
		t.Errorf("a repository out of nothing: %+v", e)
	}
	// A multibranch job encodes its branch twice; the certificate keeps the text.
	branch := jenkins + "/job/acme/job/app/job/feature%252Fx/"
	if p := wantAccepted(t, a, sign(t, c.jenkinsClaims().with("sub", branch))); p.SAN != branch {
		t.Errorf("SAN %q, want %q", p.SAN, branch)
	}
}

func TestGenericRefuses(t *testing.T) {
	c := newCI(t)
	a := c.jenkins(t)
	base := c.jenkinsClaims()
	under := func(rest string) claims { return base.with("sub", jenkins+"/job/acme/"+rest) }
	for name, tc := range map[string]struct {
		claims claims
		reason string
	}{
		"another folder":              {base.with("sub", jenkins+"/job/other/job/app/"), identity.ReasonContradiction},
		"a folder of a longer name":   {base.with("sub", jenkins+"/job/acme-2/job/app/"), identity.ReasonContradiction},
		"another host":                {base.with("sub", "https://jenkins.example.evil/job/acme/x/"), identity.ReasonContradiction},
		"another scheme":              {base.with("sub", strings.Replace(jenkins, "https", "http", 1)+"/job/acme/x/"), identity.ReasonContradiction},
		"the folder itself":           {under(""), identity.ReasonContradiction},
		"the global token's subject":  {base.with("sub", jenkins+"/"), identity.ReasonContradiction},
		"a path that climbs":          {under("../other/x/"), identity.ReasonBadClaim},
		"a path that climbs, encoded": {under("%2e%2e/other/x/"), identity.ReasonBadClaim},
		"a query":                     {under("x?y"), identity.ReasonBadClaim},
		"a query of nothing":          {under("x?"), identity.ReasonBadClaim},
		"a fragment":                  {under("x#y"), identity.ReasonBadClaim},
		"a fragment of nothing":       {under("x#"), identity.ReasonBadClaim},
		"a space":                     {under("x y"), identity.ReasonBadClaim},
		"a line break":                {under("x\ny"), identity.ReasonBadClaim},
		"half an encoding":            {under("x%2"), identity.ReasonBadClaim},
		"no run":                      {base.without("build_url"), identity.ReasonMissingClaim},
		"no number":                   {base.without("build_number"), identity.ReasonMissingClaim},
		"number as text":              {base.with("build_number", "7"), identity.ReasonWrongType},
		"number with a fraction":      {base.with("build_number", json.Number("1.5")), identity.ReasonBadClaim},
		"digits as a number":          {base.with("job_id", 7), identity.ReasonWrongType},
		"digits with letters":         {base.with("job_id", "7x"), identity.ReasonBadClaim},
		"boolean as text":             {base.with("trusted", "true"), identity.ReasonWrongType},
		"optional of another type":    {base.with("cause", 7), identity.ReasonWrongType},
		"short commit":                {base.with("git_commit", "abc"), identity.ReasonBadClaim},
		"branch that climbs":          {base.with("git_branch", "../tags/v1"), identity.ReasonBadClaim},
		"branch of two refs":          {base.with("git_branch", "x@refs/heads/main"), identity.ReasonBadClaim},
		"repository that is no URL":   {base.with("git_url", "git@git.example:acme/app"), identity.ReasonBadClaim},
		"run of a script":             {base.with("build_url", "javascript:alert(1)"), identity.ReasonBadClaim},
		"a person's":                  {base.with("preferred_username", "jane"), identity.ReasonHumanToken},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, a, sign(t, tc.claims), tc.reason) })
	}
}

// TestGenericLoginServer: the documents of a login server give no keys, because
// here nothing else tells it from a CI.
func TestGenericLoginServer(t *testing.T) {
	c := newCI(t)
	serve := func(more string) {
		c.setMisbehave(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				_ = json.NewEncoder(w).Encode(c.keys)
				return
			}
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q%s}`, c.URL, c.URL+"/jwks", more)
		})
	}
	token := sign(t, c.jenkinsClaims())
	serve(`,"authorization_endpoint":"https://unimplemented"`) // Jenkins
	wantAccepted(t, c.jenkins(t), token)
	for _, member := range []string{"userinfo_endpoint", "end_session_endpoint", "device_authorization_endpoint", "registration_endpoint"} {
		serve(`,"` + member + `":"` + c.URL + `/x"`)
		if err := undecided(t, c.jenkins(t), token); !strings.Contains(err.Error(), "log in") {
			t.Errorf("%s: %v", member, err)
		}
	}
}

func TestGenericConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*identity.Source)
		says   string
	}{
		"nothing":                  {func(s *identity.Source) { s.Generic = nil }, "generic is missing"},
		"no run":                   {func(s *identity.Source) { s.Generic.Run = "" }, "generic.run"},
		"run that everybody has":   {func(s *identity.Source) { s.Generic.Run = "{sub}" }, "only a run has"},
		"run of a person's claims": {func(s *identity.Source) { s.Generic.Run = "{sub}/{jti}/{auth_time}/{name}" }, "only a run has"},
		"run of no claim":          {func(s *identity.Source) { s.Generic.Run = "run" }, "only a run has"},
		"run of true or false":     {func(s *identity.Source) { s.Generic.Run = "{trusted}" }, "true or false"},
		"run that may be absent":   {func(s *identity.Source) { s.Generic.Run = "{build_url?}" }, "compulsory"},
		"SAN without a claim":      {func(s *identity.Source) { s.Generic.SAN = jenkins + "/job/acme/app" }, "must name a claim"},
		"SAN that may be absent":   {func(s *identity.Source) { s.Generic.SAN = "{sub?}" }, "must name a claim"},
		"SAN that is no template":  {func(s *identity.Source) { s.Generic.SAN = "{sub" }, "generic.san"},
		"no prefix":                {func(s *identity.Source) { s.Generic.SANPrefix = "" }, "sanPrefix"},
		"prefix without a slash":   {func(s *identity.Source) { s.Generic.SANPrefix = jenkins + "/job/acme" }, "sanPrefix"},
		"prefix elsewhere":         {func(s *identity.Source) { s.Generic.SANPrefix = "https://github.com/" }, "sanPrefix"},
		"prefix of a longer host":  {func(s *identity.Source) { s.Generic.SANPrefix = jenkins + ".evil/" }, "sanPrefix"},
		"no url":                   {func(s *identity.Source) { s.URL = "" }, "sanPrefix"},
		"unknown extension":        {func(s *identity.Source) { s.Generic.Extensions = map[string]string{"issuer": "x"} }, "issuer"},
		"extension of no template": {func(s *identity.Source) { s.Generic.Extensions["buildTrigger"] = "}" }, "buildTrigger"},
		"unknown type":             {func(s *identity.Source) { s.Generic.Claims["x"] = "float" }, "float"},
		"the same for another CI":  {func(s *identity.Source) { s.Provider = "github" }, "generic is for provider generic"},
		"a login server as the CI": {func(s *identity.Source) { s.Issuer = "https://acme.okta.com" }, "log in"},
		"review of something else": {func(s *identity.Source) { s.TokenReview = &identity.TokenReview{Server: "https://x"} }, "kubernetes"},
	} {
		t.Run(name, func(t *testing.T) {
			s := identity.Source{Name: "jenkins", Provider: "generic", Issuer: jenkins + "/oidc", URL: jenkins, Generic: jenkinsGeneric()}
			tc.change(&s)
			_, err := identity.New(identity.Config{Audience: audience, Sources: []identity.Source{s}})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v does not say %q", err, tc.says)
			}
		})
	}
}
