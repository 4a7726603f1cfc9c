// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

func TestReportKindsOf(t *testing.T) {
	found := func(kinds ...string) []policy.Finding {
		var all []policy.Finding
		for _, kind := range kinds {
			all = append(all, policy.Finding{ID: kind, Kind: kind})
		}
		return all
	}
	for name, tc := range map[string]struct {
		scan policy.Scan
		is   bool // a scan of vulnerabilities
		want string
	}{
		"a linter":                       {policy.Scan{Tool: "hadolint", Report: "lint", Findings: found("check")}, false, "lint"},
		"a linter that found nothing":    {policy.Scan{Tool: "hadolint", Report: "lint"}, false, "lint"},
		"gitleaks, whatever its words":   {policy.Scan{Tool: "gitleaks", Report: "secrets", Findings: found("check")}, false, "secrets"},
		"code":                           {policy.Scan{Tool: "codeql", Findings: found("check")}, false, "code"},
		"of nobody known, clean":         {policy.Scan{Tool: "codeql"}, false, "code"},
		"secrets and code":               {policy.Scan{Tool: "semgrep", Findings: found("check", "secret")}, false, "secrets, code"},
		"secrets by a stranger, clean":   {policy.Scan{Tool: "x", Looked: []string{"secret"}}, false, "secrets"},
		"trivy config, clean":            {policy.Scan{Tool: "trivy", Looked: []string{"misconfiguration"}}, false, "config"},
		"trivy licenses":                 {policy.Scan{Tool: "trivy", Looked: []string{"license"}, Findings: found("license")}, false, "licenses"},
		"trivy config and secrets":       {policy.Scan{Tool: "trivy", Looked: []string{"misconfiguration", "secret"}, Findings: found("secret")}, false, "secrets, config"},
		"trivy, who knows":               {policy.Scan{Tool: "trivy"}, false, "config"},
		"a scan":                         {policy.Scan{Tool: "trivy", Looked: []string{"vulnerability"}, Findings: found("vulnerability")}, true, ""},
		"a scan with secrets":            {policy.Scan{Tool: "trivy", Looked: []string{"secret", "vulnerability"}, Findings: found("vulnerability", "secret")}, true, "secrets"},
		"a scan with licenses, all good": {policy.Scan{Tool: "trivy", Looked: []string{"license", "vulnerability"}}, true, "licenses"},
	} {
		if got := strings.Join(policy.ReportKindsOf(&tc.scan, tc.is), ", "); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// TestReportOfSeveralKinds: a report counts for each kind that it is of, with what it found of that; and for no other.
func TestReportOfSeveralKinds(t *testing.T) {
	p := parse(t, gated(`
reports:
- {kind: secrets}
- {kind: config}
conditions:
- {name: no-secrets, expression: evidence.secrets.findings.size() == 0, message: m}
- {name: config, expression: 'evidence.config.unexcused("high").size() == 0', message: m}`))
	of := func(also []string, findings ...policy.Finding) policy.Document {
		d := report(policy.EvidenceSecret, "trivy", findings...)
		d.Also = also
		return d
	}
	kind := func(kind, severity string) policy.Finding {
		return policy.Finding{ID: kind + "-1", Kind: kind, Severity: severity, Tool: "trivy"}
	}
	for name, tc := range map[string]struct {
		documents []policy.Document
		says      string
	}{
		"both, and nothing grave":    {[]policy.Document{of([]string{"config"}, kind("misconfiguration", "low"))}, ""},
		"both, and a secret":         {[]policy.Document{of([]string{"config"}, kind("secret", "low"), kind("misconfiguration", "low"))}, `"no-secrets" failed: 1 finding: 1 low`},
		"both, and a bad setting":    {[]policy.Document{of([]string{"config"}, kind("misconfiguration", "high"))}, `"config" failed`},
		"one of them":                {[]policy.Document{of(nil)}, "config"},
		"two reports":                {[]policy.Document{of(nil), report(policy.EvidenceConfig, "trivy")}, ""},
		"a scan that is both":        {[]policy.Document{with2(scanOf(nil, kind("secret", "high")), func(d *policy.Document) { d.Also = []string{"secrets", "config"} })}, `"no-secrets" failed`},
		"what is of no kind":         {[]policy.Document{of([]string{"config"}, kind("check", "low"))}, `"no-secrets" failed: 1 finding`},
		"both, and nothing was done": {[]policy.Document{with2(of([]string{"config"}), func(d *policy.Document) { d.Scan.Nothing = "no file" })}, "nothing was"},
	} {
		decision := decideOn(p, tc.documents)
		r := decision.Refusal()
		if (r == nil) != (tc.says == "") || r != nil && !strings.Contains(r.Error(), tc.says) {
			t.Errorf("%s: %v, want %s", name, r, tc.says)
		}
	}
}

// TestSieveTakesReportsApart: what a sieve keeps decides like everything.
func TestSieveTakesReportsApart(t *testing.T) {
	d := report(policy.EvidenceSecret, "trivy", policy.Finding{ID: "a", Kind: "secret"}, policy.Finding{ID: "b", Kind: "misconfiguration"}, policy.Finding{ID: "c", Kind: "check"})
	d.Also = []string{policy.EvidenceConfig}
	sieve := policy.NewSieve(policy.Needs{Kinds: []string{policy.EvidenceSecret, policy.EvidenceConfig}}, d.At)
	sieve.Add(d)
	got := map[string][]string{}
	for _, one := range sieve.Documents() {
		for _, f := range one.Scan.Findings {
			got[one.Kind] = append(got[one.Kind], f.ID)
		}
	}
	if want := map[string][]string{"secrets": {"a", "c"}, "config": {"b"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}
