// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// The fast way makes the leaf that Rekor's code makes, and the same keys, for
// every proposal that it takes; it takes the ones it is for.
func TestFastIsSlow(t *testing.T) {
	e := newEnv(t, options{})
	fast := 0
	for name, p := range allKinds(t) {
		raw := compact(t, p)
		want, keys, err := rekorv1.Slow(t.Context(), e.service, raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, gotKeys, ok := rekorv1.Fast(raw)
		if !ok {
			continue
		}
		fast++
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\n%s", name, got, want)
		}
		slices.Sort(keys)
		slices.Sort(gotKeys)
		if !slices.Equal(keys, gotKeys) {
			t.Errorf("%s: keys\n%q\n%q", name, gotKeys, keys)
		}
	}
	if want := 6; fast != want { // hashedrekord with three curves and a certificate, dsse with key and certificate
		t.Errorf("%d proposals were read the fast way instead of %d", fast, want)
	}
}

// FuzzCanonical changes valid requests. Whatever is accepted either way is
// canonical, equal both ways, and an entry that clients can read back.
func FuzzCanonical(f *testing.F) {
	e := newEnv(f, options{})
	for _, p := range allKinds(f) {
		f.Add(compact(f, p))
	}
	s := newSigner(f)
	p := compact(f, s.hashedrekord(f, "a", s.publicPEM(f)))
	f.Add(bytes.Replace(p, []byte(`"kind"`), []byte(`"KIND"`), 1))
	f.Add(bytes.Replace(p, []byte(`{`), []byte(`{"kind":"dsse",`), 1))
	f.Add(append(p, ' '))
	f.Fuzz(func(t *testing.T, raw []byte) {
		want, _, err := rekorv1.Slow(t.Context(), e.service, raw)
		got, keys, ok := rekorv1.Fast(raw)
		if ok && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("fast\n%s\nslow\n%s\n%v", got, want, err)
		}
		if err != nil {
			return
		}
		if len(keys) > 64 {
			t.Errorf("%d index keys", len(keys))
		}
		if canonical, err := jsoncanonicalizer.Transform(want); err != nil || !bytes.Equal(canonical, want) {
			t.Fatalf("%s is not canonical: %v", want, err)
		}
		logged, err := models.UnmarshalProposedEntry(bytes.NewReader(want), nil)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		impl, err := types.UnmarshalEntry(logged)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		// Only kinds that keep all they verify can be made canonical again.
		if again, err := types.CanonicalizeEntry(t.Context(), impl); err == nil && !bytes.Equal(again, want) {
			t.Errorf("%s is not canonical: %s", want, again)
		}
	})
}

// FuzzStrict holds the reader of requests beside encoding/json: what it takes
// encoding/json takes, and no member is given twice.
func FuzzStrict(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"b":[true,false,null,"x\u00e9\n"],"c":{"d":-1.5e+3}}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `[1,]`, `{"a"}`, `"\ud800"`,
		`01`, `nul`, `{"\u0061":1,"a":2}`, "\"\xff\"", `[[[[`, ` 1 `, `1 2`, "\"\x01\"", `"`, `-`, `{"k":1,"K":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if rekorv1.Strict(raw) != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("%q is not JSON", raw)
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		noDuplicates(t, dec)
	})
}

// noDuplicates reads one value.
func noDuplicates(t *testing.T, dec *json.Decoder) {
	token, err := dec.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token {
	case json.Delim('['):
		for dec.More() {
			noDuplicates(t, dec)
		}
		_, _ = dec.Token()
	case json.Delim('{'):
		seen := map[any]bool{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil || seen[name] {
				t.Fatalf("member %v twice: %v", name, err)
			}
			seen[name] = true
			noDuplicates(t, dec)
		}
		_, _ = dec.Token()
	}
}

// FuzzEnvelope signs whatever it is given, so that much of it is accepted: the
// two ways agree on it, and on the process's own way to write the envelope.
func FuzzEnvelope(f *testing.F) {
	f.Add(intotoType, statement("app"), "", " ")
	f.Add("a/b", []byte("payload"), "key", "\n")
	f.Add("type with \"quotes\" and \u2028", []byte{0, 255}, "\x00é<>&", "")
	f.Add(intotoType, []byte(`{"subject":[{"digest":{"sha256":"x","SHA1":"0000000000000000000000000000000000000000"}}]}`), "", "\t")
	f.Add("\xff", []byte("x"), "", "")
	e := newEnv(f, options{})
	s := newSigner(f)
	cert := s.certificate(f, newIssuer(f))
	f.Fuzz(func(t *testing.T, payloadType string, payload []byte, keyID, space string) {
		sum := sha256.Sum256(attest.PAE(payloadType, payload))
		sig, err := s.key.Sign(rand.Reader, sum[:], s.hash)
		if err != nil {
			t.Fatal(err)
		}
		one := obj{"sig": sig}
		if keyID != "" {
			one["keyid"] = keyID
		}
		text := string(compact(t, obj{"payloadType": payloadType, "payload": payload, "signatures": []obj{one}}))
		if strings.Trim(space, " \t\r\n") == "" && len(space) < 10 {
			text += space
		}
		raw := compact(t, dsse(text, certPEM(cert)))
		want, wantKeys, err := rekorv1.Slow(t.Context(), e.service, raw)
		got, keys, ok := rekorv1.Fast(raw)
		if ok && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("fast\n%s\nslow\n%s\n%v", got, want, err)
		}
		slices.Sort(keys)
		slices.Sort(wantKeys)
		if ok && !slices.Equal(keys, wantKeys) {
			t.Fatalf("keys\n%q\n%q", keys, wantKeys)
		}
		if utf8.ValidString(payloadType) && len(payload) > 0 && !ok {
			t.Fatalf("%s: not read the fast way: %v", raw, err)
		}
		logged, err := e.service.Append(t.Context(), rekorv1.Envelope{PayloadType: payloadType, Payload: payload, Signature: sig, Certificate: cert})
		if (err == nil) != (len(payload) > 0 && utf8.ValidString(payloadType)) {
			t.Fatalf("appended %q %q: %v", payloadType, payload, err)
		}
		if err != nil {
			return
		}
		own := rekorv1.Envelope{PayloadType: payloadType, Payload: payload, Signature: sig}.JSON()
		want, _, err = rekorv1.Slow(t.Context(), e.service, compact(t, dsse(string(own), certPEM(cert))))
		if err != nil || !bytes.Equal(want, logged.CanonicalizedBody) {
			t.Fatalf("appended\n%s\nby Rekor\n%s\n%v", logged.CanonicalizedBody, want, err)
		}
	})
}
