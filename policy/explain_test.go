// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// An explanation is the decision: the same rule grants it, or the same reasons
// refuse it. Its checks are those of every rule.
func TestExplainIsTheDecision(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	allowed := 0
	for range rounds {
		rules := randomRules(r)
		p := parse(t, render(rules))
		decided, explained := p.Decide(request()), p.Explain(request())
		if got := namesOf(explained.Checks); len(got) != len(rules) {
			t.Fatalf("rules %q are explained of\n%s", got, render(rules))
		}
		if n := len(decided.Checks); !slices.Equal(explained.Checks[:n], decided.Checks) {
			t.Fatalf("checks %v begin otherwise than %v", explained.Checks, decided.Checks)
		}
		grant, ok := decided.Grant()
		other, same := explained.Grant()
		if ok != same {
			t.Fatalf("allowed is %t, explained %t of\n%s", ok, same, render(rules))
		}
		if !ok {
			if a, b := decided.Refusal().Reasons, explained.Refusal().Reasons; !slices.Equal(a, b) {
				t.Fatalf("reasons %q, explained %q", a, b)
			}
			continue
		}
		allowed++
		if a, b := ruleOfGrant(t, grant), ruleOfGrant(t, other); a != b {
			t.Fatalf("granted by %q, explained by %q", a, b)
		}
	}
	if allowed < rounds/10 || allowed > rounds*9/10 {
		t.Errorf("the cases are one-sided: %d of %d are allowed", allowed, rounds)
	}
}

// A gate behind a rule that holds without evidence is not looked at: a signature
// gathers none for it then. One before it is, and decides.
func TestExplainGates(t *testing.T) {
	ungated := strings.Replace(ruleOf("true"), "acme-github", "ungated", 1)
	_, rule, _ := strings.Cut(ungated, "rules:\n")
	_, gate, _ := strings.Cut(gated(fullGate), "rules:\n")
	head, _, _ := strings.Cut(ungated, "- name")
	for text, by := range map[string]string{head + rule + gate: "ungated", head + gate + rule: "acme-github"} {
		in := request()
		in.Evidence = good()
		d := parse(t, text).Explain(in)
		grant, ok := d.Grant()
		if !ok || ruleOfGrant(t, grant) != by {
			t.Errorf("granted: %t, by another rule than %s", ok, by)
		}
		i := slices.IndexFunc(d.Checks, func(c policy.Check) bool { return c.Name == "evidence" })
		switch {
		case by != "ungated" && i >= 0:
			t.Errorf("checks of the gate that decides: %v", d.Checks[i])
		case by == "ungated" && (i < 0 || d.Checks[i].Passed || d.Checks[i].Rule != "acme-github" || !strings.HasPrefix(d.Checks[i].Detail, "not looked at")):
			t.Errorf("checks %v", d.Checks)
		}
	}

	// Of two that need evidence both are looked at.
	strict := strings.Replace(gate, "acme-github", "strict", 1)
	strict = strings.Replace(strict, "24h", "1m", 1)
	in := request()
	in.Evidence = good()
	d := parse(t, head+gate+strict).Explain(in)
	late := slices.IndexFunc(d.Checks, func(c policy.Check) bool { return c.Rule == "strict" && c.Name == "evidence.scan" })
	if grant, ok := d.Grant(); !ok || ruleOfGrant(t, grant) != "acme-github" || late < 0 || d.Checks[late].Passed {
		t.Errorf("granted: %t, checks %v", ok, d.Checks)
	}
}

// namesOf lists the rules of checks, each once.
func namesOf(checks []policy.Check) []string {
	var names []string
	for _, c := range checks {
		names = append(names, c.Rule)
	}
	return slices.Compact(names)
}

func ruleOfGrant(t *testing.T, g *policy.Grant) string {
	t.Helper()
	terms, err := g.Redeem()
	if err != nil {
		t.Fatal(err)
	}
	return terms.Rule
}
