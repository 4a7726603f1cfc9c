// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// What is certain to be wrong is refused when the policy is read.
func TestGatesThatAreNone(t *testing.T) {
	for require, says := range map[string]string{
		"{}":                      "requires nothing",
		"{index: either}":         "requires nothing",
		"{sbom: yes-please}":      "must be true or false",
		"{sboms: true}":           "unknown key (known here: chartImages, conditions, index, platforms, provenance, reports, sbom, scan, signers, tests)",
		"{sbom: true, index: no}": "must be", // YAML 1.1 people: a bool is no text
		"{sbom: true, index: x}":  "must be index, platforms or either",
		"{scan: {}}":              "maxAge: is compulsory: an old clean scan must not pass for ever",
		"{scan: {maxAge: 400d}}":  "must be a duration such as 24h or 7d, at most 366d",
		"{scan: {maxAge: -1h}}":   "must be a duration",
		"{scan: {maxAge: 0d}}":    "must be a duration",
		"{scan: {maxAge: d}}":     "must be a duration",
		"{scan: {maxAge: 1h, maxDatabaseAge: never}}":                                                                                                         "maxDatabaseAge: must be a duration",
		"{scan: {maxAge: 1h, tools: [Trivy]}}":                                                                                                                `"Trivy": must be the name of a scanner`,
		"{scan: {maxAge: 1h, vex: [{}]}}":                                                                                                                     "needs exactly one of author and authorRegexp",
		`{scan: {maxAge: 1h, vex: [{author: "a", authorRegexp: "b"}]}}`:                                                                                       "needs exactly one of author and authorRegexp",
		`{scan: {maxAge: 1h, vex: [{authorRegexp: ".*"}]}}`:                                                                                                   "stands for everybody",
		`{scan: {maxAge: 1h, vex: [{authorRegexp: "("}]}}`:                                                                                                    "missing closing )",
		"{sbom: true, signers: [ci]}":                                                                                                                         "is for trust policies",
		"{sbom: true, conditions: [{name: a, expression: 'true'}]}":                                                                                           "must say in one line",
		"{sbom: true, conditions: [{name: a, expression: '1', message: m}]}":                                                                                  "yields int, not bool",
		"{sbom: true, conditions: [{name: a.b, expression: '1', message: m}]}":                                                                                "must be lower-case letters",
		`{sbom: true, conditions: [{name: a, expression: "evidence.scan.findings.size() == 0", message: m}]}`:                                                 "only evidence that the same require asks for",
		`{sbom: true, conditions: [{name: a, expression: "evidence.sbom.package > 0", message: m}]}`:                                                          "undefined field 'package'",
		`{sbom: true, conditions: [{name: a, expression: "evidence.sbom.packages == '1'", message: m}]}`:                                                      "no matching overload",
		`{scan: {maxAge: 1h}, conditions: [{name: a, expression: "evidence.scan.unexcused('worst').size() == 0", message: m}]}`:                               "severity must be one of critical",
		`{scan: {maxAge: 1h}, conditions: [{name: a, expression: "evidence.scan.unexcused(san).size() == 0", message: m}]}`:                                   "needs its severity written out",
		`{scan: {maxAge: 1h}, conditions: [{name: a, expression: "evidence.scan.findings.all(f, f.atLeast('HIGH'))", message: m}]}`:                           "severity must be one of critical",
		`{scan: {maxAge: 1h}, conditions: [{name: a, expression: "evidence.scan.findings.all(f, f.id.matches('CVE'))", message: m}]}`:                         "not anchored",
		`{scan: {maxAge: 1h}, conditions: [{name: a, expression: "evidence.scan == evidence.scan && hallmark.SBOM{}.packages == 0", message: m}]}`:            "",
		`{scan: {maxAge: 1h}, conditions: [{name: a, expression: "evidence.scan.findings.all(f, evidence.scan.findings.all(g, f.id == g.id))", message: m}]}`: "could cost",
	} {
		_, err := policy.ParseSigningPolicy([]byte(ruleOf("true") + "  require: " + require + "\n"))
		if says == "" {
			if err == nil { // it compiles, and then fails: see TestNoEvidenceIsMade
				continue
			}
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", require, err, says)
		}
		if err != nil && !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: no line in %v", require, err)
		}
	}
	attestOnly := strings.Replace(ruleOf("true"), "[sign, attest]", "[attest]", 1) + "  require: {sbom: true}\n"
	if _, err := policy.ParseSigningPolicy([]byte(attestOnly)); err == nil || !strings.Contains(err.Error(), "only a rule with the action sign") {
		t.Errorf("attestations with a gate: %v", err)
	}
}

