// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// rounds is how many random cases a property is tried on; the seed is fixed, so a failure repeats.
const rounds = 300

// ruleText is a rule whose conditions can be put in another order.
type ruleText struct {
	head       string
	conditions []string
}

func render(rules []ruleText) string {
	text := "apiVersion: hallmark.dev/v1alpha1\nkind: SigningPolicy\nrules:\n"
	for _, rule := range rules {
		text += fmt.Sprintf("- {%s, conditions: [%s]}\n", rule.head, strings.Join(rule.conditions, ", "))
	}
	return text
}

func shuffle[T any](r *rand.Rand, list []T) {
	r.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
}

// randomRules makes rules that hold or fail in all combinations: each with one to three conditions over the claims of request().
func randomRules(r *rand.Rand) []ruleText {
	expressions := []string{`claims.ref_protected == "true"`, `claims.absent == "x"`, `claims.ref != "refs/heads/main"`, "true", `int(claims.ref) > 1`}
	rules := make([]ruleText, 1+r.IntN(4))
	for i := range rules {
		rules[i].head = fmt.Sprintf("name: r%d, identity: %s, actions: [sign], kinds: [image], repositories: [%s]",
			i, []string{"github", "gitlab"}[r.IntN(2)], []string{"acme/", "acme/app", "tools/"}[r.IntN(3)])
		for j := range 1 + r.IntN(3) {
			source := expressions[max(0, r.IntN(len(expressions)+5)-5)] // mostly the first, which holds, so that both verdicts are common
			rules[i].conditions = append(rules[i].conditions, fmt.Sprintf("{name: c%d, expression: %q, message: m}", j, source))
		}
	}
	return rules
}

func TestOrderOfRulesAndConditionsDecidesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	verdicts := map[bool]int{}
	for range rounds {
		rules := randomRules(r)
		before := parse(t, render(rules)).Decide(request())
		shuffle(r, rules)
		for _, rule := range rules {
			shuffle(r, rule.conditions)
		}
		after := parse(t, render(rules)).Decide(request())
		_, allowed := before.Grant()
		verdicts[allowed]++
		if _, again := after.Grant(); again != allowed {
			t.Fatalf("allowed is %t, then %t with\n%s", allowed, again, render(rules))
		}
		if allowed {
			continue
		}
		a, b := slices.Sorted(slices.Values(before.Refusal().Reasons)), slices.Sorted(slices.Values(after.Refusal().Reasons))
		if !slices.Equal(a, b) {
			t.Fatalf("reasons %q, then %q", a, b)
		}
		if a, b := rulesOf(before), rulesOf(after); !slices.Equal(a, b) {
			t.Fatalf("nearest rules are %q, then %q", a, b)
		}
	}
	if verdicts[true] < rounds/10 || verdicts[false] < rounds/10 {
		t.Errorf("the cases are one-sided: %v", verdicts)
	}
}

// rulesOf lists the rules in the order in which a refusal names them.
func rulesOf(d policy.Decision) []string {
	var names []string
	for _, reason := range d.Refusal().Reasons {
		name, _, _ := strings.Cut(reason, ":")
		names = append(names, name)
	}
	return slices.Compact(names)
}

// randomFact is a good fact with up to three things changed.
func randomFact(r *rand.Rand) policy.Fact {
	f := []func() policy.Fact{signature, sbom}[r.IntN(2)]()
	f.SignedAt = f.SignedAt.Add(time.Duration(r.IntN(100)-50) * time.Second)
	f.LogIndex = int64(r.IntN(50))
	f.Bundle = fmt.Sprintf("sha256:%d", r.IntN(1000))
	for range r.IntN(4) {
		switch r.IntN(8) {
		case 0:
			f.Bound = false
		case 1:
			f.SAN = "https://evil.example/x"
		case 2:
			f.Issuer = "https://evil.example"
		case 3:
			f.PredicateType = "https://cyclonedx.org/bom"
		case 4:
			f.SignedAt = time.Time{}
		case 5:
			f.SignedAt = now().Add(time.Hour)
		}
	}
	return f
}

// decides reports whether a fact may turn an allowing verdict: an attestation in question by an accepted signer.
func decides(f policy.Fact) bool {
	return f.PredicateType == sbomType && f.Bound && f.SAN == attestor && f.Issuer == origin && !f.SignedAt.IsZero()
}

func TestFactsThatDoNotMatchDecideNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	p := trust(t, trustSpec())
	verdicts := map[bool]int{}
	for range rounds * 10 {
		var facts []policy.Fact
		for range 1 + r.IntN(5) {
			facts = append(facts, randomFact(r))
		}
		before := p.Evaluate(prodImage(), facts, now())
		verdicts[before.Allowed()]++

		shuffle(r, facts)
		shuffled := p.Evaluate(prodImage(), facts, now())
		if !slices.Equal(before.Checks, shuffled.Checks) || !slices.Equal(before.Evidence, shuffled.Evidence) {
			t.Fatalf("order changed\n%+v\nto\n%+v", before, shuffled)
		}

		extra := randomFact(r)
		after := p.Evaluate(prodImage(), append(facts, extra), now())
		if before.Allowed() && !after.Allowed() && !decides(extra) {
			t.Fatalf("%+v turned an allowing verdict: %q", extra, after.Reasons())
		}
		if !before.Allowed() && after.Allowed() && (!extra.Bound || extra.SignedAt.IsZero() || extra.SAN == "https://evil.example/x") {
			t.Fatalf("%+v turned a denial", extra)
		}
	}
	if verdicts[true] < rounds || verdicts[false] < rounds {
		t.Errorf("the cases are one-sided: %v", verdicts)
	}
}
