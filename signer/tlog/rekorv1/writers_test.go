// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// refusal demands a 403 in Rekor's schema and returns its words.
func (e *env) refusal(p obj) string {
	e.Helper()
	got := e.submit(compact(e, p), http.StatusForbidden)
	var body struct {
		Code    int
		Message string
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || body.Code != 403 || body.Message == "" {
		e.Fatalf("refused with %s", got.body)
	}
	return body.Message
}

// issuedEnv has a service for one authority and some registered keys.
func issuedEnv(t testing.TB, c *clock, keys ...writers.Key) (*env, *issuer) {
	ca := newIssuer(t)
	return newEnv(t, options{writers: writers.Config{
		Mode: writers.Issued, Keys: keys, Clock: c.Now,
		CheckIssued: func(leaf *x509.Certificate) (crypto.PublicKey, error) {
			if err := leaf.CheckSignatureFrom(ca.cert); err != nil {
				return nil, errors.New("not issued here")
			}
			return ca.cert.PublicKey, nil
		},
	}}), ca
}

// What the signing service has logged is answered to whoever repeats it, in any
// spelling; nothing is added under a certificate.
func TestIssued(t *testing.T) {
	e, ca := issuedEnv(t, &clock{now: time.Now()})
	s := newSigner(t)
	cert := s.certificate(t, ca)
	if reason := e.refusal(s.hashedrekord(t, "a", certPEM(cert))); !strings.Contains(reason, "does not have the entry") {
		t.Error(reason)
	}
	if reason := e.refusal(dsse(s.envelope(t, statement("a")), certPEM(cert))); !strings.Contains(reason, "does not have the entry") {
		t.Error(reason)
	}
	if reason := e.refusal(s.hashedrekord(t, "a", certPEM(s.certificate(t, newIssuer(t))))); !strings.Contains(reason, "not issued here") {
		t.Error(reason)
	}
	if reason := e.refusal(s.hashedrekord(t, "a", s.publicPEM(t))); !strings.Contains(reason, "not registered") {
		t.Error(reason)
	}
	for name, p := range allKinds(t) {
		t.Run(name, func(t *testing.T) { e.in(t).refusal(p) })
	}

	text := s.envelope(t, statement("a"))
	var env struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	}
	e.must(json.Unmarshal([]byte(text), &env))
	own := rekorv1.Envelope{PayloadType: intotoType, Payload: env.Payload, Signature: env.Signatures[0].Sig, Certificate: cert}
	logged, err := e.service.Append(t.Context(), own)
	e.must(err)
	got := e.submit(compact(t, dsse(string(own.JSON()), certPEM(cert))), http.StatusCreated)
	if _, entry := only(t, got.body); *entry.LogIndex != logged.LogIndex || string(leaf(t, entry)) != string(logged.CanonicalizedBody) {
		t.Errorf("repeated: %s", got.body)
	}
	if e.active().Size() != 2 {
		t.Errorf("%d entries", e.active().Size())
	}
}

func TestClosed(t *testing.T) {
	e := newEnv(t, options{writers: writers.Config{Mode: writers.Closed}})
	s := newSigner(t)
	if reason := e.refusal(s.hashedrekord(t, "a", s.publicPEM(t))); !strings.Contains(reason, "signing service only") {
		t.Error(reason)
	}
	// Before anything is read.
	if got := e.call(http.MethodPost, "/api/v1/log/entries", "{"); got.status != http.StatusForbidden {
		t.Errorf("%+v", got)
	}
	if got := e.call(http.MethodGet, "/api/v1/log/entries?logIndex=0", ""); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
}

