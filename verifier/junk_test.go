// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier"
)

// largeStatement is about the digest and has a predicate of about the size, made of one small value: what a walk over it costs the most for.
func largeStatement(digest attest.Digest, size int, value string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"_type":"` + attest.StatementV1 + `","subject":[{"digest":{"sha256":"` + digest.Hex() + `"}}],"predicateType":"` + predicateSPDX + `","predicate":{"x":[`)
	for b.Len() < size {
		b.WriteString(value)
		b.WriteByte(',')
	}
	b.WriteString(value + `]}}`)
	return b.Bytes()
}

// allocated returns the bytes that f takes from the heap, whether they are given back or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const (
	smallObjects = `{"a":{"B":1}}`
	// unsignedCost is what may be allocated for an unsigned bundle, in its own sizes. It is 1.8 where protojson copies the payload once as base64
	// and once decoded, and 2.9 where it quotes what it cannot read.
	unsignedCost = 3
)

// TestJunkIsCheap: a large bundle that nobody signed is refused before its payload is walked.
func TestJunkIsCheap(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := largeStatement(image, 22<<20, smallObjects)
	stranger := newLab(t)
	withCertificateOf := func(of *lab, s signing) []byte {
		p := stranger.sign(t, signing{payload: payload, curve: s.curve})
		s.payload = statement(t, image, attest.PredicateSignature, "{}")
		p.cert = of.sign(t, s).cert
		return p.encode(t)
	}
	repeated := func(before, value, after string) []byte {
		return []byte(before + strings.Repeat(value+",", 22<<20/len(value)) + value + after)
	}
	for name, tc := range map[string]struct {
		bundle []byte
		want   verifier.Reason
	}{
		"whole, by a stranger":          {stranger.sign(t, signing{payload: payload}).encode(t), verifier.ReasonUnverified},
		"another's certificate":         {withCertificateOf(l, signing{}), verifier.ReasonUnverified},
		"another's certificate, P-384":  {withCertificateOf(l, signing{curve: elliptic.P384()}), verifier.ReasonUnverified},
		"about another, by a stranger":  {stranger.sign(t, signing{payload: largeStatement(otherImage, 22<<20, smallObjects)}).encode(t), verifier.ReasonUnverified},
		"no statement, by a stranger":   {stranger.sign(t, signing{payload: bytes.Repeat([]byte("["), 22<<20)}).encode(t), verifier.ReasonUnverified},
		"log entries":                   {repeated(`{"verificationMaterial":{"tlogEntries":[`, `{}`, `]}}`), verifier.ReasonTooLarge},
		"signatures":                    {repeated(`{"dsseEnvelope":{"signatures":[`, `{"sig":""}`, `]}}`), verifier.ReasonTooLarge},
		"members":                       {repeated(`{`, `"a\"\\":0`, `}`), verifier.ReasonTooLarge},
		"a string that does not end":    {append([]byte(`{"`), bytes.Repeat([]byte(`\"`), 11<<20)...), verifier.ReasonMalformed},
		"a backslash that does not end": {append([]byte(`{"`), bytes.Repeat([]byte(`\`), 22<<20)...), verifier.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			n := allocated(func() {
				fact, err := c.Facts(image, tc.bundle)
				wantRefusal(t, fact, err, tc.want)
			})
			if n > unsignedCost*uint64(len(tc.bundle)) {
				t.Errorf("%d bytes allocated for a bundle of %d, at most %d times as many are right", n, len(tc.bundle), unsignedCost)
			}
		})
	}
}

// TestShape: what stands in strings is not counted, wherever quotes and backslashes are in them.
func TestShape(t *testing.T) {
	many := strings.Repeat(",", 10_000)
	l := newLab(t)
	good := string(l.signature(t, image))
	for name, tc := range map[string]struct {
		insert string
		want   verifier.Reason
	}{
		"in a string":             {`"x":"` + many + `",`, verifier.ReasonMalformed}, // an unknown member
		"after an escaped quote":  {`"x":"\"` + many + `",`, verifier.ReasonMalformed},
		"after an escaped escape": {`"x":"\\"` + many + `,`, verifier.ReasonTooLarge},
		"after both":              {`"x":"\\\"` + many + `",`, verifier.ReasonMalformed},
		"outside":                 {many, verifier.ReasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			fact, err := newCrypto(t, l).Facts(image, []byte(strings.Replace(good, "{", "{"+tc.insert, 1)))
			wantRefusal(t, fact, err, tc.want)
		})
	}
}

// TestLargeIsVerified: size is no reason to refuse what somebody did sign.
func TestLargeIsVerified(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	for name, s := range map[string]signing{"v2": {}, "v1": {v1: true}, "P-384": {curve: elliptic.P384()}} {
		s.payload = largeStatement(image, 16<<20, `{"SPDXID":"SPDXRef-Package-golang.org-x-sync","versionInfo":"v0.24.0"}`)
		fact, err := c.Facts(image, l.sign(t, s).encode(t))
		must(t, err)
		if !fact.Bound || fact.SAN != ciSAN || fact.PredicateType != predicateSPDX || !bytes.HasSuffix(s.payload, append(fact.Predicate, '}')) {
			t.Errorf("%s: fact of %s with a predicate of %d bytes", name, fact.SAN, len(fact.Predicate))
		}
	}
}

// endingContext ends when it has been looked at some times.
type endingContext struct {
	context.Context
	left int
}

func (c *endingContext) Err() error {
	if c.left--; c.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// TestEndsOnTheWay: the verification of one bundle looks at the context before each step that may take long, and ends there.
func TestEndsOnTheWay(t *testing.T) {
	const longSteps = 3 // signature, statement, proof
	l := newLab(t)
	c := newCrypto(t, l)
	bundle := l.signature(t, image)
	for looks := range longSteps + 1 {
		fact, err := verifier.FactWithin(&endingContext{t.Context(), looks}, c, image, bundle)
		if looks < longSteps && (!errors.Is(err, context.DeadlineExceeded) || fact.Bound) {
			t.Errorf("ended at look %d: fact %v, error %v", looks+1, fact, err)
		}
		if looks == longSteps && (err != nil || !fact.Bound) {
			t.Errorf("not ended: %v", err)
		}
	}
}
