// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// Both spellings of a signature become one, which verifies.
func TestLowS(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		digest := make([]byte, 32)
		made, err := ecdsa.SignASN1(rand.Reader, key, digest)
		if err != nil {
			t.Fatal(err)
		}
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(made, &rs); err != nil {
			t.Fatal(err)
		}
		rs.S.Sub(curve.Params().N, rs.S)
		twin, err := asn1.Marshal(rs)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(made, twin) || !ecdsa.VerifyASN1(&key.PublicKey, digest, twin) {
			t.Fatal("the signature has no twin")
		}
		a, errA := signer.LowS(&key.PublicKey, made)
		b, errB := signer.LowS(&key.PublicKey, twin)
		if errA != nil || errB != nil || !bytes.Equal(a, b) || !ecdsa.VerifyASN1(&key.PublicKey, digest, a) {
			t.Errorf("%s: %x (%v) and %x (%v)", curve.Params().Name, a, errA, b, errB)
		}
		for name, bad := range map[string][]byte{"nothing": nil, "trailing data": append(bytes.Clone(made), 0), "rubbish": []byte("rubbish")} {
			if _, err := signer.LowS(&key.PublicKey, bad); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	}
}

// Half of all ECDSA signatures come out with a high s: sixteen statements
// without one are no accident.
func TestStatementsAreSignedWithLowS(t *testing.T) {
	for range 16 {
		w := newWorld(t)
		if _, err := w.start().Sign(t.Context(), goodRequest()); err != nil {
			t.Fatal(err)
		}
		made := w.logs[0].entries[0].Signature
		low, err := signer.LowS(&ecdsa.PublicKey{Curve: elliptic.P256()}, made)
		if err != nil || !bytes.Equal(made, low) {
			t.Fatalf("logged signature %x, want %x (%v)", made, low, err)
		}
	}
}
