// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
)

// Keys of OpenPGP may be RSA, because most of those that sign Helm charts are,
// and because some tools that check them know nothing else. Certificates,
// timestamps, logs and signatures never are: not every verifier takes RSA, and
// the certificate log and the bundles would grow by it. So an OpenPGPKey is no
// crypto.Signer, and none of the functions for other keys reads, makes or
// returns RSA: what is given to an authority or to a log cannot be one of these.

// OpenPGPKind is the algorithm of a key that signs OpenPGP.
type OpenPGPKind string

const (
	// OpenPGPP256 is ECDSA on NIST P-256, which small signatures and every KMS
	// speak for.
	OpenPGPP256 OpenPGPKind = "ecdsa-p256"
	// OpenPGPRSA3072 is for verifiers that know RSA only. The signatures are PKCS #1
	// v1.5 over SHA-256: OpenPGP has no PSS.
	OpenPGPRSA3072 OpenPGPKind = "rsa-3072"
	// OpenPGPRSA4096 is for those whose rules ask for it.
	OpenPGPRSA4096 OpenPGPKind = "rsa-4096"
)

const (
	// minRSA is the strength of P-256 (NIST SP 800-57, table 2), and what verifiers
	// ask for that look beyond 2030. maxRSA is the largest that GnuPG makes and that
	// a KMS has.
	minRSA = 3072
	maxRSA = 4096
	// minExponent is what FIPS 186-5 section A.1.1 asks for.
	minExponent = 65537
)

// OpenPGPKey is a private key that signs OpenPGP and nothing else.
type OpenPGPKey struct {
	signer crypto.Signer
	kind   OpenPGPKind
}

// NewOpenPGPKey says that a key is for OpenPGP. It may be in a KMS. What is too
// weak, or of no kind that is known here, is ErrUnsupported.
func NewOpenPGPKey(signer crypto.Signer) (OpenPGPKey, error) {
	kind, err := OpenPGPKindOf(signer.Public())
	return OpenPGPKey{signer, kind}, err
}

// Public is the public half.
func (k OpenPGPKey) Public() crypto.PublicKey { return k.signer.Public() }

// Kind is its algorithm.
func (k OpenPGPKey) Kind() OpenPGPKind { return k.kind }

// SignOpenPGP signs a SHA-256 digest: RSA as PKCS #1 v1.5, ECDSA as ASN.1.
func (k OpenPGPKey) SignOpenPGP(digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("sign OpenPGP: a digest of %d bytes, not %d", len(digest), sha256.Size)
	}
	return k.signer.Sign(rand.Reader, digest, crypto.SHA256)
}

// OpenPGPKindOf names the algorithm of a public key that may sign OpenPGP. RSA
// keys that others have made may have any size between 3072 and 4096 bits.
// Everything else is ErrUnsupported, and the error says why.
func OpenPGPKindOf(key crypto.PublicKey) (OpenPGPKind, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k != nil && k.Curve == elliptic.P256() {
			return OpenPGPP256, nil
		}
		if k != nil && k.Curve != nil {
			return "", fmt.Errorf("%w for OpenPGP: ECDSA on %s (hint: P-256)", ErrUnsupported, k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if k == nil || k.N == nil {
			break
		}
		switch bits := k.N.BitLen(); {
		case bits < minRSA:
			return "", fmt.Errorf("%w for OpenPGP: RSA of %d bits is too weak for signatures that are to last (hint: %s or %s)", ErrUnsupported, bits, OpenPGPRSA3072, OpenPGPRSA4096)
		case bits > maxRSA:
			return "", fmt.Errorf("%w for OpenPGP: RSA of %d bits, the limit is %d", ErrUnsupported, bits, maxRSA)
		case k.E < minExponent || k.E%2 == 0:
			return "", fmt.Errorf("%w for OpenPGP: RSA with the exponent %d, want an odd one of at least %d", ErrUnsupported, k.E, minExponent)
		default:
			return OpenPGPKind(fmt.Sprintf("rsa-%d", bits)), nil
		}
	}
	return "", fmt.Errorf("%w for OpenPGP: %T (hint: %s, %s or %s)", ErrUnsupported, key, OpenPGPP256, OpenPGPRSA3072, OpenPGPRSA4096)
}

// CheckOpenPGPKind says whether a key of the kind can be made: ErrUnsupported.
func CheckOpenPGPKind(kind OpenPGPKind) error {
	switch kind {
	case OpenPGPP256, OpenPGPRSA3072, OpenPGPRSA4096:
		return nil
	case "rsa-1024", "rsa-2048":
		return fmt.Errorf("%w %q: too weak for signatures that are to last (hint: %s or %s)", ErrUnsupported, kind, OpenPGPRSA3072, OpenPGPRSA4096)
	}
	return fmt.Errorf("%w %q (hint: %s, %s or %s)", ErrUnsupported, kind, OpenPGPP256, OpenPGPRSA3072, OpenPGPRSA4096)
}

// GenerateOpenPGP makes a private key from the system's randomness. RSA takes
// about a second.
func GenerateOpenPGP(kind OpenPGPKind) (OpenPGPKey, error) {
	if err := CheckOpenPGPKind(kind); err != nil {
		return OpenPGPKey{}, fmt.Errorf("generate OpenPGP key: %w", err)
	}
	var signer crypto.Signer
	var err error
	switch kind {
	case OpenPGPRSA3072:
		signer, err = rsa.GenerateKey(rand.Reader, 3072)
	case OpenPGPRSA4096:
		signer, err = rsa.GenerateKey(rand.Reader, 4096)
	default:
		signer, err = Generate(ECDSAP256)
	}
	if err != nil {
		return OpenPGPKey{}, fmt.Errorf("generate OpenPGP key: %w", err)
	}
	return NewOpenPGPKey(signer)
}

// WriteEncryptedOpenPGP is WriteEncrypted for keys of OpenPGP.
func WriteEncryptedOpenPGP(path string, key OpenPGPKey, password []byte) error {
	hash, err := hashFor(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	var block []byte
	switch key.signer.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		block, err = encode(key.signer, password, hash)
	default:
		err = fmt.Errorf("%w: a %T cannot be stored", ErrUnsupported, key.signer)
	}
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return writeKey(path, block)
}

// ReadEncryptedOpenPGP is ReadEncrypted for keys of OpenPGP.
func ReadEncryptedOpenPGP(path string, password []byte) (OpenPGPKey, error) {
	signer, err := readKey(path, password)
	if err != nil {
		return OpenPGPKey{}, err
	}
	if key, ok := signer.(*rsa.PrivateKey); ok {
		if err := key.Validate(); err != nil {
			return OpenPGPKey{}, fmt.Errorf("read key %s: %w", path, errors.Join(ErrNotKey, err))
		}
	}
	key, err := NewOpenPGPKey(signer)
	if err != nil {
		return OpenPGPKey{}, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, nil
}
