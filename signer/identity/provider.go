// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"
)

// provider is a kind of CI: what its tokens must say and how that maps to a
// certificate. Adding one is a file with a constructor, a line in providerFor,
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

// providerFor returns the provider of a configured name.
func providerFor(name string) (provider, error) {
	switch name {
	case "github":
		return github(), nil
	case "gitlab":
		return gitlab(), nil
	case "kubernetes":
		return kubernetes(), nil
	}
	return provider{}, fmt.Errorf("provider %q is not known (hint: github, gitlab or kubernetes)", name)
}
