// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

func clockAtNow() time.Time { return now }

func newRoot(t testing.TB, l *lab, edits ...func(object)) *trust.Root {
	t.Helper()
	root, err := trust.Parse(l.trustedRoot(t, edits...))
	must(t, err)
	return root
}

func newCrypto(t testing.TB, l *lab, edits ...func(object)) *verifier.Crypto {
	t.Helper()
	c, err := verifier.NewCrypto(newRoot(t, l, edits...), verifier.WithClock(clockAtNow))
	must(t, err)
	return c
}

func TestFactsOfGoodBundles(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	signature := statement(t, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{
		"v2 entry":         {payload: signature},
		"v1 entry":         {payload: signature, v1: true},
		"v1 without token": {payload: signature, v1: true, noTSA: true},
		"both logs":        {payload: signature, v1: true, v2: true},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := l.sign(t, s).encode(t)
			fact, err := c.Facts(image, bundle)
			must(t, err)
			if fact.SAN != ciSAN || fact.Issuer != ciIssuer || fact.PredicateType != attest.PredicateSignature || !fact.Bound {
				t.Errorf("fact = %+v", fact)
			}
			if !fact.SignedAt.Equal(signedAt) || fact.Bundle != string(attest.DigestOf(bundle)) || fact.LogID == "" {
				t.Errorf("fact = %+v", fact)
			}
			if fact.Extensions["sourceRepositoryURI"] != "https://github.com/acme/app" || string(fact.Predicate) != "{}" {
				t.Errorf("fact = %+v", fact)
			}
		})
	}
}
