// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// newRing is the binary key ring of a fresh key, and its fingerprint.
func newRing(tb testing.TB, user string) (ring []byte, fingerprint string) {
	tb.Helper()
	e, err := openpgp.NewEntity(user, "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint))
}

func TestRingKeys(t *testing.T) {
	alice, first := newRing(t, "Alice")
	bob, second := newRing(t, "Bob")
	keys, err := ringKeys(slices.Concat(alice, bob))
	if err != nil || len(keys) != 2 || keys[0].Fingerprint != first || keys[1].Fingerprint != second || strings.Join(keys[1].UserIDs, ",") != "Bob" {
		t.Errorf("%+v, %v", keys, err)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "words": []byte("<html>"), "armoured": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), "cut off": alice[:20], "no key": []byte("\xcd\x05Alice"),
		"partial length": {0xc6, 0xe1, 4}, "open length": {0x9b, 4}, "another version": {0xc6, 1, 6}, "no body": {0xc6, 0}, "a length beyond everything": {0xc6, 255, 255, 255, 255, 255},
	} {
		if keys, err := ringKeys(bad); err == nil {
			t.Errorf("%s: %+v", name, keys)
		}
	}
}

func FuzzRingKeys(f *testing.F) {
	alice, _ := newRing(f, "Alice")
	f.Add(alice)
	f.Add([]byte("\xcd\x05Alice"))
	f.Fuzz(func(t *testing.T, ring []byte) {
		keys, err := ringKeys(ring)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys and %v", len(keys), err)
		}
	})
}

// What the registry refuses is an answer, with what to do; the rest is undecided.
func TestRegistryError(t *testing.T) {
	err := registryError("push", "registry.example/charts/app:1", &transport.Error{StatusCode: http.StatusUnauthorized})
	var answer *program.Answer
	if !errors.As(err, &answer) || answer.Code != exitNo || !strings.Contains(err.Error(), "helm registry login registry.example") {
		t.Errorf("%v", err)
	}
	if err := registryError("push", "x", errors.New("down")); errors.As(err, &answer) || err.Error() != "push x: down" {
		t.Errorf("%v", err)
	}
}