// Conditions see typed members and exact values.
func TestEvidenceInExpressions(t *testing.T) {
	f := finding("CVE-2026-1", "high")
	f.Aliases, f.Fixed, f.FixState, f.Score = []string{"DSA-1"}, []string{"3.0.2"}, "fixed", 8.1
	documents := []policy.Document{
		doc(policy.EvidenceSBOM, nil), scanOf(nil, f, finding("CVE-2026-2", "unknown"), finding("CVE-2026-3", "low")), doc(policy.EvidenceTest, nil), doc(policy.EvidenceProvenance, nil),
	}
	for expression, want := range map[string]bool{
		`evidence.sbom.format == "SPDX" && evidence.sbom.version == "2.3" && evidence.sbom.packages == 14`:                                                                                                                                                                              true,
		`evidence.tests.result == "PASSED" && evidence.tests.passed == 3 && evidence.tests.failed == 0 && evidence.tests.warned == 0`:                                                                                                                                                   true,
		`evidence.provenance.builder == "b" && evidence.provenance.buildType == "" && evidence.provenance.commit == "" && evidence.provenance.invocation == ""`:                                                                                                                         true,
		`evidence.scan.findings.size() == 3 && evidence.scan.tools == ["trivy"] && evidence.scan.age == duration("61m")`:                                                                                                                                                                true,
		`evidence.scan.findings[0].id == "CVE-2026-1" && evidence.scan.findings[0].aliases == ["DSA-1"]`:                                                                                                                                                                                true,
		`evidence.scan.findings.exists(f, f.package == "openssl" && f.version == "3.0.1" && f.purl.startsWith("pkg:deb/") && f.fixed == ["3.0.2"] && f.fixState == "fixed" && f.fixable && f.severity == "high" && f.score > 8.0 && f.tool == "trivy" && !f.excused && f.excuse == "")`: true,
		`evidence.scan.findings.all(f, f.kind == "vulnerability" && f.place == "" && !f.suppressed)`:                                                                                                                                                                                    true,
		`evidence.scan.findings.filter(f, f.fixable).size() == 1`:                                                                                                                                                                                                                       true,
		`evidence.scan.findings.exists_one(f, f.hasID("dsa-1"))`:                                                                                                                                                                                                                        true,
		`evidence.scan.findings.exists(f, f.hasID("CVE-2026"))`:                                                                                                                                                                                                                         false,
		`evidence.scan.findings.all(f, f.atLeast("low"))`:                                                                                                                                                                                                                               true,
		`evidence.scan.findings.filter(f, f.atLeast("high")).size() == 2 && evidence.scan.unexcused("critical").size() == 1`:                                                                                                                                                            true, // unknown is the worst
		`evidence.scan.unexcused("none").map(f, f.id) == ["CVE-2026-1", "CVE-2026-2", "CVE-2026-3"]`:                                                                                                                                                                                    true,
		`evidence.scan.findings.exists(f, f.id == claims.ref)`:                                                                                                                                                                                                                          false,
		`evidence.sbom.packages > 10 && claims.ref == "refs/heads/main"`:                                                                                                                                                                                                                true,
		`evidence.scan.findings[3].id == ""`:                                                                                                                                                                                                                                            false, // out of range is no answer
		`evidence.scan.findings.exists(f, f.id == claims.nowhere)`:                                                                                                                                                                                                                      false,
		`has(evidence.sbom.packages) && type(evidence.sbom.packages) == int`:                                                                                                                                                                                                            true,
		`evidence.scan.findings == evidence.scan.findings`:                                                                                                                                                                                                                              true,
		`evidence.scan.findings.exists(f, f == evidence.scan.findings[1])`:                                                                                                                                                                                                              true,
		`string(evidence.scan.findings[0]) == ""`:                                                                                                                                                                                                                                       false,
		`evidence.scan.findings.map(f, f.severity).exists(s, s == "critical")`:                                                                                                                                                                                                          false,
	} {
		p, err := policy.ParseSigningPolicy([]byte(gated(`
sbom: true
scan: {maxAge: 24h}
tests: true
provenance: true
conditions: [{name: c, expression: '` + expression + `', message: m}]`)))
		if err != nil {
			if want {
				t.Errorf("%s: %v", expression, err)
			}
			continue
		}
		if r := decideOn(p, documents).Refusal(); (r == nil) != want {
			t.Errorf("%s: %v", expression, r)
		}
	}
}

// An expression reads evidence; it cannot make any.
func TestNoEvidenceIsMade(t *testing.T) {
	p, err := policy.ParseSigningPolicy([]byte(gated(`
sbom: true
conditions: [{name: c, expression: 'hallmark.SBOM{packages: 1}.packages == 1', message: m}]`)))
	if err == nil && decideOn(p, good()).Refusal() == nil {
		t.Error("an SBOM was made in an expression and believed")
	}
}

// A condition over more than can be paid for fails; it does not run for ever.
func TestEvidenceCostLimit(t *testing.T) {
	p := parse(t, gated(`
scan: {maxAge: 24h}
conditions: [{name: c, expression: 'evidence.scan.findings.map(f, f.purl).size() > 0 && evidence.scan.findings.map(f, f.purl).size() > 0 && evidence.scan.findings.map(f, f.purl).size() > 0 && evidence.scan.findings.map(f, f.purl).size() > 0 && evidence.scan.findings.all(f, f.package.contains("b"))', message: m}]`))
	long := finding(strings.Repeat("y", 1024), "low")
	long.PURL, long.Package = strings.Repeat("a", 1024), strings.Repeat("b", 1024)
	findings := make([]policy.Finding, 100_000)
	for i := range findings {
		findings[i] = long
	}
	start := time.Now()
	r := decideOn(p, []policy.Document{scanOf(nil, findings...)}).Refusal()
	if r == nil || !strings.Contains(r.Error(), "limit of 400000 steps") {
		t.Errorf("got %v", r)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
