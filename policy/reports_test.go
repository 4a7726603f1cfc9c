// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// report is a document of another kind than a vulnerability scan.
func report(kind, tool string, findings ...policy.Finding) policy.Document {
	return doc(kind, func(d *policy.Document) {
		d.Scan = &policy.Scan{Tool: tool, FinishedAt: d.At.Add(-time.Minute), Findings: findings}
	})
}

// by makes the documents of one run: logged so many minutes ago.
func by(run string, ago int, documents ...policy.Document) []policy.Document {
	for i := range documents {
		d := &documents[i]
		d.Run, d.At, d.LogIndex = run, judgedAt.Add(-time.Duration(ago)*time.Minute+time.Duration(i)*time.Second), int64(1000-10*ago+i)
		if d.Scan != nil {
			scan := *d.Scan
			scan.FinishedAt = d.At.Add(-time.Second)
			d.Scan = &scan
		}
		d.Bundle = "sha256:" + run + string(rune('a'+i))
	}
	return documents
}

func TestReports(t *testing.T) {
	p := parse(t, gated(`
reports:
- {kind: secrets, tools: [gitleaks], maxAge: 7d}
- {kind: lint}
conditions:
- {name: no-secrets, expression: 'evidence.secrets.findings.size() == 0', message: m}
- {name: lint, expression: 'evidence.lint.unexcused("high").size() == 0 && evidence.lint.tools == ["hadolint"]', message: m}`))
	secrets, lint := report(policy.EvidenceSecret, "gitleaks"), report(policy.EvidenceLint, "hadolint", finding("DL3008", "medium"))
	timeless := func(d policy.Document) policy.Document {
		return with2(d, func(d *policy.Document) { d.Scan.FinishedAt = time.Time{} })
	}
	for _, tc := range []struct {
		name      string
		documents []policy.Document
		says      string
	}{
		{"good", []policy.Document{secrets, lint}, ""},
		{"nothing", nil, "evidence.secrets: none (hint: attest a secret scan by gitleaks of this digest"},
		{"no lint", []policy.Document{secrets}, "evidence.lint: none (hint: attest a lint report"},
		{"a secret", []policy.Document{report(policy.EvidenceSecret, "gitleaks", finding("aws-key", "unknown")), lint}, `condition "no-secrets" failed: 1 finding: 1 unknown`},
		{"another tool", []policy.Document{report(policy.EvidenceSecret, "trivy"), lint}, `by "trivy"`},
		{"nothing scanned", []policy.Document{with2(report(policy.EvidenceSecret, "gitleaks"), func(d *policy.Document) { d.Scan.Nothing = "no file" }), lint}, `nothing was scanned: "no file"; scan the image itself`},
		{"nothing checked", []policy.Document{secrets, with2(report(policy.EvidenceLint, "hadolint"), func(d *policy.Document) { d.Scan.Nothing = "it does not parse" })}, "nothing was checked"},
		{"old", []policy.Document{with2(secrets, func(d *policy.Document) {
			d.At = judgedAt.AddDate(0, 0, -8)
			d.Scan = &policy.Scan{Tool: "gitleaks", FinishedAt: d.At}
		}), lint}, "older than 7d"},
		{"an age is asked for, and there is none", []policy.Document{timeless(report(policy.EvidenceSecret, "gitleaks")), lint}, "does not say when it was made"},
		{"no age is asked for", []policy.Document{secrets, timeless(report(policy.EvidenceLint, "hadolint"))}, ""},
		{"a scan is no secret scan", []policy.Document{scanOf(nil), lint}, "evidence.secrets: none"},
		{"of no kind", []policy.Document{with2(secrets, func(d *policy.Document) { d.Scan = nil }), lint}, "holds nothing of its kind"},
	} {
		r := decideOn(p, tc.documents).Refusal()
		if (tc.says == "") != (r == nil) || (r != nil && !strings.Contains(r.Error(), tc.says)) {
			t.Errorf("%s: %v, want %q", tc.name, r, tc.says)
		}
	}
	// VEX is about vulnerabilities: it excuses no lint.
	vex := vexBy(security, func(s *policy.VEXStatement) { s.Vulnerability, s.Products = "DL3008", nil })
	both := parse(t, gated("scan: {maxAge: 24h, vex: [{author: \""+security+"\"}]}\nreports: [{kind: lint}]\nconditions: [{name: c, expression: 'evidence.lint.findings.all(f, !f.excused)', message: m}]"))
	if r := decideOn(both, []policy.Document{scanOf(nil), report(policy.EvidenceLint, "hadolint", finding("DL3008", "high")), vex}).Refusal(); r != nil {
		t.Error(r)
	}
	for require, says := range map[string]string{
		"{reports: [{kind: sarif}]}": "kind: must be one of lint, config, secrets, code", "{reports: [{kind: scan}]}": "must be one of",
		"{reports: [{kind: lint}, {kind: lint}]}": "lint is asked for already", "{reports: [{kind: lint, maxAge: x}]}": "maxAge: must be a duration",
		"{reports: [{kind: lint, tools: [Had]}]}": "must be the name of a scanner", "{reports: []}": "requires nothing",
		"{reports: [{kind: lint}], conditions: [{name: a, expression: 'evidence.code.findings.size() == 0', message: m}]}": "only evidence that the same require asks for",
	} {
		if _, err := policy.ParseSigningPolicy([]byte(ruleOf("true") + "  require: " + require + "\n")); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", require, err)
		}
	}
}

