// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // see chartkeyring.go
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// aKey is the body of a public key packet: only its version matters here.
var aKey = append([]byte{4, 0, 0, 0, 1, 19}, bytes.Repeat([]byte{7}, 300)...)

// fingerprintOf is that of RFC 9580, section 5.5.4.2, written out.
func fingerprintOf(body []byte) string {
	sum := sha1.Sum(append([]byte{0x99, byte(len(body) >> 8), byte(len(body))}, body...)) //nolint:gosec // see above
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func TestRingKeys(t *testing.T) {
	oldForm := append([]byte{0x99, byte(len(aKey) >> 8), byte(len(aKey) & 0xff)}, aKey...) // tag 6, two bytes of length
	newForm := append([]byte{0xc6, byte((len(aKey)-192)>>8) + 192, byte(len(aKey) - 192)}, aKey...)
	fourBytes := append([]byte{0xc6, 255, 0, 0, byte(len(aKey) >> 8), byte(len(aKey) & 0xff)}, aKey...)
	user := []byte("\xcd\x05Alice")
	signature := []byte("\xc2\x01x")
	for name, key := range map[string][]byte{"old": oldForm, "new": newForm, "four bytes": fourBytes} {
		keys, err := ringKeys(slices.Concat(key, user, signature, key))
		if err != nil || len(keys) != 2 || keys[0].Fingerprint != fingerprintOf(aKey) || strings.Join(keys[0].UserIDs, ",") != "Alice" || len(keys[1].UserIDs) != 0 {
			t.Errorf("%s: %+v, %v", name, keys, err)
		}
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "words": []byte("<html>"), "armoured": []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), "cut off": oldForm[:50], "no key": user,
		"partial length": {0xc6, 0xe1, 4}, "open length": {0x9b, 4}, "a flood": bytes.Repeat(signature, maxRingPackets+2), "another version": {0xc6, 1, 6},
		"no body": {0xc6, 0}, "a length beyond everything": {0xc6, 255, 255, 255, 255, 255}, "half a length": {0xc6, 255, 0},
	} {
		if keys, err := ringKeys(bad); err == nil {
			t.Errorf("%s: %+v", name, keys)
		}
	}
}

func FuzzRingKeys(f *testing.F) {
	f.Add([]byte("\xcd\x05Alice"))
	f.Add(append([]byte{0xc6, 255, 0, 0, byte(len(aKey) >> 8), byte(len(aKey) & 0xff)}, aKey...))
	f.Fuzz(func(t *testing.T, ring []byte) {
		keys, err := ringKeys(ring)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k.Fingerprint) != 2*sha1.Size {
				t.Errorf("fingerprint %q", k.Fingerprint)
			}
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
