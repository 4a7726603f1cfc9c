// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
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
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// MaxKeyBytes bounds a key file. An RSA key of 4096 bits takes 800 bytes.
const MaxKeyBytes = 16 << 10

// Key is the long-lived public key that VerifyBundleWithKey demands. Make it with NewKey; the zero Key matches nothing.
type Key struct {
	public crypto.PublicKey
	hint   string
}

// NewKey reads one public key from PEM: a "PUBLIC KEY" block (PKIX, RFC 5280 section 4.1) with ECDSA on P-256, P-384 or P-521, RSA of 2048,
// 3072 or 4096 bits, or Ed25519, which are the keys of Sigstore's algorithm registry. Anything else is an error that says what was given
// instead, and never repeats it: it may be a private key.
func NewKey(pemBytes []byte) (Key, error) {
	if len(pemBytes) > MaxKeyBytes {
		return Key{}, fmt.Errorf("key: larger than %d bytes", MaxKeyBytes)
	}
	text := bytes.TrimSpace(pemBytes)
	block, rest := pem.Decode(text)
	if block == nil || !bytes.HasPrefix(text, []byte("-----BEGIN ")) { // pem.Decode skips what stands before
		return Key{}, errors.New("key: not a PEM public key (hint: a file that begins with -----BEGIN PUBLIC KEY-----)")
	}
	if err := checkBlock(block.Type); err != nil {
		return Key{}, err
	}
	if len(rest) != 0 {
		return Key{}, errors.New("key: something follows the public key; which of several is meant is not for us to choose")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	if _, err := signature.GetDefaultPublicKeyDetails(public); err != nil {
		return Key{}, fmt.Errorf("key: %w (hint: ECDSA P-256, P-384, P-521, RSA 2048, 3072, 4096 or Ed25519)", err)
	}
	hint, err := hintOf(public)
	if err != nil {
		return Key{}, fmt.Errorf("key: %w", err)
	}
	return Key{public: public, hint: hint}, nil
}

// hintOf hashes the key re-encoded: there is one canonical spelling, and it is what signers hash.
func hintOf(public crypto.PublicKey) (string, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(spki)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// keyName describes who a log entry says has signed.
func keyName(of any) string {
	if _, ok := of.(*x509.Certificate); ok {
		return "a certificate"
	}
	hint, err := hintOf(of)
	if err != nil {
		return "an unknown kind of key"
	}
	return "key " + hint
}

// checkBlock tells what people give instead of a public key.
func checkBlock(kind string) error {
	switch {
	case kind == "PUBLIC KEY":
		return nil
	case strings.HasSuffix(kind, "PRIVATE KEY"): // also "ENCRYPTED SIGSTORE PRIVATE KEY"
		return errors.New("key: this is a private key, keep it secret (hint: verification takes the public key: cosign.pub, or the output of openssl pkey -pubout)")
	case strings.HasSuffix(kind, "CERTIFICATE"):
		return errors.New("key: this is a certificate, not a public key (hint: certificates are checked by identity; for its bare key: openssl x509 -pubkey -noout)")
	case kind == "RSA PUBLIC KEY":
		return errors.New("key: this is a PKCS #1 key (hint: openssl rsa -RSAPublicKey_in -pubout makes it a PUBLIC KEY)")
	}
	return fmt.Errorf("key: a PEM block %q is not a public key (hint: -----BEGIN PUBLIC KEY-----)", kind)
}

// Hint returns the name of the key: base64 of the SHA-256 of its PKIX form (SubjectPublicKeyInfo). Sigstore's signers write it into bundles
// as the hint; a hint in a bundle is nobody's statement and is not compared with it.
func (k Key) Hint() string { return k.hint }

// equal reports whether other, as it stands in a log entry, is this very key. A certificate for the key is not the key.
func (k Key) equal(other any) bool {
	own, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(other)
}

// verifiers returns the ways in which signers in the field use a key of this kind, the usual one first. The bundle does not say which
// was used, and the ways cannot be taken for each other, so each may be tried:
//
//   - ECDSA on the larger curves hashes with the hash of its size; cosign before v3 used SHA-256 always.
//   - Ed25519 signs envelopes plainly, and prehashed (Ed25519ph, RFC 8032) where the log gets only a digest. A message is always
//     prehashed. The plain verifier must never see a message: given a digest alone, it verifies a signature of the empty message.
func (k Key) verifiers(e *evidence) ([]signature.Verifier, error) {
	usual, err := signature.LoadDefaultVerifier(k.public, options.WithED25519ph())
	if err != nil {
		return nil, err
	}
	list := []signature.Verifier{usual}
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		if e.message == nil {
			plain, err := signature.LoadED25519Verifier(public)
			if err != nil {
				return nil, err
			}
			list = append(list, plain)
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			break // SHA-256 is the usual way
		}
		old, err := signature.LoadECDSAVerifier(public, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		list = append(list, old)
	}
	return list, nil
}
