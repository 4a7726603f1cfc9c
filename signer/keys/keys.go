// SPDX-License-Identifier: Apache-2.0

// Package keys makes, stores and opens the private keys of a Hallmark
// deployment.
//
// Whoever uses a key gets a crypto.Signer and nothing else, so that a key in a
// KMS or behind PKCS#11 can take the place of a file without a change in the
// certificate authority, the timestamper or the log. This package knows the
// keys that live in files: encrypted PKCS#8 (RFC 5958, PBES2 of RFC 8018 with
// scrypt of RFC 7914 and AES-256-CBC), which OpenSSL reads as well:
//
//	openssl pkcs8 -in ca.key -passin file:password
//
// Creating and opening are different verbs. WriteEncrypted never replaces a
// file, and ReadEncrypted never makes one: a wrong path cannot silently give a
// running service a new identity.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
)

// Kind is the algorithm of a key.
type Kind string

const (
	// ECDSAP256 is ECDSA on NIST P-256, the choice for certificates, SCTs and
	// timestamps: every verifier in the field knows it.
	ECDSAP256 Kind = "ecdsa-p256"
	// Ed25519 suits log checkpoints: some witnesses cosign nothing else.
	Ed25519 Kind = "ed25519"
)

var (
	// ErrWrongPassword means that the file is a well-formed encrypted key
	// which this password does not open. Damaged bytes look the same.
	ErrWrongPassword = errors.New("wrong password")
	// ErrTooOpen means that other users may read a secret file.
	ErrTooOpen = errors.New("file is readable by others")
	// ErrNotKey means that a file is not an encrypted PKCS#8 key of the form
	// this package writes.
	ErrNotKey = errors.New("not an encrypted PKCS#8 key")
	// ErrNoPassword means that no password was given, or an empty one.
	ErrNoPassword = errors.New("no password")
	// ErrUnsupported means that a key is of a kind that cannot be stored.
	ErrUnsupported = errors.New("unsupported kind of key")
)

// Generate makes a private key from the system's randomness.
func Generate(kind Kind) (crypto.Signer, error) {
	switch kind {
	case ECDSAP256:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate %s key: %w", kind, err)
		}
		return key, nil
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("generate %s key: %w", kind, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("generate key: %w %q (hint: %s or %s)", ErrUnsupported, kind, ECDSAP256, Ed25519)
}

// KindOf names the algorithm of a private key held in memory. Everything else,
// handles of a KMS included, is ErrUnsupported.
func KindOf(key any) (Kind, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k != nil && k.Curve == elliptic.P256() {
			return ECDSAP256, nil
		}
	case ed25519.PrivateKey:
		if len(k) == ed25519.PrivateKeySize {
			return Ed25519, nil
		}
	}
	return "", fmt.Errorf("%w: %T (hint: ECDSA P-256 and Ed25519 keys in memory can be stored)", ErrUnsupported, key)
}
