// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

const cyclonedx = "https://cyclonedx.org/bom"

// TestWhoMayAttestVEX: a rule that lets a job attest SBOMs in CycloneDX does not let it attest VEX in CycloneDX.
func TestWhoMayAttestVEX(t *testing.T) {
	for _, tc := range []struct {
		types, asked string
		vex, allowed bool
	}{
		{"predicateTypes: [https://cyclonedx.org/bom]", cyclonedx, false, true},
		{"predicateTypes: [https://cyclonedx.org/bom]", cyclonedx, true, false},
		{"predicateTypes: [https://openvex.dev/ns/v0.2.0]", cyclonedx, true, false},
		{"predicateTypes: [https://cyclonedx.org/bom, https://openvex.dev/nsx]", cyclonedx, true, false},
		{"predicateTypes: [https://cyclonedx.org/bom, https://openvex.dev/ns/v0.2.0]", cyclonedx, true, true},
		{"predicateTypes: [https://cyclonedx.org/bom, https://openvex.dev/ns]", cyclonedx, true, true},
		{"predicateTypes: [https://openvex.dev/ns/v0.2.0]", "https://openvex.dev/ns/v0.2.0", true, true},
		{"anyPredicateType: true", cyclonedx, true, true},
	} {
		p := parse(t, `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [attest]
  kinds: [image]
  repositories: [acme/]
  `+tc.types+`
  conditions: [{name: c, expression: "claims.ref == 'refs/heads/main'", message: m}]
`)
		in := request()
		in.Action, in.PredicateType, in.VEX = policy.ActionAttest, tc.asked, tc.vex
		r := p.Decide(in).Refusal()
		if (r == nil) != tc.allowed {
			t.Errorf("%+v: %v", tc, r)
		}
		if r != nil && !strings.Contains(r.Error(), "VEX excuses findings") {
			t.Errorf("%+v: %v", tc, r)
		}
	}
}

// TestVEXOfOlderStatements: what was attested as CycloneDX when nobody asked who may attest VEX excuses nothing by the pattern of its
// author's name. It still takes excuses back.
func TestVEXOfOlderStatements(t *testing.T) {
	pattern, exact := `authorRegexp: "https://github[.]com/acme/.*"`, "author: "+security
	older := func(status string) policy.Document {
		d := vexBy(security, func(s *policy.VEXStatement) { s.Status = status })
		d.PredicateType = cyclonedx
		return d
	}
	own := older("not_affected")
	own.Signer = own.Author
	for name, tc := range map[string]struct {
		author    string
		documents []policy.Document
		excuses   bool
	}{
		"by pattern":                {pattern, []policy.Document{older("not_affected")}, false},
		"OpenVEX by pattern":        {pattern, []policy.Document{vexBy(security, nil)}, true},
		"by name":                   {exact, []policy.Document{older("not_affected")}, true},
		"signed in their own name":  {pattern, []policy.Document{own}, true},
		"takes back":                {pattern, []policy.Document{vexBy(security, nil), older("affected")}, false},
		"fixed, by pattern":         {pattern, []policy.Document{older("fixed")}, false},
		"OpenVEX and older, agreed": {pattern, []policy.Document{vexBy(security, nil), older("not_affected")}, true},
	} {
		p := parse(t, gated(`
scan:
  maxAge: 24h
  vex: [{`+tc.author+`}]
conditions:
- {name: no-critical, expression: 'evidence.scan.findings.all(f, f.excused || !f.atLeast("critical"))', message: m}`))
		d := decideOn(p, append([]policy.Document{scanOf(nil, finding("CVE-2026-1", "critical"))}, tc.documents...))
		if r := d.Refusal(); (r == nil) != tc.excuses {
			t.Errorf("%s: %v", name, r)
		}
		if said := detailOf(d, "evidence.vex"); name == "by pattern" && !strings.Contains(said, `1 statement that excuse nothing: in a statement of type "https://cyclonedx.org/bom"`) {
			t.Errorf("%s: says %s", name, said)
		}
	}
}

// detailOf is what a decision says of a check.
func detailOf(d policy.Decision, name string) string {
	for _, c := range d.Checks {
		if c.Name == name {
			return c.Detail
		}
	}
	return ""
}
