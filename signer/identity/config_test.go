// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

const githubIssuer = "https://token.actions.githubusercontent.com"

func validConfig() identity.Config {
	return identity.Config{Audience: audience, Sources: []identity.Source{{Name: "github", Provider: "github", Issuer: githubIssuer}}}
}

// TestConfigRefuses: each mistake does not construct, and the error says which
// source and what is wrong.
func TestConfigRefuses(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := func(change func(*identity.Source)) func(*identity.Config) {
		return func(c *identity.Config) { change(&c.Sources[0]) }
	}
	issuer := func(text string) func(*identity.Config) {
		return source(func(s *identity.Source) { s.Issuer, s.URL = text, "https://ci.example" })
	}
	second := func(s identity.Source) func(*identity.Config) {
		return func(c *identity.Config) { c.Sources = append(c.Sources, s) }
	}
	aud := func(text string) func(*identity.Config) {
		return func(c *identity.Config) { c.Audience = text }
	}
	spiffe := func(change func(*identity.Source)) func(*identity.Config) {
		s := identity.Source{Name: "s", Provider: "spiffe", TrustDomain: "ci.example", BundleEndpoint: "https://spire.example/bundle"}
		change(&s)
		return second(s)
	}
	trustDomain := func(name string) func(*identity.Config) {
		return spiffe(func(s *identity.Source) { s.TrustDomain = name })
	}
	clusters := func(jwksA, jwksB, urlA, urlB string) func(*identity.Config) {
		const issuer = "https://kubernetes.default.svc.cluster.local"
		return func(c *identity.Config) {
			second(identity.Source{Name: "a", Provider: "kubernetes", Issuer: issuer, JWKSURI: jwksA, URL: urlA})(c)
			second(identity.Source{Name: "b", Provider: "kubernetes", Issuer: issuer, JWKSURI: jwksB, URL: urlB})(c)
		}
	}
	for name, tc := range map[string]struct {
		change func(*identity.Config)
		says   string
	}{
		"no sources":           {func(c *identity.Config) { c.Sources = nil }, "no source"},
		"no name":              {source(func(s *identity.Source) { s.Name = "" }), "name"},
		"name with a space":    {source(func(s *identity.Source) { s.Name = "git hub" }), "name"},
		"unknown provider":     {source(func(s *identity.Source) { s.Provider = "oidc" }), "provider"},
		"no provider":          {source(func(s *identity.Source) { s.Provider = "" }), "provider"},
		"no issuer":            {issuer(""), "issuer"},
		"issuer without host":  {issuer("kubernetes/serviceaccount"), "issuer"},
		"plain http":           {issuer("http://gitlab.corp.example"), "https"},
		"http to a look-alike": {issuer("http://localhost.evil.example"), "https"},
		"http to 127 by name":  {issuer("http://127.0.0.1.evil.example"), "https"},
		"another scheme":       {issuer("ftp://gitlab.corp.example"), "https"},
		"issuer with a query":  {issuer("https://gitlab.corp.example?x=1"), "issuer"},
		"issuer with a user":   {issuer("https://me@gitlab.corp.example"), "issuer"},
		"issuer with a space":  {issuer("https://gitlab.corp.example/a b"), "normal form"},
		"pattern":              {issuer("https://*.ghe.com"), "pattern"},
		"same issuer twice": {second(identity.Source{Name: "other", Provider: "github", Issuer: githubIssuer}),
			"already the issuer"},
		"same issuer, other spelling": {second(identity.Source{Name: "other", Provider: "github", Issuer: githubIssuer + "/", URL: "https://github.com"}), "already the issuer"},
		"same issuer, other case":     {second(identity.Source{Name: "other", Provider: "github", Issuer: strings.Replace(githubIssuer, "token", "Token", 1), URL: "https://github.com"}), "already the issuer"},
		"same name twice":             {second(identity.Source{Name: "github", Provider: "gitlab", Issuer: "https://gitlab.com"}), "twice"},
		"an issuer that belongs to no site": {source(func(s *identity.Source) {
			s.Issuer = "https://ghes.corp.example/_services/token/x"
		}), "url is compulsory"},
		"GitHub look-alike":   {source(func(s *identity.Source) { s.Issuer = githubIssuer + ".evil.example" }), "url is compulsory"},
		"ghe.com look-alike":  {source(func(s *identity.Source) { s.Issuer = "https://token.actions.acme.ghe.com.evil.example" }), "url is compulsory"},
		"Buildkite elsewhere": {second(identity.Source{Name: "b", Provider: "buildkite", Issuer: "https://agent.buildkite.example"}), "url is compulsory"},
		"Buildkite's pipelines by name": {second(identity.Source{Name: "b", Provider: "buildkite", Issuer: "https://agent.buildkite.com",
			Repositories: map[string]string{"acme/app": "https://github.com/acme/app"}}), "pipeline_id"},
		"Buildkite's repository without scheme": {second(identity.Source{Name: "b", Provider: "buildkite", Issuer: "https://agent.buildkite.com",
			Repositories: map[string]string{"a": "github.com/acme/app"}}), "repositories"},
		"CircleCI's audience": {func(c *identity.Config) {
			c.Audience = uidA
			c.Sources = []identity.Source{{Name: "c", Provider: "circleci", Issuer: "https://oidc.circleci.com/org/" + uidA}}
		}, "audience"},
		"CircleCI without organisation": {second(identity.Source{Name: "c", Provider: "circleci", Issuer: "https://oidc.circleci.com"}), "url is compulsory"},
		"trust domain as an id":         {trustDomain("spiffe://ci.example"), "trustDomain"},
		"trust domain with a path":      {trustDomain("ci.example/x"), "trustDomain"},
		"trust domain in upper case":    {trustDomain("CI.example"), "trustDomain"},
		"no trust domain":               {trustDomain(""), "trustDomain"},
		"trust domain of a login":       {trustDomain("acme.okta.com"), "log in"},
		"two bundles":                   {spiffe(func(s *identity.Source) { s.BundleFile = "x" }), "exactly one"},
		"no bundle":                     {spiffe(func(s *identity.Source) { s.BundleEndpoint = "" }), "exactly one"},
		"bundle over plain http":        {spiffe(func(s *identity.Source) { s.BundleEndpoint = "http://spire.example" }), "https"},
		"bundle and JWKS":               {spiffe(func(s *identity.Source) { s.JWKSURI = "https://spire.example/keys" }), "not for spiffe"},
		"EdDSA for SPIFFE":              {spiffe(func(s *identity.Source) { s.Algorithms = []string{"EdDSA"} }), "EdDSA"},
		"trust domain twice": {func(c *identity.Config) {
			spiffe(func(*identity.Source) {})(c)
			second(identity.Source{Name: "s2", Provider: "spiffe", TrustDomain: "ci.example", BundleFile: "x"})(c)
		}, "already the issuer"},
		"trust domain of GitHub":  {source(func(s *identity.Source) { s.TrustDomain = "x" }), "trustDomain is for provider spiffe"},
		"bundle of GitHub":        {source(func(s *identity.Source) { s.BundleFile = "x" }), "bundleFile is for provider spiffe"},
		"repositories of GitHub":  {source(func(s *identity.Source) { s.Repositories = map[string]string{} }), "repositories is for provider buildkite"},
		"clusters without keys":   {clusters("", "https://b.example/jwks", "https://a.example", "https://b.example"), "need a jwksURI and a url"},
		"clusters with one set":   {clusters("https://a.example/jwks", "https://a.example/jwks", "https://a.example", "https://b.example"), "need a jwksURI and a url"},
		"clusters with one URL":   {clusters("https://a.example/jwks", "https://b.example/jwks", "", ""), "need a jwksURI and a url"},
		"URL without scheme":      {source(func(s *identity.Source) { s.URL = "github.com" }), "url"},
		"URL with a query":        {source(func(s *identity.Source) { s.URL = "https://github.com?x" }), "url"},
		"JWKS over plain http":    {source(func(s *identity.Source) { s.JWKSURI = "http://github.com/jwks" }), "jwksURI"},
		"alg none":                {source(func(s *identity.Source) { s.Algorithms = []string{"none"} }), "algorithm"},
		"alg HS256":               {source(func(s *identity.Source) { s.Algorithms = []string{"RS256", "HS256"} }), "algorithm"},
		"negative age":            {source(func(s *identity.Source) { s.MaxAge = -time.Minute }), "maxAge"},
		"life of a week":          {source(func(s *identity.Source) { s.MaxLife = 7 * 24 * time.Hour }), "maxLife"},
		"too many uses":           {source(func(s *identity.Source) { s.MaxUses = 10_001 }), "maxUses"},
		"uses below zero":         {source(func(s *identity.Source) { s.MaxUses = -1 }), "maxUses"},
		"negative fetch timeout":  {func(c *identity.Config) { c.FetchTimeout = -1 }, "fetchTimeout"},
		"CA file missing":         {source(func(s *identity.Source) { s.CAFile = notPEM + ".x" }), "caFile"},
		"CA file without PEM":     {source(func(s *identity.Source) { s.CAFile = notPEM }), "caFile"},
		"no audience":             {aud(""), "audience"},
		"audience with a space":   {aud("https://hallmark .example"), "audience"},
		"audience sigstore":       {aud("sigstore"), "audience"},
		"audience of AWS":         {aud("sts.amazonaws.com"), "audience"},
		"audience of the owner":   {aud("https://github.com/acme"), "audience"},
		"audience is the issuer":  {aud(githubIssuer), "audience"},
		"audience of the cluster": {aud("https://kubernetes.default.svc"), "audience"},
		"audience of the instance": {func(c *identity.Config) {
			c.Audience = "https://gitlab.corp.example"
			c.Sources = []identity.Source{{Name: "gl", Provider: "gitlab", Issuer: "https://gitlab.corp.example"}}
		}, "audience"},
		"audience of a GHES owner": {func(c *identity.Config) {
			c.Audience = "https://ghes.corp.example/acme"
			c.Sources[0].Issuer, c.Sources[0].URL = "https://ghes.corp.example/_services/token", "https://ghes.corp.example/"
		}, "audience"},
		"Google":                         {issuer("https://accounts.google.com"), "log in"},
		"Microsoft":                      {issuer("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"), "log in"},
		"Microsoft's sts":                {issuer("https://sts.windows.net/9188040d/"), "log in"},
		"GitHub's login":                 {issuer("https://github.com/login/oauth"), "log in"},
		"sigstore's Dex":                 {issuer("https://oauth2.sigstore.dev/auth"), "log in"},
		"Okta":                           {issuer("https://acme.okta.com/oauth2/default"), "log in"},
		"Okta, other case":               {issuer("https://acme.OKTA.com"), ""},
		"Auth0":                          {issuer("https://acme.eu.auth0.com/"), "log in"},
		"Keycloak":                       {issuer("https://sso.corp.example/realms/staff"), "log in"},
		"Keycloak, old":                  {issuer("https://sso.corp.example/auth/realms/staff"), "log in"},
		"Dex by path":                    {issuer("https://sso.corp.example/dex"), "log in"},
		"Dex by name":                    {issuer("https://dex.corp.example"), "log in"},
		"Okta, own name, default server": {issuer("https://id.corp.example/oauth2/default"), "log in"},
		"Okta, own name, custom server":  {issuer("https://id.corp.example/oauth2/aus1a2b3c4d5e6f7g8h9"), "log in"},
		"Okta for governments":           {issuer("https://acme.okta-gov.com"), "log in"},
		"Cognito":                        {issuer("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI"), "log in"},
		"Cognito in China":               {issuer("https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_AbC"), "log in"},
		"AWS Identity Center":            {issuer("https://identitycenter.amazonaws.com/ssoins-1"), "log in"},
		"Azure B2C":                      {issuer("https://acme.b2clogin.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0/"), "log in"},
		"Azure B2C, own name":            {issuer("https://login.corp.example/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0/"), "log in"},
		"Azure B2C, by policy":           {issuer("https://login.corp.example/tfp/acme/B2C_1_signin"), "log in"},
		"Entra External ID":              {issuer("https://acme.ciamlogin.com/9188040d/v2.0"), "log in"},
		"Entra in China":                 {issuer("https://login.chinacloudapi.cn/9188040d/"), "log in"},
		"AD FS":                          {issuer("https://sts.corp.example/adfs"), "log in"},
		"AD FS by name":                  {issuer("https://adfs.corp.example"), "log in"},
		"Firebase":                       {issuer("https://securetoken.google.com/acme"), "log in"},
		"Authentik":                      {issuer("https://sso.corp.example/application/o/hallmark/"), "log in"},
		"Authelia":                       {issuer("https://authelia.corp.example"), "log in"},
		"Zitadel":                        {issuer("https://acme-x1.zitadel.cloud"), "log in"},
		"Zitadel by name":                {issuer("https://zitadel.corp.example"), "log in"},
		"Keycloak by name":               {issuer("https://keycloak.corp.example"), "log in"},
		"Ping":                           {issuer("https://auth.pingone.eu/9188040d/as"), "log in"},
		"Cloudflare Access":              {issuer("https://acme.cloudflareaccess.com"), "log in"},
		"OneLogin":                       {issuer("https://acme.onelogin.com/oidc/2"), "log in"},
		"with a port":                    {issuer("https://accounts.google.com:443"), "log in"},
		"with a dot":                     {issuer("https://accounts.google.com."), "log in"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := validConfig()
			tc.change(&cfg)
			_, err := identity.New(cfg)
			if err == nil {
				t.Fatal("constructed")
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
		})
	}
}

