// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/sigstore/fulcio/pkg/certificate"
)

// provider is a kind of CI: what its tokens must say and how that maps to a
// certificate. Adding one is a file with a constructor, a line in providers,
// and a table of cases.
type provider struct {
	name string
	// algorithms is the default of Source.Algorithms.
	algorithms []string
	// maxAge is the default of Source.MaxAge; zero: the package's.
	maxAge time.Duration
	// defaultURL returns the base URL that belongs to an issuer when it is
	// certain, else "" and configuration must say it.
	defaultURL func(issuer string) string
	// read reads the claims of a verified token. Refusals stick to r.
	read func(r *reader, s Source) run

	// The rest is nil unless a provider differs.

	// settings checks the members of Source that only this provider has, and
	// may complete the source with them.
	settings func(s *Source) error
	// parseKeys reads the document that holds the issuer's keys; nil: a JWK set.
	parseKeys func(s Source, body []byte) (map[string][]jose.JSONWebKey, error)
	// checkDiscovery looks at the issuer's discovery document.
	checkDiscovery func(members map[string]any) error
	// confirm is a last question, after everything else was found good: nil is
	// yes, a refusal no, any other error that it could not be asked.
	confirm func(ctx context.Context, src *source, tok token, audience string) error
}

// run is what a provider reads from a token.
type run struct {
	// id becomes signer.Principal.Run.
	id string
	// san is the certificate's URI.
	san string
	// extensions lack Issuer and Subject, which are the same for all.
	extensions certificate.Extensions
}

// providers are all kinds of CI there are.
func providers() []provider {
	return []provider{github(), gitlab(), buildkite(), circleci(), kubernetes(), spiffe(), generic()}
}

// providerFor returns the provider of a configured name.
func providerFor(name string) (provider, error) {
	var known []string
	for _, p := range providers() {
		if p.name == name {
			return p, nil
		}
		known = append(known, p.name)
	}
	return provider{}, fmt.Errorf("provider %q is not known (hint: one of %s; generic is for every CI that has no name here)", name, strings.Join(known, ", "))
}
