// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"net/http"
	"testing"
	"time"
)

// FuzzRequest: whatever is sent, a key is taken for proven only if the one who
// sent it has shown possession by its own words, and every answer is in one of
// the two forms, in bounded time.
func FuzzRequest(f *testing.F) {
	// The same key in every process that fuzzes.
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		f.Fatal(err)
	}
	text, proof := pemOf(f, key.Public()), proofOf(f, key, subject)
	for _, body := range []string{
		encode(f, v2(text, proof)), encode(f, v1([]byte(text), proof)), encode(f, m{"certificateSigningRequest": csrOf(f, key)}),
		`{"publicKeyRequest":{"publicKey":{"content":"x"}},"credentials":{"oidcIdentityToken":"good"}}`, `{}`, `null`, `[`,
	} {
		f.Add(true, []byte(body))
		f.Add(false, []byte(body))
	}
	f.Fuzz(func(t *testing.T, old bool, body []byte) {
		d, h := newAPI(t)
		path := PathV2Certificate
		if old {
			path = PathV1Certificate
		}
		start := time.Now()
		w := send(h, http.MethodPost, path, string(body), withToken...)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %s", took)
		}
		if w.Code != http.StatusOK && w.Code != http.StatusCreated {
			if errorOf(t, w); w.Code >= 500 || len(d.keys) != 0 {
				t.Errorf("%d %s, %d keys", w.Code, w.Body, len(d.keys))
			}
			return
		}
		if checkAnswer(t, w, old) == nil || len(d.keys) != 1 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		// Only the key of the seeds has signed the subject; a signing request
		// proves itself.
		pub, ok := d.keys[0].(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !pub.Equal(key.Public()) && !bytes.Contains(bytes.ToLower(body), []byte("signing")) {
			t.Errorf("a key was taken for proven: %v", d.keys[0])
		}
	})
}
