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
	// Provider is the kind of CI: github, gitlab or kubernetes.
	Provider string `yaml:"provider"`
	// Issuer is the exact iss claim. https, or http on loopback.
	Issuer string `yaml:"issuer"`
	// URL is the base of the certificate's URIs, without a trailing slash.
	// github: https://github.com for the public issuer, compulsory for every
	// other (the GHES or ghe.com host). gitlab: the issuer, unless set.
	// kubernetes: https://kubernetes.io, unless set; clusters that are signed
	// for by different people should have different ones.
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
	// Algorithms are the accepted signature algorithms. Default: RS256, for
	// kubernetes RS256 and ES256.
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

func (c Config) check() error {
	if len(c.Sources) == 0 {
		return errors.New("identity: no source is configured, so nobody could sign (hint: add one under identities)")
	}
	if c.FetchTimeout < 0 {
		return fmt.Errorf("identity: fetchTimeout %s is below zero", c.FetchTimeout)
	}
	names, issuers := map[string]bool{}, map[string]string{}
	for _, s := range c.Sources {
		if !sourceName.MatchString(s.Name) {
			return fmt.Errorf("identity source %q: a name is letters, digits and -", s.Name)
		}
		if names[s.Name] {
			return fmt.Errorf("identity source %q: the name is used twice", s.Name)
		}
		names[s.Name] = true
		// Two spellings of one issuer are a mistake, or somebody's trick.
		spelling := strings.ToLower(strings.TrimRight(s.Issuer, "/"))
		if other, taken := issuers[spelling]; taken {
			return fmt.Errorf("identity source %q: issuer %s is already the issuer of %q", s.Name, s.Issuer, other)
		}
		issuers[spelling] = s.Name
	}
	if c.AllowSigstoreAudience && c.Audience == sigstoreAudience {
		return nil
	}
	return checkAudience(c.Audience, c.Sources)
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
	if err := checkEndpoint("issuer", s.Issuer); err != nil {
		return err
	}
	if err := refuseHumanIssuer(s.Issuer); err != nil {
		return err
	}
	if s.JWKSURI != "" {
		if err := checkEndpoint("jwksURI", s.JWKSURI); err != nil {
			return err
		}
	}
	if s.URL == "" {
		return fmt.Errorf("url is compulsory for %s issuers other than the public one (hint: the address that people open in their browser)", p.name)
	}
	if u, err := url.Parse(s.URL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
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
