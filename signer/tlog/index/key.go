// SPDX-License-Identifier: Apache-2.0

package index

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
)

// PublicKey returns the key of a public key: "publickey:<hex>" with the SHA-256
// of its DER SubjectPublicKeyInfo. A certificate is found by its key.
func PublicKey(key crypto.PublicKey) (string, error) {
	if spki, ok := p256Info(key); ok {
		return RawKey(spki), nil
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("index public key: %w", err)
	}
	return RawKey(spki), nil
}

// p256Prefix is what every SubjectPublicKeyInfo of an ECDSA P-256 key begins with
// (RFC 5480): the point, uncompressed, follows.
var p256Prefix = []byte{
	0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
	0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // secp256r1
	0x03, 0x42, 0x00,
}

// p256Info is x509.MarshalPKIXPublicKey without its reflection, for the key that
// nearly every entry has; false for others.
func p256Info(key crypto.PublicKey) ([]byte, bool) {
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, false
	}
	point, err := ec.Bytes()
	if err != nil {
		return nil, false
	}
	return slices.Concat(p256Prefix, point), true
}

// RawKey returns the key of a public key that has no SubjectPublicKeyInfo, such
// as PGP, SSH and minisign keys, from the canonical form that Rekor v1 logs.
func RawKey(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return join(KindPublicKey, hex.EncodeToString(sum[:]))
}
