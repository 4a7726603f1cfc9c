// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestSigningKeys(t *testing.T) {
	key := func() *ecdsa.PublicKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &k.PublicKey
	}
	one, two := key(), key()
	at := time.Date(2026, 1, 31, 12, 0, 0, 999, time.UTC)
	doc, err := SigningKeys([]SigningKey{
		{Name: "release", Use: "signatures", Key: one, Window: Window{End: at}},
		{Name: "release", Use: "signatures", Key: two, Window: Window{Start: at.Add(-time.Hour)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got signingKeysJSON
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	if got.MediaType != SigningKeysMediaType || len(got.Keys) != 2 || *got.Keys[0].ValidFor != (windowSpan{End: "2026-01-31T12:00:00Z"}) ||
		*got.Keys[1].ValidFor != (windowSpan{Start: "2026-01-31T11:00:00Z"}) || !strings.HasPrefix(got.Keys[0].PublicKey, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("%s", doc)
	}
	if doc, err := SigningKeys(nil); err != nil || !strings.Contains(string(doc), `"keys": []`) {
		t.Errorf("%s, %v", doc, err)
	}
	for name, list := range map[string][]SigningKey{
		"no name":        {{Use: "signatures", Key: one}},
		"another use":    {{Name: "a", Use: "both", Key: one}},
		"no key":         {{Name: "a", Use: "signatures"}},
		"one key twice":  {{Name: "a", Use: "signatures", Key: one}, {Name: "a", Use: "attestations", Key: one}},
		"ends too early": {{Name: "a", Use: "signatures", Key: one, Window: Window{Start: at, End: at.Add(-time.Second)}}},
	} {
		if doc, err := SigningKeys(list); err == nil {
			t.Errorf("%s: %s", name, doc)
		}
	}
}
