// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier"
)

// TestLegacyByKey: what lies under a legacy tag is proven by the very key, for this artifact, as long as it is not
// revoked.
func TestLegacyByKey(t *testing.T) {
	l := newLab(t)
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	c, err := verifier.NewCrypto(newRoot(t, l))
	must(t, err)
	other := attest.DigestOf([]byte("another image"))
	stranger := newVerifierKey(t, newKey(t).Public())
	document, err := attest.SimpleSigning("r.example/acme/app", image)
	must(t, err)
	st := statement(t, image, "https://example.com/p/v1", `{"a":1}`)
	refused := func(name string, err error, want verifier.Reason) {
		t.Helper()
		var refusal *verifier.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	for name, way := range map[string]struct {
		key  crypto.Signer
		hash crypto.Hash
	}{
		"P-256": {newKey(t), crypto.SHA256}, "P-384, as cosign 2 hashes": {newKeyOn(t, elliptic.P384()), crypto.SHA256}, "P-384": {newKeyOn(t, elliptic.P384()), crypto.SHA384},
		"RSA": {rsaKey, crypto.SHA256}, "Ed25519": {edPrivate, 0},
	} {
		sign := func(message []byte) []byte {
			t.Helper()
			if way.hash != 0 {
				h := way.hash.New()
				_, _ = h.Write(message)
				message = h.Sum(nil)
			}
			sig, err := way.key.Sign(rand.Reader, message, way.hash)
			must(t, err)
			return sig
		}
		key := newVerifierKey(t, way.key.Public())
		sig := sign(document)
		if err := c.LegacySignatureByKey(image, document, sig, key); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		refused(name+", another key", c.LegacySignatureByKey(image, document, sig, stranger), verifier.ReasonUnverified)
		refused(name+", another image", c.LegacySignatureByKey(other, document, sig, key), verifier.ReasonOtherArtifact)
		refused(name+", other bytes", c.LegacySignatureByKey(image, append([]byte(" "), document...), sig, key), verifier.ReasonUnverified)
		refused(name+", a signed text", c.LegacySignatureByKey(image, []byte("text"), sign([]byte("text")), key), verifier.ReasonMalformed)

		envelope, err := attest.Envelope(attest.PayloadType, st, sign(attest.PAE(attest.PayloadType, st)))
		must(t, err)
		if got, err := c.LegacyAttestationByKey(image, envelope, key); err != nil || got.PredicateType != "https://example.com/p/v1" {
			t.Errorf("%s, envelope: %+v, %v", name, got, err)
		}
		_, err = c.LegacyAttestationByKey(image, envelope, stranger)
		refused(name+", envelope of another key", err, verifier.ReasonUnverified)
		_, err = c.LegacyAttestationByKey(other, envelope, key)
		refused(name+", envelope about another image", err, verifier.ReasonOtherArtifact)
		foreign, err := attest.Envelope("text/plain", st, sign(attest.PAE("text/plain", st)))
		must(t, err)
		_, err = c.LegacyAttestationByKey(image, foreign, key)
		refused(name+", another type", err, verifier.ReasonMalformed)
	}

	// Nothing proves the time: since tomorrow is revoked as well.
	raw := sha256.Sum256(spki(t, edPublic))
	since := time.Now().Add(24 * time.Hour)
	for kind, value := range map[string]string{"key": "sha256:" + hex.EncodeToString(raw[:]), "digest": string(image)} {
		c, err := verifier.NewCrypto(newRoot(t, l), verifier.WithRevocations(revocations(t, time.Now(), kind, value, &since), 0))
		must(t, err)
		refused(kind+" revoked", c.LegacySignatureByKey(image, document, ed25519.Sign(edPrivate, document), newVerifierKey(t, edPublic)), verifier.ReasonRevoked)
	}
	if err := c.LegacySignatureByKey(image, document, nil, verifier.Key{}); err == nil {
		t.Error("the zero key verifies")
	}
}
