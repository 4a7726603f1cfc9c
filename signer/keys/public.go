// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// The public half of a key that lives elsewhere is kept beside the deployment's
// own keys: it is the pin that says which key this deployment has. A KMS
// answers for a name, and whoever may change what the name leads to would
// otherwise give the service a new identity without anybody's doing here.

// publicPEM is the label of a public key in PEM (RFC 7468 section 13).
const publicPEM = "PUBLIC KEY"

// ErrOtherKey means that a key is not the one that was pinned.
var ErrOtherKey = errors.New("not the key that was pinned")

// PublicKindOf names the algorithm of a public key. What this package has no
// name for is ErrUnsupported.
func PublicKindOf(key crypto.PublicKey) (Kind, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return ECDSAP256, nil
		}
		if k != nil && k.Curve != nil {
			return "", fmt.Errorf("%w: ECDSA on %s", ErrUnsupported, k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return Ed25519, nil
		}
	}
	return "", fmt.Errorf("%w: %T", ErrUnsupported, key)
}

// Hint is the name by which Sigstore's bundles call a key: base64 of the
// SHA-256 of its SubjectPublicKeyInfo.
func Hint(key crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("name key: %w", err)
	}
	sum := sha256.Sum256(spki)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// PublicPEM is the key as verifiers want it: `cosign verify --key`.
func PublicPEM(key crypto.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: spki}), nil
}

// WritePublic stores a public key in a new file. An existing file is never
// touched: the error is fs.ErrExist then.
func WritePublic(path string, key crypto.PublicKey) error {
	content, err := PublicPEM(key)
	if err != nil {
		return fmt.Errorf("write public key %s: %w", path, err)
	}
	if err := writeNew(path, content); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("write public key %s: %w (hint: a pin is never overwritten; a new key gets a new name)", path, fs.ErrExist)
		}
		return fmt.Errorf("write public key %s: %w", path, err)
	}
	return nil
}

// ReadPublic reads what WritePublic wrote: one PEM block and nothing else.
// fs.ErrNotExist if there is no such file.
func ReadPublic(path string) (crypto.PublicKey, error) {
	f, err := os.Open(path) //nolint:gosec // the path is the operator's configuration
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read public key %s: %w", path, err)
	}
	block, rest := pem.Decode(content)
	if len(content) > maxKeyFile || block == nil || block.Type != publicPEM || len(rest) != 0 {
		return nil, fmt.Errorf("read public key %s: not a public key (hint: one PEM block %q and nothing else)", path, publicPEM)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read public key %s: %w", path, err)
	}
	return key, nil
}

// Equal says whether two public keys are one.
func Equal(a, b crypto.PublicKey) bool {
	one, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && one.Equal(b)
}
