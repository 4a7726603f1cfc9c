// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// SigningKeysMediaType is that of signing_keys.json. The format is Hallmark's
// own: Sigstore's trusted root has no place for keys that sign artifacts.
const SigningKeysMediaType = "application/vnd.hallmark.signing-keys+json;version=1"

// SigningKey is a long-lived key that signs artifacts or attestations, for
// verifiers that know signers by their keys. Several have one name: the key in
// use, the next one, those before.
type SigningKey struct {
	Name string
	// Use is signatures or attestations. One is never taken for the other.
	Use string
	Key crypto.PublicKey
	// Window is when signatures of the key count, by the time that a log or a
	// timestamp proves. The first key of a name has no Start, one in use no End.
	Window
}

type signingKeysJSON struct {
	MediaType string           `json:"mediaType"`
	Keys      []signingKeyJSON `json:"keys"`
}

type signingKeyJSON struct {
	Name string `json:"name"`
	Use  string `json:"use"`
	// Hint is base64 of the SHA-256 of the public key: its name in bundles.
	Hint      string      `json:"hint"`
	PublicKey string      `json:"publicKey"` // PEM
	ValidFor  *windowSpan `json:"validFor,omitempty"`
}

// windowSpan is a window both ends of which may be open.
type windowSpan struct {
	Start string `json:"start,omitempty"`
	End   string `json:"end,omitempty"`
}

// SigningKeys encodes the list. Its bytes depend on the keys and their order
// alone.
func SigningKeys(list []SigningKey) ([]byte, error) {
	out := signingKeysJSON{MediaType: SigningKeysMediaType, Keys: []signingKeyJSON{}}
	seen := map[string]string{}
	for _, k := range list {
		if k.Name == "" || (k.Use != "signatures" && k.Use != "attestations") {
			return nil, fmt.Errorf("signing key %q for %q: want a name, and signatures or attestations", k.Name, k.Use)
		}
		if !k.End.IsZero() && k.End.Before(k.Start) {
			return nil, fmt.Errorf("signing key %q for %s ends before it begins", k.Name, k.Use)
		}
		der, err := x509.MarshalPKIXPublicKey(k.Key)
		if err != nil {
			return nil, fmt.Errorf("signing key %q for %s: %w", k.Name, k.Use, err)
		}
		sum := sha256.Sum256(der)
		one := signingKeyJSON{
			Name: k.Name, Use: k.Use, Hint: base64.StdEncoding.EncodeToString(sum[:]),
			PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		}
		if other := seen[one.Hint]; other != "" {
			return nil, errors.New("signing keys: " + other + " and " + k.Name + " for " + k.Use + " are one key")
		}
		seen[one.Hint] = k.Name + " for " + k.Use
		if span := (windowSpan{whole(k.Start), whole(k.End)}); span != (windowSpan{}) {
			one.ValidFor = &span
		}
		out.Keys = append(out.Keys, one)
	}
	return encode(out)
}

// whole writes a time in whole seconds; "" for none.
func whole(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Second).Format(time.RFC3339)
}
