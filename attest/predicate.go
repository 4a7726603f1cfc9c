// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// PredicateSignature is the predicate type of an image signature: the
// statement says "this digest" and nothing more. Only this exact type counts
// as a signature.
const PredicateSignature = "https://sigstore.dev/cosign/sign/v1"

// maxPredicateType bounds a predicate type in bytes; real ones are below 80.
const maxPredicateType = 512

// shortNames are the names that cosign's --type takes, with the types they
// stand for there (cosign v2.6.5, cmd/cosign/cli/options/predicate.go).
var shortNames = map[string]string{
	"custom":           "https://cosign.sigstore.dev/attestation/v1",
	"cyclonedx":        "https://cyclonedx.org/bom",
	"link":             "https://in-toto.io/Link/v1",
	"openvex":          "https://openvex.dev/ns",
	"slsaprovenance":   "https://slsa.dev/provenance/v0.2",
	"slsaprovenance02": "https://slsa.dev/provenance/v0.2",
	"slsaprovenance1":  "https://slsa.dev/provenance/v1",
	"spdx":             "https://spdx.dev/Document",
	"spdxjson":         "https://spdx.dev/Document",
	"vuln":             "https://cosign.sigstore.dev/attestation/vuln/v1",
}

// CanonicalPredicateType resolves one of cosign's short names (spdxjson,
// cyclonedx, …); an absolute URI stands for itself. Anything else is an
// ErrPredicateType.
func CanonicalPredicateType(short string) (string, error) {
	if long, ok := shortNames[short]; ok {
		return long, nil
	}
	if err := checkPredicateType(short); err != nil {
		names := make([]string, 0, len(shortNames))
		for name := range shortNames {
			names = append(names, name)
		}
		slices.Sort(names)
		return "", fmt.Errorf("%w (hint: one of %s, or an absolute URI)", err, strings.Join(names, ", "))
	}
	return short, nil
}

// checkPredicateType demands an absolute URI in printable ASCII, as in-toto's
// TypeURI. Types are compared byte by byte, so there is no normalisation.
func checkPredicateType(s string) error {
	if len(s) > maxPredicateType {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrPredicateType, len(s), maxPredicateType)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return fmt.Errorf("%w: %s has a character that no URI has", ErrPredicateType, quote(s))
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || (u.Host == "" && u.Opaque == "") {
		return fmt.Errorf("%w: %s is not an absolute URI", ErrPredicateType, quote(s))
	}
	return nil
}
