// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// withModes adds members to the rule of ruleOf.
func withModes(members string) string {
	return strings.Replace(ruleOf("true"), "  identity: github\n", "  identity: github\n"+members, 1)
}

// TestModes: what a rule says about how to sign is what its grants say.
func TestModes(t *testing.T) {
	for members, want := range map[string]policy.Terms{
		"":                              {Certificate: true},
		"  keys: [release]\n":           {Certificate: true, Keys: []string{"release"}},
		"  keys: [b, a]\n":              {Certificate: true, Keys: []string{"b", "a"}},
		"  modes: [certificate]\n":      {Certificate: true},
		"  keys: [a]\n  modes: [key]\n": {Keys: []string{"a"}},
		"  keys: [a]\n  modes: [key, certificate]\n": {Certificate: true, Keys: []string{"a"}},
	} {
		grant, ok := parse(t, withModes(members)).Decide(request()).Grant()
		if !ok {
			t.Fatalf("%q: refused", members)
		}
		terms, err := grant.Redeem()
		if err != nil || terms.Certificate != want.Certificate || !slices.Equal(terms.Keys, want.Keys) {
			t.Errorf("%q: certificate %v, keys %v, %v", members, terms.Certificate, terms.Keys, err)
		}
	}
}

func TestModesRefused(t *testing.T) {
	for members, says := range map[string]string{
		"  modes: [key]\n": "needs the names",
		"  modes: [pgp]\n": "certificate or key",
		"  modes: []\n":    "empty",
		"  keys: []\n":     "empty",
		"  keys: [release]\n  modes: [certificate]\n": "one of its modes must be key",
		"  keys: [release, release]\n":                "twice",
		"  keys: [Release]\n":                         "signing.keys",
		"  keys: ['hashivault://x']\n":                "signing.keys",
		"  keys: [a, b, c, d, e]\n":                   "more than 4",
		"  mode: [key]\n":                             "mode",
	} {
		if _, err := policy.ParseSigningPolicy([]byte(withModes(members))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", members, err, says)
		}
	}
}

// TestKeys: which keys the rules use, and what for.
func TestKeys(t *testing.T) {
	p := parse(t, withModes("  keys: [release]\n"))
	if got := p.Keys(); len(got) != 1 || got["release"] != (policy.KeyUse{Rule: "acme-github", Signs: true, Attest: true}) {
		t.Errorf("%v", got)
	}
	if got := (*policy.SigningPolicy)(nil).Keys(); len(got) != 0 {
		t.Errorf("no policy uses keys %v", got)
	}
}

// TestGrantKeepsItsKeys: what a caller does to its terms is no other caller's
// business.
func TestGrantKeepsItsKeys(t *testing.T) {
	p := parse(t, withModes("  keys: [release]\n"))
	for range 2 {
		grant, _ := p.Decide(request()).Grant()
		terms, err := grant.Redeem()
		if err != nil || terms.Keys[0] != "release" {
			t.Fatalf("%v, %v", terms.Keys, err)
		}
		terms.Keys[0] = "another"
	}
}