const anyScanner = `
scan: {maxAge: 24h}
conditions:
- {name: no-critical, expression: 'evidence.scan.unexcused("critical").size() == 0', message: m}`

// What one scanner does not find takes nothing away from what another has found.
func TestNewestOfEachScanner(t *testing.T) {
	p := parse(t, gated(anyScanner))
	critical := finding("CVE-2026-1", "critical")
	of := func(tool string, ago int, findings ...policy.Finding) policy.Document {
		return by(fmt.Sprint(tool, ago), ago, with2(scanOf(nil, findings...), func(d *policy.Document) { d.Scan.Tool = tool }))[0]
	}
	old := func(d policy.Document, hours int) policy.Document {
		return with2(d, func(d *policy.Document) {
			scan := *d.Scan
			scan.FinishedAt = judgedAt.Add(-time.Duration(hours) * time.Hour)
			d.Scan = &scan
		})
	}
	for name, tc := range map[string]struct {
		documents []policy.Document
		allowed   bool
	}{
		"a clean one by another tool":         {[]policy.Document{of("trivy", 20, critical), of("grype", 10)}, false},
		"a clean one by the same tool":        {[]policy.Document{of("trivy", 20, critical), of("trivy", 10)}, true},
		"a bad one that is too old":           {[]policy.Document{old(of("trivy", 20, critical), 25), of("grype", 10)}, true},
		"a clean one that is too old":         {[]policy.Document{of("trivy", 20, critical), old(of("grype", 10), 25)}, false},
		"an old clean report, attested again": {[]policy.Document{of("trivy", 60, critical), old(of("trivy", 10), 5)}, false},
		"and one that is out of date, beside": {[]policy.Document{of("trivy", 60, critical), old(of("trivy", 10), 30), of("grype", 10)}, false},
		"nothing scanned by another tool":     {[]policy.Document{of("trivy", 20), with2(of("grype", 10), func(d *policy.Document) { d.Scan.Nothing = "x" })}, true},
		"nothing scanned by the same tool":    {[]policy.Document{of("trivy", 20), with2(of("trivy", 10), func(d *policy.Document) { d.Scan.Nothing = "x" })}, false},
		"nothing scanned, beside a bad one":   {[]policy.Document{of("trivy", 20, critical), with2(of("grype", 10), func(d *policy.Document) { d.Scan.Nothing = "x" })}, false},
	} {
		if r := decideOn(p, tc.documents).Refusal(); (r == nil) != tc.allowed {
			t.Errorf("%s: %v", name, r)
		}
	}
	// Where the database's age is asked for, a scan that does not say proves nothing; what it found counts.
	dated := parse(t, gated(strings.Replace(anyScanner, "24h}", "24h, maxDatabaseAge: 5d}", 1)))
	grype := func(at time.Time) policy.Document {
		return with2(of("grype", 10), func(d *policy.Document) { d.Scan.DatabaseAt = at })
	}
	for name, tc := range map[string]struct {
		documents []policy.Document
		says      string
	}{
		"fresh":              {[]policy.Document{grype(judgedAt.AddDate(0, 0, -4)), of("trivy", 5)}, ""},
		"unknown":            {[]policy.Document{of("trivy", 5)}, "does not say how old the scanner's database is"},
		"old":                {[]policy.Document{grype(judgedAt.AddDate(0, 0, -6))}, "update it and scan again"},
		"from the future":    {[]policy.Document{grype(judgedAt.AddDate(0, 0, 1))}, "the scanner's database is dated after the report was logged"},
		"unknown, but found": {[]policy.Document{grype(judgedAt.AddDate(0, 0, -4)), of("trivy", 5, critical)}, "not excused: CVE-2026-1"},
	} {
		r := decideOn(dated, tc.documents).Refusal()
		if (tc.says == "") != (r == nil) || (r != nil && !strings.Contains(r.Error(), tc.says)) {
			t.Errorf("database, %s: %v", name, r)
		}
	}
	// Named tools are those that count, and each must be new enough.
	named := parse(t, gated(strings.Replace(strings.Replace(anyScanner, "24h}", "24h, tools: [trivy, grype]}", 1), "conditions:", "conditions:\n- {name: age, expression: 'evidence.scan.age < duration(\"30m\")', message: m}", 1)))
	if r := decideOn(named, []policy.Document{of("trivy", 20), of("grype", 10), of("snyk", 5, critical)}).Refusal(); r != nil {
		t.Errorf("a tool that nobody named: %v", r)
	}
	if decideOn(named, []policy.Document{of("trivy", 40), of("grype", 10)}).Refusal() == nil {
		t.Error("the age is that of the newest of two tools that are named")
	}
}

