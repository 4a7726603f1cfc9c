// SPDX-License-Identifier: Apache-2.0

package index

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
)

// PublicKey returns the key of a public key: "publickey:<hex>" with the SHA-256
// of its DER SubjectPublicKeyInfo. A certificate is found by its key.
func PublicKey(key crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("index public key: %w", err)
	}
	return RawKey(spki), nil
}

// RawKey returns the key of a public key that has no SubjectPublicKeyInfo, such
// as PGP, SSH and minisign keys, from the canonical form that Rekor v1 logs.
func RawKey(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return join(KindPublicKey, hex.EncodeToString(sum[:]))
}
