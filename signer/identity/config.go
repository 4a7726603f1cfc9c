// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// defaultMaxAge bounds the use of a stolen token: a job asks for its token
	// when it signs, so ten minutes are plenty.
	defaultMaxAge = 10 * time.Minute
	// defaultMaxLife is the longest exp - iat accepted. GitHub gives five
	// minutes, a Kubernetes projected token an hour.
	defaultMaxLife = time.Hour
	// longestLife is the most that configuration may allow. What lives longer
	// than a day is a stored credential, not a run's token.
	longestLife = 24 * time.Hour
	// defaultFetchTimeout is patience for an issuer that a request waits for.
	defaultFetchTimeout = 5 * time.Second
)

// Config is what New needs.
type Config struct {
	// Audience is the one audience that tokens must be made for, for example
	// https://hallmark.corp.example. It must not be the default audience of a
	// CI system or of another service.
	Audience string
	// AllowSigstoreAudience lets Audience be "sigstore", which stock clients ask
	// for and other services accept too. For the Fulcio API only.
	AllowSigstoreAudience bool
	// Sources are the CI systems whose jobs may ask for signatures.
	Sources []Source
	// FetchTimeout bounds fetching an issuer's discovery and keys together,
	// while requests wait for it. Default: 5 seconds.
	FetchTimeout time.Duration

	// HTTPClient fetches keys, except for sources with a CAFile. Its redirect
	// policy and timeout are replaced. Default: a client of its own that
	// refuses link-local addresses, where clouds keep their metadata services.
	HTTPClient *http.Client
	// Clock is the present. Default: time.Now.
	Clock func() time.Time
	// Logger tells of keys that cannot be fetched. Default: none.
	Logger *slog.Logger
}

// Source is one issuer of tokens; its members are those of the server's
// configuration file.
type Source struct {
	// Name is what policy rules call this source, for example "github":
	// letters, digits and "-".
	Name string `yaml:"name"`
	// Provider is the kind of CI: github, gitlab, buildkite, circleci,
	// kubernetes, spiffe, or generic for every other.
	Provider string `yaml:"provider"`
	// Issuer is the exact iss claim. https, or http on loopback. spiffe: may be
	// absent, since a JWT-SVID need not have one; certificates and policy then
	// name spiffe://<trustDomain> as the issuer. Sources of kubernetes may share
	// an issuer, since the issuers of clusters are often the same text: each
	// then needs its own jwksURI and url.
	Issuer string `yaml:"issuer,omitempty"`
	// URL is the base of the certificate's URIs, without a trailing slash.
	// github: follows from the issuers of github.com, ghe.com and Enterprise
	// Server. gitlab: the issuer, unless set. buildkite: https://buildkite.com.
	// circleci: https://circleci.com, for CircleCI's own issuers. kubernetes:
	// https://kubernetes.io, unless set; clusters that are signed for by
	// different people should have different ones. generic: compulsory, the
	// address that people open in their browser. Not for spiffe.
	URL string `yaml:"url,omitempty"`
	// JWKSURI is where the keys are. Without it they are found by discovery,
	// which must lead to the issuer's own host: a cluster whose discovery
	// names another host needs this.
	JWKSURI string `yaml:"jwksURI,omitempty"`
	// CAFile holds the PEM certificates that the issuer's TLS certificate must
	// chain to, instead of the system's. A cluster's own CA, usually.
	CAFile string `yaml:"caFile,omitempty"`
	// BearerTokenFile holds a token to send when fetching discovery and keys,
	// as a cluster without anonymous access wants it. Read at each fetch,
	// since such tokens rotate; sent to the issuer's and the JWKSURI's host
	// only.
	BearerTokenFile string `yaml:"bearerTokenFile,omitempty"`
	// TokenReview, for kubernetes: a cluster's API server that is asked about
	// each token. Without it a token outlives its pod until it expires.
	TokenReview *TokenReview `yaml:"tokenReview,omitempty"`
	// TrustDomain, for spiffe: whose JWT-SVIDs are accepted, for example
	// ci.corp.example.
	TrustDomain string `yaml:"trustDomain,omitempty"`
	// BundleFile and BundleEndpoint, for spiffe: where the trust domain's bundle
	// is, exactly one. The file is read again every few minutes, as the endpoint
	// is; its address is https (profile https_web, see caFile), or http on
	// loopback.
	BundleFile     string `yaml:"bundleFile,omitempty"`
	BundleEndpoint string `yaml:"bundleEndpoint,omitempty"`
	// Repositories, for buildkite: the URL of each pipeline's repository, by
	// pipeline_id. It becomes the certificate's source repository, which the
	// token does not tell.
	Repositories map[string]string `yaml:"repositories,omitempty"`
	// Generic, for generic: what the tokens of this CI say.
	Generic *Generic `yaml:"generic,omitempty"`
	// Algorithms are the accepted signature algorithms. Default: RS256, for
	// kubernetes RS256 and ES256, for spiffe RS256, ES256 and ES384.
	Algorithms []string `yaml:"algorithms,omitempty"`
	// MaxAge refuses tokens issued longer ago. Default: 10 minutes, and an
	// hour for kubernetes, whose projected tokens rotate. GitLab issues a job's
	// token when the job starts: raise maxAge for jobs that build before they
	// sign, or sign in a job of its own.
	MaxAge time.Duration `yaml:"maxAge,omitempty"`
	// MaxLife refuses tokens whose exp - iat is longer. Default: one hour.
	MaxLife time.Duration `yaml:"maxLife,omitempty"`
	// MaxUses is how many different requests one token may serve until it
	// expires; the same request again counts once. Default: 20. A job that
	// signs more with one token, as GitLab gives it, needs more.
	MaxUses int `yaml:"maxUses,omitempty"`
}

