// SPDX-License-Identifier: Apache-2.0

package writers_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

func ecdsaSign(t testing.TB, key *ecdsa.PrivateKey, digest []byte) []byte {
	t.Helper()
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// All spellings verify, are distinct, and each leads to the same set.
func TestSpellings(t *testing.T) {
	digest := sha256.Sum256([]byte("artifact"))
	authority := newKey(t)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := newCertificate(t, "ours", key.Public(), authority)
		sig := ecdsaSign(t, key, digest[:])
		for _, tc := range []struct {
			name   string
			cert   *x509.Certificate
			issuer crypto.PublicKey
			want   int
		}{
			{"bare key", nil, nil, 2},
			{"certificate", cert, authority.Public(), 4},
			{"certificate of an unknown issuer", cert, nil, 2},
		} {
			t.Run(curve.Params().Name+"/"+tc.name, func(t *testing.T) {
				all, err := writers.Spellings(sig, writers.Claim{Certificate: tc.cert, PublicKey: key.Public()}, tc.issuer)
				if err != nil {
					t.Fatal(err)
				}
				set := set(all)
				if len(all) != tc.want || len(set) != tc.want || !bytes.Equal(all[0].Signature, sig) || (tc.cert != nil && !bytes.Equal(all[0].Certificate, cert.Raw)) {
					t.Fatalf("%d spellings, %d of them distinct, first %x", len(all), len(set), all[0])
				}
				for _, s := range all {
					if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], s.Signature) {
						t.Errorf("signature %x does not verify", s.Signature)
					}
					c := writers.Claim{PublicKey: key.Public()}
					if tc.cert != nil {
						if c.Certificate, err = x509.ParseCertificate(s.Certificate); err != nil {
							t.Fatal(err)
						}
						if tc.issuer != nil && !ecdsa.VerifyASN1(&authority.PublicKey, sum(c.Certificate.RawTBSCertificate), c.Certificate.Signature) {
							t.Error("the certificate does not verify")
						}
					}
					again, err := writers.Spellings(s.Signature, c, tc.issuer)
					if err != nil {
						t.Fatal(err)
					}
					for spelling := range set {
						if !setHas(again, spelling) {
							t.Errorf("spelling %s is not found from another", spelling)
						}
					}
				}
			})
		}
	}
}

func sum(b []byte) []byte {
	s := sha256.Sum256(b)
	return s[:]
}

func set(all []writers.Spelling) map[string]bool {
	m := make(map[string]bool)
	for _, s := range all {
		m[fmt.Sprintf("%x", s)] = true
	}
	return m
}

func setHas(all []writers.Spelling, s string) bool { return set(all)[s] }

func TestOneSpelling(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all, err := writers.Spellings([]byte("signature"), writers.Claim{PublicKey: public}, nil)
	if err != nil || len(all) != 1 || string(all[0].Signature) != "signature" || all[0].Certificate != nil {
		t.Errorf("%v %v", all, err)
	}
}

func TestCertificateNotInDER(t *testing.T) {
	authority, key := newKey(t), newKey(t)
	cert := newCertificate(t, "ours", key.Public(), authority)
	var whole asn1.RawValue
	if _, err := asn1.Unmarshal(cert.Raw, &whole); err != nil {
		t.Fatal(err)
	}
	longer, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(bytes.Clone(whole.Bytes), 5, 0)})
	if err != nil {
		t.Fatal(err)
	}
	odd, err := x509.ParseCertificate(longer)
	if err != nil {
		t.Fatalf("no attack: %v", err)
	}
	sig := ecdsaSign(t, key, sum(nil))
	if _, err := writers.Spellings(sig, writers.Claim{Certificate: odd, PublicKey: key.Public()}, authority.Public()); !errors.Is(err, writers.ErrNotDER) {
		t.Errorf("got %v", err)
	}
}

// Whatever is called a signature, there is no panic, and the spellings of a
// spelling are the same two.
func FuzzSpellings(f *testing.F) {
	key := newKey(f)
	f.Add(ecdsaSign(f, key, sum(nil)))
	f.Add([]byte{})
	f.Add([]byte{0x30, 0x06, 2, 1, 1, 2, 1, 1})
	f.Add([]byte{0x30, 0x06, 2, 1, 0xff, 2, 1, 0xff})
	f.Fuzz(func(t *testing.T, sig []byte) {
		c := writers.Claim{PublicKey: key.Public()}
		all, err := writers.Spellings(sig, c, nil)
		if err != nil {
			return
		}
		if len(all) != 2 || !bytes.Equal(all[0].Signature, sig) {
			t.Fatalf("%x", all)
		}
		back, err := writers.Spellings(all[1].Signature, c, nil)
		if err != nil {
			t.Fatalf("%x has the spelling %x, which is none: %v", sig, all[1].Signature, err)
		}
		var a, b struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &a); err != nil {
			t.Fatal(err)
		}
		if _, err := asn1.Unmarshal(back[1].Signature, &b); err != nil || a.R.Cmp(b.R) != 0 || a.S.Cmp(b.S) != 0 {
			t.Errorf("%x leads to %x", sig, back[1].Signature)
		}
	})
}
