// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

func shippedFile(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile("../deploy/policy/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// FuzzParseSigningPolicy: whatever is accepted decides without panic, names a rule of its own text when it allows, explains itself
// when it does not, and never lets anybody sign for an identity source that stands nowhere in the text.
func FuzzParseSigningPolicy(f *testing.F) {
	for _, seed := range []string{goodSigning, threeRules, ruleOf("true"), string(shippedFile(f, "signing-policy.yaml")), "a: &a [*a]", "{}", "- [[[[",
		strings.Replace(goodSigning, "claims.ref ==", "claims.all(k, k != '') ||", 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := policy.ParseSigningPolicy(b)
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v and error %v", p, err)
		}
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x00\x1b") {
				t.Errorf("error copies control characters: %q", err)
			}
			return
		}
		d := p.Decide(request())
		if grant, ok := d.Grant(); ok {
			terms, err := grant.Redeem()
			if err != nil || !strings.Contains(string(b), terms.Rule) || d.Refusal() != nil || len(d.Checks) < 5 {
				t.Errorf("terms %+v, error %v, checks %v", terms, err, d.Checks)
			}
		} else if len(d.Refusal().Reasons) == 0 {
			t.Error("refused without a reason")
		}
		stranger := request()
		stranger.Identity = "no-such-source"
		if _, ok := p.Decide(stranger).Grant(); ok && !strings.Contains(string(b), "no-such-source") {
			t.Error("an unknown identity source may sign")
		}
	})
}

// FuzzParseTrustPolicy: whatever is accepted denies without facts, denies facts of an identity without subject or issuer, and survives
// being made again from its own spec.
func FuzzParseTrustPolicy(f *testing.F) {
	f.Add([]byte(goodTrust))
	f.Add(shippedFile(f, "image-trust-policy.yaml"))
	f.Add([]byte(`{"apiVersion":"hallmark.dev/v1alpha1","kind":"ImageTrustPolicy","metadata":{"name":"a"},"spec":{"images":["a/"]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := policy.ParseTrustPolicy(b)
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v and error %v", p, err)
		}
		if err != nil {
			return
		}
		image := prodImage()
		image.Registry, image.Repository = "registry.corp.example", "prod/app"
		nobody := with(signature(), func(f *policy.Fact) { f.SAN = "" })
		noIssuer := with(signature(), func(f *policy.Fact) { f.Issuer = "" })
		for _, facts := range [][]policy.Fact{nil, {nobody}, {noIssuer}, {nobody, noIssuer, sbom()}} {
			if p.Evaluate(image, facts, now()).Allowed() {
				t.Errorf("allowed %+v", facts)
			}
		}
		again, err := policy.NewTrustPolicy(p.Name(), p.Spec())
		if err != nil {
			t.Fatalf("not accepted again: %v", err)
		}
		facts := []policy.Fact{signature(), sbom()}
		if a, b := p.Evaluate(image, facts, now()), again.Evaluate(image, facts, now()); !slices.Equal(a.Checks, b.Checks) {
			t.Errorf("%+v, then %+v", a.Checks, b.Checks)
		}
	})
}

// FuzzEvaluate: a verdict allows if and only if all its checks passed, and only with a signature that is exactly that; a hostile
// identity reaches no reason unquoted.
func FuzzEvaluate(f *testing.F) {
	f.Add("registry.corp.example", "prod/app", policy.PredicateSignature, ciSAN, ciIssuer, true, int64(0), int64(7))
	f.Add("registry.corp.example", "prod/app", sbomType, attestor, origin, true, int64(3600), int64(1))
	f.Add("Registry", "prod//x", "", "\n", "\x1b", false, int64(-1), int64(-1))
	spec := trustSpec()
	spec.Require.Attestations = nil
	p := trust(f, spec)
	f.Fuzz(func(t *testing.T, registry, repository, predicateType, san, issuer string, bound bool, age, index int64) {
		fact := policy.Fact{PredicateType: predicateType, Bound: bound, SAN: san, Issuer: issuer, SignedAt: now().Add(time.Duration(-age) * time.Second), LogIndex: index}
		image := policy.Image{Registry: registry, Repository: repository, Digest: digest}
		verdict := p.Evaluate(image, []policy.Fact{sbom(), fact}, now())
		failed := slices.ContainsFunc(verdict.Checks, func(c policy.Check) bool { return !c.Passed })
		if verdict.Allowed() == failed || verdict.Allowed() != (verdict.Reasons() == nil) {
			t.Errorf("allowed is %t with %+v", verdict.Allowed(), verdict.Checks)
		}
		good := predicateType == policy.PredicateSignature && bound && issuer == ciIssuer && strings.HasPrefix(san, ciIssuer+"/") &&
			strings.HasSuffix(san, "//.gitlab-ci.yml@refs/heads/main") && strings.HasPrefix(registry+"/"+repository, "registry.corp.example/prod/")
		if verdict.Allowed() && !good {
			t.Errorf("allowed %+v for %+v", fact, image)
		}
		for _, reason := range verdict.Reasons() {
			if strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || r > '~' }) || len(reason) > 8<<10 {
				t.Errorf("reason %q", reason)
			}
		}
	})
}