// algorithms are those that may be configured: asymmetric ones only.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

func (c Config) withDefaults() Config {
	c.FetchTimeout = firstOf(c.FetchTimeout, defaultFetchTimeout)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// checkNames looks at what needs no knowledge of providers.
func (c Config) checkNames() error {
	if len(c.Sources) == 0 {
		return errors.New("identity: no source is configured, so nobody could sign (hint: add one under identities)")
	}
	if c.FetchTimeout < 0 {
		return fmt.Errorf("identity: fetchTimeout %s is below zero", c.FetchTimeout)
	}
	names := map[string]bool{}
	for _, s := range c.Sources {
		if !sourceName.MatchString(s.Name) {
			return fmt.Errorf("identity source %q: a name is letters, digits and -", s.Name)
		}
		if names[s.Name] {
			return fmt.Errorf("identity source %q: the name is used twice", s.Name)
		}
		names[s.Name] = true
	}
	return nil
}

// checkIssuers wants each issuer once: two spellings of one are a mistake, or
// somebody's trick. Clusters may share one if their keys are told apart, and
// what their certificates say.
func checkIssuers(sources []Source) error {
	issuers := map[string][]Source{}
	for _, s := range sources {
		spelling := strings.ToLower(strings.TrimRight(s.Issuer, "/"))
		for _, other := range issuers[spelling] {
			clusters := s.Provider == kubernetesName && other.Provider == kubernetesName && s.Issuer == other.Issuer
			switch {
			case !clusters:
				return fmt.Errorf("identity source %q: issuer %s is already the issuer of %q", s.Name, s.Issuer, other.Name)
			case s.JWKSURI == "" || other.JWKSURI == "" || s.JWKSURI == other.JWKSURI || s.URL == other.URL:
				return fmt.Errorf("identity source %q: issuer %s is already the issuer of %q (hint: clusters that share an issuer need a jwksURI and a url each)", s.Name, s.Issuer, other.Name)
			}
		}
		issuers[spelling] = append(issuers[spelling], s)
	}
	return nil
}

// complete checks a source and fills in what its provider knows.
func (s Source) complete(p provider) (Source, error) {
	if err := s.checkMembers(p); err != nil {
		return s, err
	}
	if p.settings != nil {
		if err := p.settings(&s); err != nil {
			return s, err
		}
	}
	s = s.withDefaults(p)
	return s, s.check(p)
}

// checkMembers refuses members that belong to another provider: they would be
// ignored, and somebody relies on them.
func (s Source) checkMembers(p provider) error {
	for _, m := range []struct {
		name, provider string
		set            bool
	}{
		{"tokenReview", kubernetesName, s.TokenReview != nil},
		{"trustDomain", spiffeName, s.TrustDomain != ""},
		{"bundleFile", spiffeName, s.BundleFile != ""},
		{"bundleEndpoint", spiffeName, s.BundleEndpoint != ""},
		{"repositories", buildkiteName, s.Repositories != nil},
		{"generic", genericName, s.Generic != nil},
	} {
		if m.set && p.name != m.provider {
			return fmt.Errorf("%s is for provider %s, not for %s", m.name, m.provider, p.name)
		}
	}
	return nil
}

func (s Source) withDefaults(p provider) Source {
	s.URL = strings.TrimRight(firstOf(s.URL, p.defaultURL(s.Issuer)), "/")
	s.MaxAge = firstOf(s.MaxAge, p.maxAge, defaultMaxAge)
	s.MaxLife = firstOf(s.MaxLife, defaultMaxLife)
	if len(s.Algorithms) == 0 {
		s.Algorithms = p.algorithms
	}
	return s
}

// firstOf returns the first value that is not zero.
func firstOf[T comparable](values ...T) T {
	var zero T
	for _, v := range values {
		if v != zero {
			return v
		}
	}
	return zero
}

func (s Source) check(p provider) error {
	svid := p.name == spiffeName && s.Issuer == trustDomainPrefix+s.TrustDomain // checked by its settings
	if !svid {
		if err := checkEndpoint("issuer", s.Issuer); err != nil {
			return err
		}
	}
	if err := refuseHumanIssuer(s.Issuer); err != nil {
		return err
	}
	if s.JWKSURI != "" {
		if err := checkEndpoint("jwksURI", s.JWKSURI); err != nil {
			return err
		}
	}
	if s.URL == "" && p.name != spiffeName {
		return fmt.Errorf("url is compulsory for %s issuers other than the public one (hint: the address that people open in their browser)", p.name)
	}
	if s.URL != "" && !isWebURL(s.URL) {
		return fmt.Errorf("url %q is not an absolute http(s) URL without query", s.URL)
	}
	for _, alg := range s.Algorithms {
		if !slices.Contains(algorithms, alg) {
			return fmt.Errorf("algorithm %q is not one of %s", alg, strings.Join(algorithms, ", "))
		}
	}
	if s.MaxAge <= 0 || s.MaxLife <= 0 || s.MaxLife > longestLife {
		return fmt.Errorf("maxAge %s and maxLife %s must be above zero, and maxLife at most %s", s.MaxAge, s.MaxLife, longestLife)
	}
	if s.MaxUses < 0 || s.MaxUses > signer.HighestMaxUses {
		return fmt.Errorf("maxUses %d must be 1 to %d (0: %d)", s.MaxUses, signer.HighestMaxUses, signer.DefaultMaxUses)
	}
	return nil
}

// isWebURL accepts what can be the base of a certificate's URIs.
func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") && u.RawQuery == "" && u.Fragment == "" && u.User == nil &&
		!u.ForceQuery && !strings.Contains(text, "#")
}

// checkEndpoint accepts an https URL, or an http URL on loopback, where nobody
// sits on the wire.
func checkEndpoint(what, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return fmt.Errorf("%s %q is not an absolute URL without user, query and fragment", what, text)
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	default:
		return fmt.Errorf("%s %q must be https (plain http is for loopback only)", what, text)
	}
	if strings.Contains(text, "*") {
		return fmt.Errorf("%s %q is a pattern; name each one (hint: one source per issuer)", what, text)
	}
	if u.String() != text {
		return fmt.Errorf("%s %q is not in its normal form %q, which tokens are compared with", what, text, u.String())
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
