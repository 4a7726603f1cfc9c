// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// Half of all ECDSA signatures come out with a high s: sixteen certificates
// without one are no accident.
func TestCertificatesAreSpelledOneWay(t *testing.T) {
	l := newLab(t)
	issuer, ok := l.cfg.Signer.Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("the issuing key is of type %T", l.cfg.Signer.Public())
	}
	for range 16 {
		issued, err := l.ca.Issue(t.Context(), request(t))
		check(t, err)
		leaf, err := x509.ParseCertificate(issued.Leaf)
		check(t, err)
		low, err := signer.LowS(issuer, leaf.Signature)
		check(t, err)
		if !bytes.Equal(leaf.Signature, low) {
			t.Fatalf("certificate signature %x, want %x", leaf.Signature, low)
		}
	}
}

// Signatures that are not ECDSA are left alone.
func TestLowSPassesOtherKeys(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	message := []byte("message")
	signature, err := lowS{key}.Sign(rand.Reader, message, crypto.Hash(0))
	check(t, err)
	if !ed25519.Verify(pub, message, signature) {
		t.Error("the signature does not verify")
	}
}
