// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"crypto/rand"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// From a request to its leaf, as it is and as Rekor's code would do it.
func BenchmarkRead(b *testing.B) {
	e := newEnv(b, options{})
	s := newSigner(b)
	cert := certPEM(s.certificate(b, newIssuer(b)))
	for name, p := range map[string]obj{
		"hashedrekord": s.hashedrekord(b, "artifact", cert), "dsse": dsse(s.envelope(b, statement("app")), cert),
	} {
		raw := compact(b, p)
		b.Run(name+"/fast", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, ok := rekorv1.Fast(raw); !ok {
					b.Fatal("not taken")
				}
			}
		})
		b.Run(name+"/slow", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := rekorv1.Slow(b.Context(), e.service, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A whole request without a network: read, verify, append to a log in memory,
// prove, sign the timestamp, encode.
func BenchmarkCreate(b *testing.B) {
	e := newEnv(b, options{})
	s := newSigner(b)
	cert := certPEM(s.certificate(b, newIssuer(b)))
	for name, propose := range map[string]func(i int) obj{
		"hashedrekord": func(i int) obj { return s.hashedrekord(b, fmt.Sprint(i), s.publicPEM(b)) },
		"dsse":         func(i int) obj { return dsse(s.envelope(b, statement(fmt.Sprint(i))), cert) },
	} {
		b.Run(name, func(b *testing.B) {
			bodies := make([]string, 2000)
			for i := range bodies {
				bodies[i] = string(compact(b, propose(i)))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/v1/log/entries", strings.NewReader(bodies[i%len(bodies)]))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				e.service.ServeHTTP(w, r)
				if w.Code != http.StatusCreated {
					b.Fatal(w.Body)
				}
				i++
			}
		})
	}
}

// What the signing service waits for, with statements of two sizes.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{0, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := newEnv(b, options{})
			s := newSigner(b)
			cert := s.certificate(b, newIssuer(b))
			payload := fmt.Appendf(nil, `{"subject":[{"digest":{"sha256":"%064x"}}],"predicate":"%s"}`, 1, strings.Repeat("x", size))
			sum := sha256.Sum256(attest.PAE(intotoType, payload))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				sig, err := s.key.Sign(rand.Reader, sum[:], s.hash)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if _, err := e.service.Append(b.Context(), rekorv1.Envelope{
					PayloadType: intotoType, Payload: payload, Signature: sig, Certificate: cert,
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
