// SPDX-License-Identifier: Apache-2.0

// Package devissuer is a token issuer for development and tests: it signs, for
// whoever asks, tokens of the shape that CI systems give their jobs. Never
// configure it as an issuer of anything that matters: holding its key is being
// every workflow of every repository.
//
// The tokens have the real claim names and JSON types, so that what accepts
// them accepts the real ones: GitHub writes every id as a string of digits,
// GitLab runner_id as a number. Without overrides a token is a push to
// refs/heads/main of acme/app on a hosted runner, or what comes nearest to it.
// Overriding a claim carries over to the claims that follow from it, as the CI
// system would do: repository changes sub, the owner, the ids and the workflow
// references.
//
// The issuers are BaseURL/github and so on; Sources configures them all. Tokens
// are made from the key alone, without the running server.
//
// A shape is one file with its claims and its configuration, and a line in
// shapes.
package devissuer

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Names of the shapes of tokens, each its own issuer.
const (
	GitHub     = "github"
	GitLab     = "gitlab"
	Buildkite  = "buildkite"
	CircleCI   = "circleci"
	Kubernetes = "kubernetes"
	SPIFFE     = "spiffe"
	// Jenkins is the example of provider generic.
	Jenkins = "jenkins"
)

// shape is how one kind of CI writes its tokens.
type shape struct {
	name   string
	claims func(issuer, audience string, now time.Time, overrides map[string]string) (map[string]any, error)
	// source is YAML of the identity source that believes these tokens, in
	// which ISSUER stands for the issuer's URL. It has the shape's name.
	source string
}

// shapes are all kinds of CI that the service knows.
func shapes() []shape {
	return []shape{
		{GitHub, githubClaims, githubSource}, {GitLab, gitlabClaims, gitlabSource}, {Buildkite, buildkiteClaims, buildkiteSource},
		{CircleCI, circleciClaims, circleciSource}, {Kubernetes, kubernetesClaims, kubernetesSource}, {SPIFFE, spiffeClaims, spiffeSource},
		{Jenkins, jenkinsClaims, jenkinsSource},
	}
}

// Providers returns the names of all shapes.
func Providers() []string {
	var names []string
	for _, s := range shapes() {
		names = append(names, s.name)
	}
	return names
}

// Issuer mints tokens and serves what is needed to check them.
type Issuer struct {
	key     *rsa.PrivateKey
	kid     string
	baseURL string
}

// New returns an issuer at baseURL, for example http://127.0.0.1:8480. The URL
// must be plain http on loopback: this issuer has no business elsewhere.
func New(key *rsa.PrivateKey, baseURL string) (*Issuer, error) {
	if key == nil {
		return nil, errors.New("development issuer: no key")
	}
	u, err := url.Parse(baseURL)
	if err != nil || u.Scheme != "http" || !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()) || u.RawQuery != "" {
		return nil, fmt.Errorf("development issuer: %q is not an http URL on loopback", baseURL)
	}
	return &Issuer{key: key, kid: keyID(key), baseURL: strings.TrimRight(baseURL, "/")}, nil
}

// URL returns the issuer (iss claim) of a provider's tokens.
func (i *Issuer) URL(provider string) string { return i.baseURL + "/" + provider }

// Mint returns a token of the provider's shape for the audience, issued at
// now. Overrides replace claims, see ParseClaims; a claim keeps the JSON type
// that the provider gives it. Errors name the claim.
func (i *Issuer) Mint(provider, audience string, overrides map[string]string, now time.Time) (string, error) {
	if provider == "generic" {
		provider = Jenkins
	}
	for _, s := range shapes() {
		if s.name != provider {
			continue
		}
		claims, err := s.claims(i.URL(provider), audience, now, overrides)
		if err != nil {
			return "", err
		}
		return i.Sign(claims)
	}
	return "", fmt.Errorf("provider %q has no development tokens (hint: one of %s)", provider, strings.Join(Providers(), ", "))
}

// Sources returns YAML of identity sources that believe this issuer's tokens,
// one "- {…}" a line, without those named: tests bring their own.
func (i *Issuer) Sources(without ...string) string {
	var b strings.Builder
	for _, s := range shapes() {
		if !slices.Contains(without, s.name) {
			fmt.Fprintf(&b, "- {name: %s, %s}\n", s.name, strings.ReplaceAll(s.source, "ISSUER", i.URL(s.name)))
		}
	}
	return b.String()
}

// Sign returns a token with exactly these claims.
func (i *Issuer) Sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", i.kid)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.key}, options)
	if err != nil {
		return "", fmt.Errorf("development issuer's key: %w", err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return jws.CompactSerialize()
}

// Handler serves discovery and keys of each provider under its path, below
// the path of the base URL, and the bundle of the SPIFFE trust domain.
func (i *Issuer) Handler() http.Handler {
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &i.key.PublicKey, KeyID: i.kid, Algorithm: string(jose.RS256), Use: "sig"}}}
	mux := http.NewServeMux()
	for _, p := range Providers() {
		if p == SPIFFE {
			serveJSON(mux, "/"+p+"/bundle", i.bundle())
			continue
		}
		serveJSON(mux, "/"+p+"/.well-known/openid-configuration", map[string]any{
			"issuer":                                i.URL(p),
			"jwks_uri":                              i.URL(p) + "/jwks",
			"response_types_supported":              []string{"id_token"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{string(jose.RS256)},
		})
		serveJSON(mux, "/"+p+"/jwks", keys)
	}
	return mux
}

func serveJSON(mux *http.ServeMux, path string, document any) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document) // the client went away
	})
}

// keyID names a key by its modulus, so that another key has another name.
func keyID(key *rsa.PrivateKey) string {
	sum := sha256.Sum256(key.N.Bytes())
	return "dev-" + base64.RawURLEncoding.EncodeToString(sum[:12])
}
