// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// humanIssuers are identity providers where people log in: a host or, with a
// leading dot, all hosts below it. Signing is for CI runs, so naming one of
// them in the configuration is a mistake that must not start. The list cannot
// be complete, and a login server under a company's own name looks like any
// other host: the claims that only a run has, which every provider requires,
// and those that only a login makes are the second fence.
var humanIssuers = []string{
	// Google, Microsoft, Amazon, Apple and other accounts of the public.
	"accounts.google.com", "securetoken.google.com", "session.firebase.google.com", "appleid.apple.com", "www.facebook.com", "facebook.com", "id.twitch.tv",
	"api.login.yahoo.com", "access.line.me", "www.paypal.com", "www.amazon.com", "slack.com", "www.linkedin.com", "auth.atlassian.com",
	"login.salesforce.com", "test.salesforce.com", ".my.salesforce.com", "secure.login.gov", "api.id.me", "issuer.hello.coop", "auth.eclipse.org",
	"login.microsoftonline.com", "login.microsoftonline.us", "login.microsoftonline.de", "login.partner.microsoftonline.cn", "login.chinacloudapi.cn",
	"login.windows.net", "login.microsoft.com", "login.live.com", "sts.windows.net", ".b2clogin.com", ".ciamlogin.com",
	"identitycenter.amazonaws.com", ".awsapps.com", ".amazoncognito.com",
	// Sigstore's own logins.
	"oauth2.sigstore.dev", "oauth2.sigstage.dev", "sigstore.verify.ibm.com",
	// Workforce and customer logins sold as a service.
	".okta.com", ".oktapreview.com", ".okta-emea.com", ".okta-gov.com", ".trexcloud.com", ".auth0.com", ".auth0app.com", ".onelogin.com",
	".pingone.com", ".pingone.eu", ".pingone.ca", ".pingone.asia", ".pingidentity.com", ".forgeblocks.com", ".duosecurity.com", ".jumpcloud.com",
	".verify.ibm.com", ".ice.ibmcloud.com", "iam.cloud.ibm.com", ".identity.oraclecloud.com", ".accounts.ondemand.com", ".accounts400.ondemand.com",
	".id.cyberark.cloud", ".my.idaptive.app", ".cloudflareaccess.com", ".workos.com", ".stytch.com", ".clerk.accounts.dev", ".clerk.com",
	".descope.com", ".frontegg.com", ".fusionauth.io", ".kinde.com", ".logto.app", ".zitadel.cloud", ".oryapis.com", ".supabase.co", ".rippling.com",
	".miniorange.com", ".secureauth.com", ".securid.com", ".authing.cn", ".phasetwo.io", ".cloud-iam.com",
}

// humanHosts are names under which companies run login servers themselves: the
// first label of a host.
var humanHosts = []string{"dex", "keycloak", "adfs", "authelia", "authentik", "zitadel", "casdoor", "kanidm", "fusionauth", "okta", "auth0"}

// humanPaths are parts of paths by which self-hosted login servers, and hosted
// ones under a company's own name, are known.
var humanPaths = []*regexp.Regexp{
	regexp.MustCompile(`/realms/`),                                           // Keycloak
	regexp.MustCompile(`/dex/`),                                              // Dex
	regexp.MustCompile(`/login/oauth/`),                                      // GitHub's user login
	regexp.MustCompile(`/application/o/`),                                    // Authentik
	regexp.MustCompile(`/oauth2/(default|aus[0-9a-z]{17})/`),                 // Okta's authorization servers
	regexp.MustCompile(`/adfs/`),                                             // Active Directory Federation Services
	regexp.MustCompile(`/tfp/|/b2c_1a?_`),                                    // Azure AD B2C
	regexp.MustCompile(`^/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/v2\.0/`), // Microsoft Entra, also under other names
	regexp.MustCompile(`/oauth2/openid/`),                                    // Kanidm
	regexp.MustCompile(`/am/oauth2/|/openam/oauth2/`),                        // ForgeRock
	regexp.MustCompile(`/auth/v1/`),                                          // Supabase
}

// cognito is AWS Cognito: one host per region, one path per user pool.
var cognito = regexp.MustCompile(`^cognito-(idp|identity)(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$`)

// loginClaims are claims that only a login makes. No CI writes them.
var loginClaims = []string{
	"email", "email_verified", "nonce", "auth_time", "at_hash", "c_hash", "s_hash", "acr", "amr", "preferred_username", "given_name", "family_name",
	"middle_name", "nickname", "birthdate", "phone_number", "upn", "unique_name", "cognito:username", "session_state", "idtyp", "wids",
}

// everyTokensClaims are in tokens of people as much as in those of runs: none
// of them can be what says that a token is a run's.
var everyTokensClaims = append([]string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "sid", "name", "profile", "picture", "locale", "zoneinfo", "updated_at", "groups", "roles",
	"scope", "scp", "scopes", "permissions", "client_id", "cid", "uid", "oid", "tid", "ver", "idp", "typ", "username", "user_id", "user", "login", "hd",
	"tenant", "org", "realm_access", "resource_access", "federated_claims", "token_use", "event_id",
}, loginClaims...)

// refuseHumanIssuer says no to an issuer where people log in. The text has
// passed checkEndpoint.
func refuseHumanIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	first, _, _ := strings.Cut(host, ".")
	known := slices.Contains(humanHosts, first) || cognito.MatchString(host)
	for _, h := range humanIssuers {
		known = known || host == h || (strings.HasPrefix(h, ".") && strings.HasSuffix(host, h))
	}
	path := strings.ToLower(strings.TrimRight(u.Path, "/")) + "/"
	for _, p := range humanPaths {
		known = known || p.MatchString(path)
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
// the owner's URL; GitLab, Kubernetes: the issuer; CircleCI: the organisation's
// id).
func checkAudience(audience string, sources []Source) error {
	if audience == "" {
		return errors.New("identity: audience is empty (hint: the URL of this service, such as https://hallmark.corp.example)")
	}
	if strings.ContainsFunc(audience, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Errorf("identity: audience %q contains white space", audience)
	}
	foreign := defaultAudiences
	for _, s := range sources {
		if s.Provider == spiffeName {
			continue // a service's SPIFFE ID is a good audience, and is below its trust domain's
		}
		foreign = append(foreign[:len(foreign):len(foreign)], strings.TrimRight(s.Issuer, "/"))
		if s.Provider == circleciName {
			foreign = append(foreign, s.Issuer[strings.LastIndexByte(s.Issuer, '/')+1:]) // the organisation's id
		}
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
