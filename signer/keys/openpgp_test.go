// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/youmark/pkcs8"
)

// rsaKey is one RSA key for all tests: making one takes a second.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err)
	}
	return key
})

// TestOpenPGPKeys: each kind is stored, opened and signs what OpenPGP wants.
func TestOpenPGPKeys(t *testing.T) {
	digest := sha256.Sum256([]byte("text"))
	made, err := GenerateOpenPGP(OpenPGPP256)
	check(t, err)
	stored, err := NewOpenPGPKey(rsaKey())
	check(t, err)
	for kind, key := range map[OpenPGPKind]OpenPGPKey{OpenPGPP256: made, OpenPGPRSA3072: stored} {
		path := filepath.Join(t.TempDir(), "test.key")
		check(t, WriteEncryptedOpenPGP(path, key, password))
		got, err := ReadEncryptedOpenPGP(path, password)
		check(t, err)
		if got.Kind() != kind || !Equal(got.Public(), key.Public()) {
			t.Errorf("%s: read %s", kind, got.Kind())
		}
		signature, err := got.SignOpenPGP(digest[:])
		check(t, err)
		switch public := key.Public().(type) {
		case *rsa.PublicKey:
			check(t, rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature))
			openssl(t, nil, "pkey", "-in", path, "-passin", "pass:"+string(password), "-noout")
		case *ecdsa.PublicKey:
			if !ecdsa.VerifyASN1(public, digest[:], signature) {
				t.Error("ECDSA: does not verify")
			}
		}
		if _, err := got.SignOpenPGP(digest[:20]); err == nil {
			t.Error("signed a digest of 20 bytes")
		}
		if _, err := ReadEncryptedOpenPGP(path, []byte("wrong")); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("wrong password: %v", err)
		}
		if err := WriteEncryptedOpenPGP(path, key, password); err == nil {
			t.Error("a key was replaced")
		}
		if err := WriteEncryptedOpenPGP(path+"2", key, nil); !errors.Is(err, ErrNoPassword) {
			t.Errorf("without a password: %v", err)
		}
	}
}

// TestRSAIsForOpenPGPOnly: no function for other keys makes, writes or opens RSA.
// That an OpenPGPKey is no crypto.Signer is the compiler's to hold: the
// interface is looked for here, in case somebody gives it the method.
func TestRSAIsForOpenPGPOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.key")
	if err := WriteEncrypted(path, rsaKey(), password); !errors.Is(err, ErrUnsupported) {
		t.Errorf("written: %v", err)
	}
	block, err := encode(rsaKey(), password, pkcs8.ScryptOpts{SaltSize: saltLength, CostParameter: 2, BlockSize: 1, ParallelizationParameter: 1})
	check(t, err)
	check(t, writeNew(path, block))
	if _, err := ReadEncrypted(path, password); !errors.Is(err, ErrUnsupported) {
		t.Errorf("opened: %v", err)
	}
	if _, err := Generate(Kind(OpenPGPRSA3072)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("made: %v", err)
	}
	if _, err := PublicKindOf(rsaKey().Public()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("pinned: %v", err)
	}
	if _, ok := any(OpenPGPKey{}).(interface {
		Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
	}); ok {
		t.Error("a key of OpenPGP is a crypto.Signer, and can be given to anybody")
	}
}

// public is a key of which only the public half is to be had.
type public struct{ crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.PublicKey }
func (p public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("elsewhere")
}

// TestWeakOpenPGPKeys: each refusal says why.
func TestWeakOpenPGPKeys(t *testing.T) {
	modulus := func(bits uint) *big.Int {
		return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits-1), big.NewInt(1))
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	for name, tc := range map[string]struct {
		key  crypto.PublicKey
		says string
	}{
		"RSA 1024":      {&rsa.PublicKey{N: modulus(1024), E: 65537}, "1024 bits is too weak"},
		"RSA 2048":      {&rsa.PublicKey{N: modulus(2048), E: 65537}, "2048 bits is too weak"},
		"RSA 3071":      {&rsa.PublicKey{N: modulus(3071), E: 65537}, "too weak"},
		"RSA 4097":      {&rsa.PublicKey{N: modulus(4097), E: 65537}, "the limit is 4096"},
		"exponent 3":    {&rsa.PublicKey{N: modulus(3072), E: 3}, "the exponent 3"},
		"even exponent": {&rsa.PublicKey{N: modulus(3072), E: 65538}, "an odd one"},
		"nothing":       {&rsa.PublicKey{}, "unsupported"},
		"P-384":         {p384.Public(), "ECDSA on P-384"},
		"Ed25519":       {ed, "ed25519"},
	} {
		if _, err := OpenPGPKindOf(tc.key); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
		if _, err := NewOpenPGPKey(public{tc.key}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if kind, err := OpenPGPKindOf(&rsa.PublicKey{N: modulus(3500), E: 65537}); kind != "rsa-3500" || err != nil {
		t.Errorf("%s, %v", kind, err)
	}
	for kind, says := range map[OpenPGPKind]string{"rsa-2048": "too weak", "dsa": "rsa-3072 or rsa-4096", "": "ecdsa-p256", "ed25519": "ecdsa-p256"} {
		if _, err := GenerateOpenPGP(kind); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", kind, err)
		}
	}
	if err := WriteEncryptedOpenPGP(filepath.Join(t.TempDir(), "k"), OpenPGPKey{signer: public{rsaKey().Public()}}, password); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a key of a KMS was stored: %v", err)
	}
}