func TestConfigAccepts(t *testing.T) {
	for name, sources := range map[string][]identity.Source{
		"public GitHub":           {{Name: "github", Provider: "github", Issuer: githubIssuer}},
		"enterprise beside it":    {{Name: "a", Provider: "github", Issuer: githubIssuer}, {Name: "b", Provider: "github", Issuer: githubIssuer + "/acme"}},
		"GHES, by its issuer":     {{Name: "ghes", Provider: "github", Issuer: "https://ghes.corp.example:8443/_services/token"}},
		"ghe.com, by its issuer":  {{Name: "ghe", Provider: "github", Issuer: "https://token.actions.acme.ghe.com/acme"}},
		"Buildkite":               {{Name: "b", Provider: "buildkite", Issuer: "https://agent.buildkite.com", Repositories: map[string]string{uidA: "https://github.com/acme/app"}}},
		"CircleCI":                {{Name: "c", Provider: "circleci", Issuer: "https://oidc.circleci.com/org/" + uidA}},
		"CircleCI at home":        {{Name: "c", Provider: "circleci", Issuer: "https://circleci.corp.example/org/" + uidA, URL: "https://circleci.corp.example"}},
		"SPIFFE":                  {{Name: "s", Provider: "spiffe", TrustDomain: "ci.example", BundleFile: "bundle.json"}},
		"SPIFFE with an issuer":   {{Name: "s", Provider: "spiffe", TrustDomain: "ci.example", Issuer: "https://spire.example", BundleEndpoint: "https://spire.example/bundle", CAFile: ""}},
		"EKS":                     {{Name: "eks", Provider: "kubernetes", Issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"}},
		"a cluster that is asked": {{Name: "k", Provider: "kubernetes", Issuer: "https://kubernetes.corp.example", TokenReview: &identity.TokenReview{Server: "https://kubernetes.corp.example", BearerTokenFile: "x"}}},
		"two clusters, one issuer": {
			{Name: "a", Provider: "kubernetes", Issuer: "https://kubernetes.default.svc", JWKSURI: "https://a.example/jwks", URL: "https://a.example"},
			{Name: "b", Provider: "kubernetes", Issuer: "https://kubernetes.default.svc", JWKSURI: "https://b.example/jwks", URL: "https://b.example"},
		},
		"GHES":                     {{Name: "ghes", Provider: "github", Issuer: "https://ghes.corp.example/_services/token", URL: "https://ghes.corp.example"}},
		"ghe.com":                  {{Name: "ghe", Provider: "github", Issuer: "https://token.actions.acme.ghe.com", URL: "https://acme.ghe.com"}},
		"GitLab with a port":       {{Name: "gl", Provider: "gitlab", Issuer: "https://gitlab.corp.example:8443"}},
		"GKE":                      {{Name: "gke", Provider: "kubernetes", Issuer: "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c"}},
		"AKS, with a slash":        {{Name: "aks", Provider: "kubernetes", Issuer: "https://westeurope.oic.prod-aks.azure.com/a/b/"}},
		"development, on loopback": {{Name: "dev", Provider: "github", Issuer: "http://127.0.0.1:8480/github", URL: "https://github.com"}},
		"development, IPv6":        {{Name: "dev", Provider: "gitlab", Issuer: "http://[::1]:8480/gitlab"}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := identity.New(identity.Config{Audience: audience, Sources: sources}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSourceYAML: the members have the names that the manual gives them.
func TestSourceYAML(t *testing.T) {
	const text = `
name: cluster
provider: kubernetes
issuer: https://kubernetes.default.svc.cluster.local
url: https://prod.example
jwksURI: https://10.0.0.1:6443/openid/v1/jwks
bearerTokenFile: /var/run/token
tokenReview: {server: "https://10.0.0.1:6443", caFile: "", bearerTokenFile: /var/run/reviewer}
algorithms: [ES256]
maxAge: 20m
maxLife: 1h
`
	var s identity.Source
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if s.MaxAge != 20*time.Minute || s.MaxLife != time.Hour || s.JWKSURI == "" || s.BearerTokenFile == "" || s.Algorithms[0] != "ES256" {
		t.Errorf("read %+v", s)
	}
	if _, err := identity.New(identity.Config{Audience: "https://hallmark.corp.example", Sources: []identity.Source{s}}); err != nil {
		t.Error(err)
	}
}