// A registered key adds entries within its rate and time. Other spellings of
// what it has logged are that entry.
func TestRegisteredKey(t *testing.T) {
	c := &clock{now: time.Now()}
	s := newSigner(t)
	e, ca := issuedEnv(t, c, writers.Key{
		Name: "release", Owner: "team@acme.example", PublicKey: s.key.Public(), Expires: c.Now().Add(time.Hour), PerMinute: 3,
	})
	p := s.hashedrekord(t, "a", s.publicPEM(t))
	id := e.id(p)
	signature := at[obj](t, p, "spec", "signature")
	first := at[[]byte](t, signature, "content")
	signature["content"] = otherSpelling(t, elliptic.P256(), first)
	if got := e.id(p); got != id {
		t.Errorf("another spelling of %s is %s", id, got)
	}
	// IEEE P1363 is a third way to write a signature.
	var rs struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(first, &rs)
	e.must(err)
	signature["content"] = append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
	e.submit(compact(t, p), http.StatusBadRequest)

	e.id(dsse(s.envelope(t, statement("b")), s.publicPEM(t)))
	// Signed beside somebody who may not write.
	both := s.envelope(t, statement("c"))
	stranger := newSigner(t)
	var one, two map[string]any
	e.must(json.Unmarshal([]byte(both), &one))
	e.must(json.Unmarshal([]byte(stranger.envelope(t, statement("c"))), &two))
	one["signatures"] = append(at[[]any](t, one, "signatures"), at[[]any](t, two, "signatures")...)
	e.refusal(dsse(string(compact(t, one)), s.publicPEM(t), stranger.publicPEM(t)))
	// A certificate for the key is not the key.
	if reason := e.refusal(s.hashedrekord(t, "d", certPEM(s.certificate(t, newIssuer(t))))); !strings.Contains(reason, "bare public key") {
		t.Error(reason)
	}
	e.refusal(s.hashedrekord(t, "d", certPEM(s.certificate(t, ca))))

	e.id(s.hashedrekord(t, "3", s.publicPEM(t)))
	got := e.submit(compact(t, s.hashedrekord(t, "4", s.publicPEM(t))), http.StatusTooManyRequests)
	if !strings.Contains(got.body, `"code":429`) || got.header.Get("Retry-After") == "" || got.header.Get("Retry-After") == "0" {
		t.Errorf("%+v", got)
	}
	signature["content"] = first
	if e.id(p) != id { // repeating costs nothing
		t.Error("repeated entry")
	}
	c.Set(c.Now().Add(time.Minute))
	e.id(s.hashedrekord(t, "4", s.publicPEM(t)))
	c.Set(c.Now().Add(time.Hour))
	if reason := e.refusal(s.hashedrekord(t, "5", s.publicPEM(t))); !strings.Contains(reason, "expired") {
		t.Error(reason)
	}
	if e.active().Size() != 5 {
		t.Errorf("%d entries", e.active().Size())
	}
}

// otherSpelling is (r, n-s).
func otherSpelling(t testing.TB, curve elliptic.Curve, signature []byte) []byte {
	t.Helper()
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &rs); err != nil {
		t.Fatal(err)
	}
	rs.S.Sub(curve.Params().N, rs.S)
	other, err := asn1.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// Many clients send the same entries at once, through the API and in process:
// each entry is logged once, and everybody is told the same.
func TestRaces(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	cert := s.certificate(t, newIssuer(t))
	const entries, clients = 5, 8
	var bodies []string
	var envelopes []rekorv1.Envelope
	for i := range entries {
		payload := statement(fmt.Sprint(i))
		sum := sha256.Sum256(attest.PAE(intotoType, payload))
		env := rekorv1.Envelope{PayloadType: intotoType, Payload: payload, Signature: s.sign(t, sum[:]), Certificate: cert}
		envelopes = append(envelopes, env)
		bodies = append(bodies, string(compact(t, dsse(string(env.JSON()), certPEM(cert)))))
	}
	var mu sync.Mutex
	told := make(map[int][]int64)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range entries {
				var index int64
				if c%4 == 0 {
					entry, err := e.service.Append(t.Context(), envelopes[i])
					if err != nil {
						t.Error(err)
					}
					index = entry.LogIndex
				} else {
					got := e.call(http.MethodPost, "/api/v1/log/entries", bodies[i])
					if got.status != http.StatusCreated {
						t.Errorf("%+v", got)
						return
					}
					_, entry := only(t, got.body)
					index = *entry.LogIndex
				}
				mu.Lock()
				told[i] = append(told[i], index)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, indexes := range told {
		if len(indexes) != clients || len(slices.Compact(indexes)) != 1 {
			t.Errorf("entry %d is at %v", i, told[i])
		}
	}
	if e.active().Size() != 1+entries {
		t.Errorf("%d entries", e.active().Size())
	}
}
