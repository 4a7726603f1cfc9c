// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// humanIssuers are identity providers where people log in: a host or, with a
// leading dot, all hosts below it. Signing is for CI runs, so naming one of
// them in the configuration is a mistake that must not start. The list cannot
// be complete; the run claims that every provider requires are the second
// fence.
var humanIssuers = []string{
	"accounts.google.com", "appleid.apple.com", "www.facebook.com", "id.twitch.tv",
	"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn",
	"login.windows.net", "login.microsoft.com", "sts.windows.net", ".b2clogin.com", ".ciamlogin.com",
	"oauth2.sigstore.dev", "oauth2.sigstage.dev", "issuer.hello.coop", "sigstore.verify.ibm.com",
	".okta.com", ".oktapreview.com", ".okta-emea.com", ".auth0.com", ".onelogin.com", ".pingone.com",
	".pingidentity.com", ".duosecurity.com", ".jumpcloud.com", "login.salesforce.com", "slack.com",
	"www.linkedin.com", "auth.atlassian.com", "auth.eclipse.org",
}

// humanPaths are path segments by which self-hosted login servers are known:
// Keycloak's realms, Dex, GitHub's and others' user login, Authentik.
var humanPaths = []string{"/realms/", "/dex/", "/login/oauth/", "/application/o/", "/oauth2/default/"}

// refuseHumanIssuer says no to an issuer where people log in. The text has
// passed checkEndpoint.
func refuseHumanIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	known := strings.HasPrefix(host, "dex.") || strings.HasPrefix(host, "keycloak.")
	for _, h := range humanIssuers {
		known = known || host == h || (strings.HasPrefix(h, ".") && strings.HasSuffix(host, h))
	}
	path := strings.ToLower(strings.TrimRight(u.Path, "/")) + "/"
	for _, p := range humanPaths {
		known = known || strings.Contains(path, p)
	}
	if known {
		return fmt.Errorf("issuer %s is one where people log in; only CI systems may ask for signatures", issuer)
	}
	return nil
}

// defaultAudiences are what tokens carry when nobody asked for an audience, or
// asked for a well-known other service: accepting one would make every such
// token valid here.
var defaultAudiences = []string{
	sigstoreAudience, "sts.amazonaws.com", "api://AzureADTokenExchange", "kubernetes", "vault",
	"https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "kubernetes.default.svc",
	"https://github.com", "https://gitlab.com", "https://buildkite.com", "https://circleci.com",
	"https://rekor.sigstore.dev", "https://fulcio.sigstore.dev", "//iam.googleapis.com", "https://iam.googleapis.com",
	"pypi", "npm:registry.npmjs.org", "rubygems.org",
}

// sigstoreAudience is what stock Sigstore clients ask a CI for.
const sigstoreAudience = "sigstore"

// checkAudience refuses audiences that are not this deployment's own: empty
// ones, well-known ones and whatever a configured CI uses by default (GitHub:
// the owner's URL; GitLab, Kubernetes: the issuer).
func checkAudience(audience string, sources []Source) error {
	if audience == "" {
		return errors.New("identity: audience is empty (hint: the URL of this service, such as https://hallmark.corp.example)")
	}
	if strings.ContainsFunc(audience, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Errorf("identity: audience %q contains white space", audience)
	}
	foreign := defaultAudiences
	for _, s := range sources {
		foreign = append(foreign[:len(foreign):len(foreign)], strings.TrimRight(s.Issuer, "/"))
		if s.URL != "" {
			foreign = append(foreign, strings.TrimRight(s.URL, "/"))
		}
	}
	for _, f := range foreign {
		if a := strings.ToLower(audience); a == strings.ToLower(f) || strings.HasPrefix(a, strings.ToLower(f)+"/") {
			return fmt.Errorf("identity: audience %q is a default audience or another service's: tokens made for others would be accepted (hint: use the URL of this service)", audience)
		}
	}
	return nil
}
