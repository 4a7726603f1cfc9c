// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // it does not fail
	return b
}

func v1Body(certificate []byte) []byte {
	verifier := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	return fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"%s"},`+
		`"payloadHash":{"algorithm":"sha256","value":"%s"},"signatures":[{"signature":"%s","verifier":"%s"}]}}`,
		hex.EncodeToString(random(32)), hex.EncodeToString(random(32)), base64.StdEncoding.EncodeToString(random(71)), verifier)
}

func TestPackBody(t *testing.T) {
	long := strings.Repeat("A", 64)
	for name, tc := range map[string]struct {
		body []byte
		most int // bytes of the packed form
	}{
		"one byte":             {[]byte("x"), 2},
		"text":                 {[]byte(strings.Repeat("no base64 here, ", 100)), 1601},
		"a v1 entry":           {v1Body(random(1000)), 1500},
		"padding":              {[]byte(`"` + base64.StdEncoding.EncodeToString(random(100)) + `"`), 107},
		"bits behind the end":  {[]byte(long[:40] + "AB=="), 45},
		"three equal signs":    {[]byte(long + "==="), 68},
		"equal signs inside":   {[]byte(long + "==" + long), 104},
		"not a multiple of 4":  {[]byte(long + "A"), 53},
		"URL alphabet":         {[]byte(strings.Repeat("-_", 40)), 81},
		"base64 three times":   {[]byte(base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(random(300))))))), 420},
		"the largest":          {bytes.Repeat([]byte("A"), tlog.MaxLeaf), tlog.MaxLeaf + 1},
		"the largest, nothing": {bytes.Repeat([]byte(" "), tlog.MaxLeaf), tlog.MaxLeaf + 1},
	} {
		t.Run(name, func(t *testing.T) {
			packed := store.PackBody(tc.body)
			if len(packed) > tc.most {
				t.Errorf("%d bytes became %d, want %d at most", len(tc.body), len(packed), tc.most)
			}
			back, err := store.UnpackBody(packed)
			if err != nil || !bytes.Equal(back, tc.body) {
				t.Fatalf("got %q (%v), want %q", back, err, tc.body)
			}
		})
	}
}

func TestUnpackBodyRefuses(t *testing.T) {
	whole := store.PackBody(v1Body(random(1000)))
	for name, packed := range map[string][]byte{
		"nothing":          {},
		"unknown method":   {7, 1, 'x'},
		"no length":        {1},
		"endless length":   append([]byte{1}, bytes.Repeat([]byte{0xff}, 20)...),
		"literal too long": {1, 200, 'x'},
		"cut":              whole[:len(whole)-40],
		"nested thrice":    {1, 0, 9, 0, 5, 0, 1, 0, 0, 0, 0},
		"grows too large":  append([]byte{1, 0}, append([]byte{0xc0, 0x9a, 0x0c}, make([]byte, 100_000)...)...),
	} {
		if body, err := store.UnpackBody(packed); !errors.Is(err, tlog.ErrCorrupt) {
			t.Errorf("%s: got %d bytes and %v, want ErrCorrupt", name, len(body), err)
		}
	}
}

// FuzzPackBody: what is packed comes back, and never grows by more than the
// method's byte.
func FuzzPackBody(f *testing.F) {
	f.Add(v1Body(random(100)))
	f.Add([]byte(strings.Repeat("QUJD", 20) + "QQ==" + strings.Repeat("=", 3)))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > tlog.MaxLeaf {
			return
		}
		packed := store.PackBody(body)
		if len(packed) > len(body)+1 {
			t.Errorf("%d bytes became %d", len(body), len(packed))
		}
		if back, err := store.UnpackBody(packed); err != nil || !bytes.Equal(back, body) {
			t.Errorf("got %q (%v), want %q", back, err, body)
		}
	})
}

// FuzzUnpackBody: whatever is kept, unpacking ends, within the size of a leaf.
func FuzzUnpackBody(f *testing.F) {
	f.Add(store.PackBody(v1Body(random(100))))
	f.Fuzz(func(t *testing.T, packed []byte) {
		body, err := store.UnpackBody(packed)
		if err != nil && !errors.Is(err, tlog.ErrCorrupt) {
			t.Errorf("%v is not ErrCorrupt", err)
		}
		if len(body) > max(tlog.MaxLeaf, len(packed)) {
			t.Errorf("%d bytes became %d", len(packed), len(body))
		}
	})
}

func BenchmarkPackBody(b *testing.B) {
	body := v1Body(random(1000))
	b.ReportAllocs()
	for b.Loop() {
		packed := store.PackBody(body)
		b.ReportMetric(float64(len(body)), "body-B")
		b.ReportMetric(float64(len(packed)), "packed-B")
	}
}

func BenchmarkUnpackBody(b *testing.B) {
	packed := store.PackBody(v1Body(random(1000)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := store.UnpackBody(packed); err != nil {
			b.Fatal(err)
		}
	}
}
