// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what must be refused
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
)

func TestStrength(t *testing.T) {
	sound := newRSA(t, 2048)
	even := &rsa.PublicKey{N: new(big.Int).SetBit(sound.N, 0, 0), E: 65537}
	small := new(big.Int).Mul(big.NewInt(751), new(big.Int).Rsh(sound.N, 10))
	for small.BitLen() < 2048 {
		small.Lsh(small, 1)
	}
	short := &rsa.PublicKey{N: new(big.Int).Or(new(big.Int).Rsh(sound.N, 3), big.NewInt(1)), E: 65537}
	for name, tc := range map[string]struct {
		key  crypto.PublicKey
		says string
	}{
		"sound":        {sound.Public(), ""},
		"exponent 3":   {&rsa.PublicKey{N: sound.N, E: 3}, "exponent"},
		"even":         {even, "multiple of 2"},
		"small factor": {&rsa.PublicKey{N: small, E: 65537}, "multiple of"},
		"close primes": {&rsa.PublicKey{N: closeModulus(t), E: 65537}, "close to each other"},
		"2045 bits":    {short, "bits"},
		"2056 bits":    {&rsa.PublicKey{N: new(big.Int).SetBit(sound.N, 2055, 1), E: 65537}, "modulus size"},
		"no key":       {nil, "unsupported"},
		"a text":       {"key", "unsupported"},
	} {
		err := checkStrength(tc.key)
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// closeModulus is a product of two primes that follow each other.
func closeModulus(t *testing.T) *big.Int {
	t.Helper()
	p := new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int).SetBit(big.NewInt(0), 1023, 1), 1022, 1), 0, 1)
	next := func() *big.Int {
		for p.Add(p, big.NewInt(2)); !p.ProbablyPrime(1); p.Add(p, big.NewInt(2)) {
		}
		return new(big.Int).Set(p)
	}
	return new(big.Int).Mul(next(), next())
}

func privatePEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// offCurve is a P-256 key whose point is none.
func offCurve(t testing.TB) string {
	t.Helper()
	block, _ := pem.Decode([]byte(pemOf(t, newEC(t, elliptic.P256()).Public())))
	block.Bytes[len(block.Bytes)-1] ^= 1
	return string(pem.EncodeToMemory(block))
}

// swapKey is a signing request of one key, signed by another.
func swapKey(t testing.TB, named, signing *ecdsa.PrivateKey) []byte {
	t.Helper()
	block, _ := pem.Decode(csrOf(t, signing))
	spki := func(k *ecdsa.PrivateKey) []byte {
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	block.Bytes = bytes.Replace(block.Bytes, spki(signing), spki(named), 1)
	return pem.EncodeToMemory(block)
}

// sha1CSR is a signing request that is signed over SHA-1.
func sha1CSR(t testing.TB) []byte {
	t.Helper()
	key := newRSA(t, 2048)
	block, _ := pem.Decode(csrOf(t, key))
	var parts struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(block.Bytes, &parts); err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(parts.Info.FullBytes) //nolint:gosec // as above
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	parts.Algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, Parameters: asn1.NullRawValue}
	parts.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	if block.Bytes, err = asn1.Marshal(parts); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}
