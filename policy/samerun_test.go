// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// TestSameRunSaysSo: a good report does not replace the bad one of its own run, and the refusal says which, and what does.
func TestSameRunSaysSo(t *testing.T) {
	p := parse(t, gated(fullGate))
	at := func(d policy.Document, run string, index int64) policy.Document {
		d.Run, d.LogIndex, d.At = run, index, d.At.Add(time.Duration(index)*time.Second)
		if d.Scan != nil {
			d.Scan.FinishedAt = d.At
		}
		return d
	}
	bad, clean := scanOf(nil, finding("CVE-2026-1", "critical"), finding("CVE-2026-2", "low")), scanOf(nil)
	failed := doc(policy.EvidenceTest, func(d *policy.Document) { d.Test = &policy.TestResult{Result: "FAILED", Failed: 1} })
	others := slices.DeleteFunc(good(), func(d policy.Document) bool { return d.Kind == policy.EvidenceScan })
	for name, tc := range map[string]struct {
		documents []policy.Document
		says      string // "" for a grant
	}{
		"one run":       {append(slices.Clone(others), at(bad, "run/1", 50), at(clean, "run/1", 51)), "2 findings, of log index 50 by this same run, which log index 51 does not replace (hint: a new run of the job does)"},
		"another run":   {append(slices.Clone(others), at(bad, "run/1", 50), at(clean, "run/2", 51)), ""},
		"tests":         {append(good(), at(failed, "run/1", 60), at(doc(policy.EvidenceTest, nil), "run/1", 61)), "of log index 60 by this same run, which log index 61 does not replace (hint: a new run of the job does)"},
		"tests, newer":  {append(good(), at(failed, "run/1", 60), at(doc(policy.EvidenceTest, nil), "run/2", 61)), ""},
		"only bad news": {append(slices.Clone(others), at(bad, "run/1", 50)), "2 findings: 1 critical"},
	} {
		r := decideOn(p, tc.documents).Refusal()
		if (r == nil) != (tc.says == "") || r != nil && !strings.Contains(r.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, r, tc.says)
		}
		if name == "only bad news" && strings.Contains(r.Error(), "same run") {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// TestWhatIsNotEvaluated: conditions whose evidence is there are evaluated, and of the others it is said what they lack.
func TestWhatIsNotEvaluated(t *testing.T) {
	p := parse(t, gated(`
tests: true
scan: {maxAge: 24h}
conditions:
- {name: no-critical, expression: 'evidence.scan.unexcused("critical").size() == 0', message: m}
- {name: tests-ran, expression: 'evidence.tests.passed > 0', message: m}
- {name: both, expression: 'evidence.tests.passed > 0 && evidence.scan.findings.size() == 0', message: m}`))
	for name, tc := range map[string]struct {
		documents []policy.Document
		want      [3]string
	}{
		"no scan":  {[]policy.Document{doc(policy.EvidenceTest, nil)}, [3]string{"not evaluated: evidence.scan, which", "", "not evaluated: evidence.scan, which"}},
		"no tests": {[]policy.Document{scanOf(nil, finding("CVE-2026-1", "critical"))}, [3]string{"1 finding: 1 critical", "not evaluated: evidence.tests, which", "not evaluated: evidence.tests, which"}},
		"neither":  {nil, [3]string{"not evaluated: evidence.scan, which", "not evaluated: evidence.tests, which", "not evaluated: evidence."}},
	} {
		d := decideOn(p, tc.documents)
		if _, granted := d.Grant(); granted {
			t.Errorf("%s: granted", name)
		}
		for i, condition := range []string{"no-critical", "tests-ran", "both"} {
			at := slices.IndexFunc(d.Checks, func(c policy.Check) bool { return c.Name == condition })
			if c := d.Checks[at]; c.Passed != (tc.want[i] == "") || !strings.Contains(c.Detail, tc.want[i]) {
				t.Errorf("%s, %s: %+v", name, condition, c)
			}
		}
	}
}

// TestReportWithoutATime: nobody is told that it is new.
func TestReportWithoutATime(t *testing.T) {
	undated := scanOf(nil)
	undated.Scan.FinishedAt = time.Time{}
	said := detailOf(decideOn(parse(t, gated(fullGate)), replaced(undated)), "evidence.scan")
	if !strings.Contains(said, "by trivy, without a time of its own, 0 findings") {
		t.Error(said)
	}
}

// TestRulesThatNeverApply: rules that are for other requests take one line, once a rule is for this one.
func TestRulesThatNeverApply(t *testing.T) {
	const others = `
- name: charts
  identity: github
  actions: [sign]
  kinds: [chart]
  repositories: [charts/]
  conditions: [{name: c, expression: "true", message: m}]
- name: security
  identity: github
  actions: [attest]
  kinds: [image]
  repositories: [acme/]
  predicateTypes: [https://openvex.dev/ns]
  conditions: [{name: c, expression: "true", message: m}]
`
	p := parse(t, gated(fullGate)+others)
	reasons := decideOn(p, nil).Refusal().Reasons
	if want := `not for such requests: "security" (action), "charts" (kind, repository)`; len(reasons) != 4 || reasons[3] != want {
		t.Errorf("%q, want %s", reasons, want)
	}
	in := request()
	in.Repository = "elsewhere/app"
	if reasons := p.Decide(in).Refusal().Reasons; strings.Contains(strings.Join(reasons, " "), "not for such requests") {
		t.Errorf("no rule is for it: %q", reasons)
	}
}