// Of two documents that one run brings the good one does not hide the bad one.
func TestOneRunSpeaksAsOne(t *testing.T) {
	scans, tests := parse(t, gated(anyScanner)), parse(t, gated("tests: true"))
	good, bad := scanOf(nil), scanOf(nil, finding("CVE-2026-1", "critical"))
	passed, failed := doc(policy.EvidenceTest, nil), doc(policy.EvidenceTest, func(d *policy.Document) { d.Test.Result, d.Test.Failed = "FAILED", 1 })
	for name, tc := range map[string]struct {
		policy    *policy.SigningPolicy
		documents []policy.Document
		allowed   bool
	}{
		"scans, good last":         {scans, by("1", 10, bad, good), false},
		"scans, bad last":          {scans, by("1", 10, good, bad), false},
		"scans, the next run":      {scans, append(by("1", 10, bad), by("2", 5, good)...), true},
		"scans, of unknown runs":   {scans, by("", 10, bad, good), true},
		"tests, good last":         {tests, by("1", 10, failed, passed), false},
		"tests, bad last":          {tests, by("1", 10, passed, failed), false},
		"tests, the next run":      {tests, append(by("1", 10, failed), by("2", 5, passed)...), true},
		"tests, the run before":    {tests, append(by("1", 10, passed), by("2", 5, failed)...), false},
		"tests, of unknown runs":   {tests, by("", 10, failed, passed), true},
		"tests, of another digest": {tests, append(by("1", 10, passed), with2(by("1", 5, failed)[0], func(d *policy.Document) { d.Digest = otherImage })), true},
	} {
		if r := decideOn(tc.policy, tc.documents).Refusal(); (r == nil) != tc.allowed {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// What was said of the whole index does not hide what has become known of one of its images since.
func TestEitherHidesNoNews(t *testing.T) {
	const amd = otherImage
	about := func(digest string, d policy.Document) policy.Document { d.Digest = digest; return d }
	good, bad := scanOf(nil), scanOf(nil, finding("CVE-2026-1", "critical"))
	passed, failed := doc(policy.EvidenceTest, nil), doc(policy.EvidenceTest, func(d *policy.Document) { d.Test.Result = "FAILED" })
	scans, tests := parse(t, gated("index: either"+anyScanner)), parse(t, gated("index: either\ntests: true"))
	nothing := scanOf(func(d *policy.Document) { d.Scan.Nothing = "x" })
	for name, tc := range map[string]struct {
		policy    *policy.SigningPolicy
		documents []policy.Document
		allowed   bool
	}{
		"the index":                    {scans, by("1", 10, good), true},
		"an image before":              {scans, append(by("1", 10, about(amd, bad)), by("2", 5, good)...), true},
		"an image since":               {scans, append(by("1", 10, good), by("2", 5, about(amd, bad))...), false},
		"an image since, nothing":      {scans, append(by("1", 10, good), by("2", 5, about(amd, nothing))...), true},
		"each image":                   {scans, by("1", 10, about(amd, good), about(armDigest, good)), true},
		"one image only":               {scans, by("1", 10, about(amd, good)), false},
		"tests of an image since":      {tests, append(by("1", 10, passed), by("2", 5, about(amd, failed))...), false},
		"tests of an image before":     {tests, append(by("1", 10, about(amd, failed)), by("2", 5, passed)...), true},
		"tests of an image since good": {tests, append(by("1", 10, passed), by("2", 5, about(amd, passed))...), true},
	} {
		r := decideOn(tc.policy, tc.documents, func(in *policy.Input) { in.Kind, in.Platforms = policy.KindIndex, []string{amd, armDigest} }).Refusal()
		if (r == nil) != tc.allowed {
			t.Errorf("%s: %v", name, r)
		}
	}
}
