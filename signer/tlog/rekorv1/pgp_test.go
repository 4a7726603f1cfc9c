// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// pgpPacket writes a packet with a length of five octets (RFC 9580 4.2.1).
func pgpPacket(tag byte, body []byte) []byte {
	const newFormat, fiveOctets = 0xC0, 0xFF
	return append(binary.BigEndian.AppendUint32([]byte{newFormat | tag, fiveOctets}, uint32(len(body))), body...)
}

// mpi writes the largest number of so many bytes.
func mpi(size int) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(8*size)), bytes.Repeat([]byte{0xFF}, size)...)
}

// pgpKey is a public key packet of an algorithm with some numbers.
func pgpKey(algorithm byte, numbers ...[]byte) []byte {
	return pgpPacket(6, append([]byte{4, 0, 0, 0, 1, algorithm}, slices.Concat(numbers...)...))
}

func armored(t *testing.T, kind string, packets []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, kind, nil)
	if err == nil {
		_, err = w.Write(packets)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A key ring checks itself when it is read, which takes as long as its numbers
// are large: of that nothing may be done before they are looked at.
func TestHostilePGP(t *testing.T) {
	e := newEnv(t, options{})
	entity, good := pgpEntity(t)
	var private, signed bytes.Buffer
	if err := entity.SerializePrivate(&private, nil); err != nil {
		t.Fatal(err)
	}
	if err := openpgp.DetachSign(&signed, entity, strings.NewReader("x"), &packet.Config{DefaultHash: crypto.SHA256}); err != nil {
		t.Fatal(err)
	}
	odd, err := openpgp.NewEntity("a", "", "a@b.example", &packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveBrainpoolP256})
	if err != nil {
		t.Fatal(err)
	}
	var brainpool bytes.Buffer
	if err := odd.Serialize(&brainpool); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key []byte
		why string
	}{
		"DSA":        {pgpKey(17, mpi(4000), mpi(4000), mpi(4000), mpi(4000)), "DSA are not accepted"},
		"RSA":        {pgpKey(1, mpi(1025), mpi(3)), "8200 bits is larger than 8192"},
		"curve":      {brainpool.Bytes(), "BrainpoolP256"},
		"private":    {private.Bytes(), "tag 5 is not expected"},
		"compressed": {pgpPacket(8, []byte{1}), "tag 8 is not expected"},
		"signatures": {bytes.Repeat(pgpPacket(2, []byte{4}), 129), "more than 128 PGP signatures"},
	} {
		for form, key := range map[string][]byte{
			"binary": tc.key, "armoured": armored(t, openpgp.PublicKeyType, tc.key),
			"second": append(bytes.Clone(good), append([]byte("\r\n"), armored(t, openpgp.PublicKeyType, tc.key)...)...),
		} {
			// A search does not say why.
			query := compact(t, obj{"publicKey": obj{"format": "pgp", "content": key}})
			if found := e.call(http.MethodPost, "/api/v1/index/retrieve", string(query)); found.status != http.StatusBadRequest {
				t.Errorf("%s, %s, search: %d %s", name, form, found.status, found.body)
			}
			got := e.submit(compact(t, rekord("pgp", []byte("x"), signed.Bytes(), key)), http.StatusBadRequest)
			if !strings.Contains(got.body, tc.why) {
				t.Errorf("%s, %s: %s", name, form, got.body)
			}
			got = e.submit(compact(t, proposal("helm", "0.0.1", obj{"publicKey": obj{"content": key}, "chart": obj{"provenance": obj{"content": []byte("x")}}})), http.StatusBadRequest)
			if !strings.Contains(got.body, tc.why) {
				t.Errorf("%s, %s, helm: %s", name, form, got.body)
			}
		}
		// As a signature, where a private key would be read, too.
		for form, sig := range map[string][]byte{"binary": tc.key, "armoured": armored(t, openpgp.SignatureType, tc.key)} {
			got := e.submit(compact(t, rekord("pgp", []byte("x"), sig, good)), http.StatusBadRequest)
			if !strings.Contains(got.body, "is not expected here") && !strings.Contains(got.body, "PGP signatures") {
				t.Errorf("%s as a signature, %s: %s", name, form, got.body)
			}
		}
	}
}
