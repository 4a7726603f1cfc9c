// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// earlierKey is a key that was rotated, with what the log has of it.
type earlierKey struct {
	ring   string
	key    *ecdsa.PrivateKey
	ended  bool // what it signed does not count any more: it has expired
	logged []signer.LoggedProvenance
}

func (e earlierKey) Rejoin(text string, armoured []byte, _ time.Time) ([]byte, error) {
	if e.ended || !strings.HasPrefix(string(armoured), text+"|") {
		return nil, errors.New("over another text")
	}
	return armoured, nil
}
func (e earlierKey) Fingerprint() string      { return strings.ToUpper(e.ring) }
func (e earlierKey) Ring() []byte             { return []byte(e.ring) }
func (e earlierKey) Public() crypto.PublicKey { return e.key.Public() }

// A chart that a key has signed before it was rotated is the same chart: it is
// not signed again, unless that key is revoked or its signature counts no more.
func TestProvenanceAfterRotation(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(w *chartWorld, e *earlierKey)
		want   string
	}{
		"signed before":  {func(*chartWorld, *earlierKey) {}, "OLD"},
		"expired":        {func(_ *chartWorld, e *earlierKey) { e.ended = true }, "FINGERPRINT"},
		"not signed yet": {func(_ *chartWorld, e *earlierKey) { e.logged = nil }, "FINGERPRINT"},
		"revoked":        {func(w *chartWorld, e *earlierKey) { w.revocations = revokedKey(t, e.key.Public()) }, "FINGERPRINT"},
		"another text": {func(_ *chartWorld, e *earlierKey) {
			e.logged = []signer.LoggedProvenance{{Armoured: []byte("other|1")}}
		}, "FINGERPRINT"},
	} {
		w := newChartWorld(t)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		e := earlierKey{ring: "old", key: key}
		text, err := w.report.ProvenanceMessage(attest.DigestOf([]byte("archive")))
		if err != nil {
			t.Fatal(err)
		}
		e.logged = []signer.LoggedProvenance{{Armoured: []byte(text + "|7"), Entry: attest.LogEntry{LogIndex: 3}}}
		tc.change(w, &e)
		w.earlier = []signer.ProvenanceRing{e}
		r, err, _ := w.ask(w.service())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Key != tc.want || r.Repeated != (tc.want == "OLD") || (w.made == 0) != r.Repeated {
			t.Errorf("%s: %+v, %d signatures made", name, r, w.made)
		}
	}
}
