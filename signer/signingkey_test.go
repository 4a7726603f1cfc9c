// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

func hintOf(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// signedByKeys are the hints of the long-lived keys that a receipt has bundles of.
func signedByKeys(r signer.Receipt) (all []string) {
	for _, a := range append([]signer.Attached{r.Attached}, r.Others...) {
		if a.KeyHint != "" {
			all = append(all, a.KeyHint)
		}
	}
	return all
}

// TestRetiringKey: while a long-lived key is rotated the one before signs beside
// it, each of the two uses with its own; and one that is revoked is left out, and
// stops nothing. The key in use stops everything, as ever.
func TestRetiringKey(t *testing.T) {
	attestation := goodRequest()
	attestation.PredicateType, attestation.Predicate = "https://spdx.dev/Document", []byte(`{"spdxVersion": "SPDX-2.3"}`)
	for _, tags := range []bool{false, true} {
		w := newWorld(t).withKeys("  modes: [key]\n")
		if tags {
			w.withTags()
		}
		pair := w.keys["release"]
		pair.RetiringSignatures, pair.RetiringAttestations = newKey(t), newKey(t)
		w.keys["release"] = pair
		s := w.start()
		r, err := s.Sign(t.Context(), goodRequest())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := signedByKeys(r), []string{hintOf(t, pair.Signatures), hintOf(t, pair.RetiringSignatures)}; !slices.Equal(got, want) {
			t.Errorf("signed by %v, want %v", got, want)
		}
		if r, err = s.Attest(t.Context(), attestation); err != nil {
			t.Fatal(err)
		}
		if got, want := signedByKeys(r), []string{hintOf(t, pair.Attestations), hintOf(t, pair.RetiringAttestations)}; !slices.Equal(got, want) {
			t.Errorf("attested by %v, want %v", got, want)
		}
		w.check()

		w = newWorld(t).withKeys("  modes: [key]\n")
		w.keys["release"] = pair
		w.revocations = revokedKey(t, pair.RetiringSignatures.Public())
		if r, err = w.start().Sign(t.Context(), goodRequest()); err != nil {
			t.Fatal(err)
		}
		if got, want := signedByKeys(r), []string{hintOf(t, pair.Signatures)}; !slices.Equal(got, want) {
			t.Errorf("with the retiring key revoked, signed by %v, want %v", got, want)
		}
		w = newWorld(t).withKeys("  modes: [key]\n")
		w.keys["release"] = pair
		w.revocations = revokedKey(t, pair.Signatures.Public())
		_, err = w.start().Sign(t.Context(), goodRequest())
		refusedAsRevoked(t, w, err)
	}
}
