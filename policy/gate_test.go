// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

const (
	theAttestor = "https://hallmark.example/attestor"
	security    = "https://github.com/acme/security/.github/workflows/vex.yml@refs/heads/main"
	armDigest   = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	otherImage  = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

// gated is a policy whose one rule requires what the YAML says.
func gated(require string) string {
	return ruleOf("true") + "  require:\n    " + strings.ReplaceAll(strings.TrimSpace(require), "\n", "\n    ") + "\n"
}

const fullGate = `
sbom: true
scan:
  maxAge: 24h
  vex: [{author: "https://github.com/acme/security/.github/workflows/vex.yml@refs/heads/main"}]
tests: true
conditions:
- name: no-critical
  expression: evidence.scan.unexcused("critical").size() == 0
  message: update the packages`

// judgedAt is when the test's decisions are made.
var judgedAt = request().Now

// doc is a document about the test's image, logged an hour ago.
func doc(kind string, change func(*policy.Document)) policy.Document {
	d := policy.Document{
		Kind: kind, Digest: digest, Signer: theAttestor, Issuer: "https://hallmark.example", Author: request().SAN,
		At: judgedAt.Add(-time.Hour), LogIndex: 7, LogID: "aa", Bundle: "sha256:" + kind,
	}
	switch kind {
	case policy.EvidenceSBOM:
		d.SBOM = &policy.SBOM{Format: "SPDX", Version: "2.3", Packages: 14}
	case policy.EvidenceScan:
		d.Scan = &policy.Scan{Tool: "trivy", FinishedAt: d.At.Add(-time.Minute)}
	case policy.EvidenceTest:
		d.Test = &policy.TestResult{Result: "PASSED", Passed: 3}
	case policy.EvidenceProvenance:
		d.Author = theAttestor
		d.Provenance = &policy.Provenance{Builder: "b", Source: "git+https://github.com/acme/app@refs/heads/main"}
	}
	if change != nil {
		change(&d)
	}
	return d
}

func finding(id, severity string) policy.Finding {
	return policy.Finding{ID: id, Package: "openssl", Version: "3.0.1", PURL: "pkg:deb/debian/openssl@3.0.1?arch=amd64", Severity: severity, FixState: "unknown", Tool: "trivy"}
}

func scanOf(change func(*policy.Document), findings ...policy.Finding) policy.Document {
	return doc(policy.EvidenceScan, func(d *policy.Document) {
		d.Scan.Findings = findings
		if change != nil {
			change(d)
		}
	})
}

func vexBy(author string, change func(*policy.VEXStatement)) policy.Document {
	s := policy.VEXStatement{
		Vulnerability: "CVE-2026-1", Status: "not_affected", Justification: "component_not_present",
		Products: []policy.VEXProduct{{IDs: []string{"pkg:oci/app"}, Subcomponents: []string{"pkg:deb/debian/openssl"}}},
	}
	if change != nil {
		change(&s)
	}
	return doc(policy.EvidenceVEX, func(d *policy.Document) {
		d.PredicateType, d.Author, d.VEX = "https://openvex.dev/ns/v0.2.0", author, []policy.VEXStatement{s}
	})
}

func good() []policy.Document {
	return []policy.Document{doc(policy.EvidenceSBOM, nil), scanOf(nil, finding("CVE-2026-9", "high")), doc(policy.EvidenceTest, nil)}
}

// replaced are the good documents with those of the same kinds replaced.
func replaced(by ...policy.Document) []policy.Document {
	kept := slices.DeleteFunc(good(), func(d policy.Document) bool {
		return slices.ContainsFunc(by, func(b policy.Document) bool { return b.Kind == d.Kind })
	})
	return append(kept, by...)
}

func decideOn(p *policy.SigningPolicy, documents []policy.Document, change ...func(*policy.Input)) policy.Decision {
	in := request()
	in.Evidence = documents
	for _, c := range change {
		c(&in)
	}
	return p.Decide(in)
}

func TestGate(t *testing.T) {
	p := parse(t, gated(fullGate))
	critical := finding("CVE-2026-1", "critical")
	old := func(d *policy.Document) { d.At, d.Bundle, d.LogIndex = d.At.Add(-time.Hour), "sha256:old", 3 }
	for _, tc := range []struct {
		name      string
		documents []policy.Document
		says      string // of the refusal; "" allows
	}{
		{"all there", good(), ""},
		{"nothing", nil, "evidence.sbom: none (hint: attest an SBOM of this digest, or sign with --sbom FILE)"},
		{"no scan", good()[:1], "evidence.scan: none (hint"},
		{"empty SBOM", replaced(doc(policy.EvidenceSBOM, func(d *policy.Document) { d.SBOM.Packages = 0 })), "it lists no package"},
		{"SBOM of another digest", replaced(doc(policy.EvidenceSBOM, func(d *policy.Document) { d.Digest = otherImage })), "evidence.sbom: none"},
		{"unreadable SBOM", replaced(doc(policy.EvidenceSBOM, func(d *policy.Document) { d.Problem = "$.packages: missing" })), `none that counts: attested for "` + request().SAN + `" at 2027-01-15T07:00:00Z, log index 7: "$.packages: missing"`},
		{"no proven time", replaced(doc(policy.EvidenceSBOM, func(d *policy.Document) { d.At = time.Time{} })), "without a proven time"},
		{"from the future", replaced(doc(policy.EvidenceSBOM, func(d *policy.Document) { d.At = judgedAt.Add(time.Hour) })), "dated in the future"},
		{"says nothing", replaced(doc(policy.EvidenceSBOM, func(d *policy.Document) { d.SBOM = nil })), "holds nothing of its kind"},
		{"failed tests", replaced(doc(policy.EvidenceTest, func(d *policy.Document) { d.Test.Result, d.Test.Failed = "FAILED", 2 })), "FAILED, 3 passed, 2 failed, attested"},
		{"warned tests", replaced(doc(policy.EvidenceTest, func(d *policy.Document) { d.Test.Result = "WARNED" })), ""},
		{"unknown result of tests", replaced(doc(policy.EvidenceTest, func(d *policy.Document) { d.Test.Result = "passed" })), "repair the tests"},

		{"critical finding", replaced(scanOf(nil, critical)), `condition "no-critical" failed: 1 finding: 1 critical; not excused: CVE-2026-1 in openssl 3.0.1 (critical); update the packages`},
		{"unknown counts as the worst", replaced(scanOf(nil, finding("CVE-2026-1", "unknown"))), "1 unknown"},
		{"what the tool was told to ignore", replaced(scanOf(nil, suppressed(finding("CVE-2026-1", "critical")))), "not excused: CVE-2026-1 in openssl 3.0.1 (critical, suppressed)"},
		{"a severity that nobody has heard of", replaced(scanOf(nil, finding("CVE-2026-1", "Critical"))), "not excused: CVE-2026-1"},
		{"old by the log", replaced(scanOf(func(d *policy.Document) { d.At = judgedAt.Add(-25 * time.Hour); d.Scan.FinishedAt = d.At })), "by trivy, 1 day 1 h old"},
		{"old by the report", replaced(scanOf(func(d *policy.Document) { d.Scan.FinishedAt = judgedAt.Add(-25 * time.Hour) })), "older than 24h; scan again"},
		{"no time in the report", replaced(scanOf(func(d *policy.Document) { d.Scan.FinishedAt = time.Time{} })), "does not say when it was made"},
		{"report from the future", replaced(scanOf(func(d *policy.Document) { d.Scan.FinishedAt = judgedAt.Add(time.Hour) })), "dated after it was logged"},
		{"nothing scanned", replaced(scanOf(func(d *policy.Document) { d.Scan.Nothing = "the report has no Results" })), `nothing was scanned: "the report has no Results"`},

		// The newest decides, whatever the order.
		{"an old clean scan does not help", replaced(scanOf(old), scanOf(nil, critical)), "not excused: CVE-2026-1"},
		{"an old clean scan, behind", replaced(scanOf(nil, critical), scanOf(old)), "not excused: CVE-2026-1"},
		{"an old bad scan does not harm", replaced(scanOf(old, critical), scanOf(nil)), ""},
		{"same time, newer by the log", replaced(scanOf(func(d *policy.Document) { d.LogIndex = 8 }), scanOf(nil, critical)), ""},
		// What does not count does not harm.
		{"stray: unreadable and newer", append(good(), scanOf(func(d *policy.Document) { d.Problem, d.At = "no result", judgedAt }, critical)), ""},
		{"stray: another digest and newer", append(good(), scanOf(func(d *policy.Document) { d.Digest, d.At = otherImage, judgedAt }, critical)), ""},
		{"stray: another kind", append(good(), doc("other", nil)), ""},

		{"VEX", append(replaced(scanOf(nil, critical)), vexBy(security, nil)), ""},
		{"VEX of somebody else", append(replaced(scanOf(nil, critical)), vexBy(request().SAN, nil)), "not excused: CVE-2026-1"},
		{"VEX about another digest", append(replaced(scanOf(nil, critical)), with2(vexBy(security, nil), func(d *policy.Document) { d.Digest = otherImage })), "not excused"},
		{"unreadable VEX", append(replaced(scanOf(nil, critical)), with2(vexBy(security, nil), func(d *policy.Document) { d.Problem = "x" })), "not excused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			decision := decideOn(p, tc.documents)
			refusal := decision.Refusal()
			if tc.says == "" && refusal != nil {
				t.Fatalf("refused: %q", refusal.Reasons)
			}
			if tc.says != "" && (refusal == nil || !strings.Contains(refusal.Error(), tc.says)) {
				t.Fatalf("%v, want %q", refusal, tc.says)
			}
		})
	}
}

func with2(d policy.Document, change func(*policy.Document)) policy.Document { change(&d); return d }

// Every check is listed, passed or failed, and what has nothing to read says so.
func TestGateListsEveryCheck(t *testing.T) {
	p := parse(t, gated(fullGate))
	d := decideOn(p, replaced(scanOf(nil, finding("CVE-2026-1", "critical"))))
	var said []string
	for _, c := range d.Checks {
		said = append(said, fmt.Sprintf("%s %t", c.Name, c.Passed))
	}
	want := "identity true, action true, kind true, repository true, protected-ref true, evidence.sbom true, evidence.scan true, evidence.test true, no-critical false"
	if got := strings.Join(said, ", "); got != want {
		t.Errorf("checks %s\nwant   %s", got, want)
	}
	reasons := decideOn(p, nil).Refusal().Reasons
	if len(reasons) != 3 { // not the condition that was not evaluated
		t.Errorf("reasons %q", reasons)
	}
}

// The terms name the evidence that decided, and nothing of it is kept.
func TestGrantNamesItsEvidence(t *testing.T) {
	documents := append(good(), vexBy(security, nil), with2(vexBy(request().SAN, nil), func(d *policy.Document) { d.Bundle = "sha256:ignored" }))
	grant, ok := decideOn(parse(t, gated(fullGate)), documents).Grant()
	if !ok {
		t.Fatal("refused")
	}
	terms, err := grant.Redeem()
	if err != nil || !slices.Equal(terms.Evidence, []string{"sha256:sbom", "sha256:scan", "sha256:test", "sha256:vex"}) || terms.Input.Evidence != nil {
		t.Errorf("terms %+v, %v", terms, err)
	}
}

// Evidence is attested under a rule that requires it: no gate there.
func TestGateIsForSignatures(t *testing.T) {
	p := parse(t, gated(fullGate))
	d := decideOn(p, nil, func(in *policy.Input) { in.Action, in.PredicateType = policy.ActionAttest, sbomType })
	if d.Refusal() != nil {
		t.Errorf("attesting is refused: %v", d.Refusal())
	}
}

// A claim that fails is said alone: evidence would only hide it.
func TestClaimsFirst(t *testing.T) {
	p := parse(t, strings.Replace(gated(fullGate), `expression: "true"`, `expression: claims.ref_protected == "yes"`, 1))
	reasons := decideOn(p, nil).Refusal().Reasons
	if len(reasons) != 1 || !strings.Contains(reasons[0], "ref_protected is") {
		t.Errorf("reasons %q", reasons)
	}
}

func TestScanners(t *testing.T) {
	p := parse(t, gated(`
scan: {maxAge: 24h, tools: [trivy, grype], maxDatabaseAge: 5d}
conditions:
- {name: clean, expression: 'evidence.scan.findings.size() == 0 && evidence.scan.tools == ["grype", "trivy"] && evidence.scan.age < duration("3h")', message: m}`))
	by := func(tool string, findings ...policy.Finding) policy.Document {
		return scanOf(func(d *policy.Document) { d.Scan.Tool, d.Scan.DatabaseAt = tool, judgedAt.Add(-24*time.Hour) }, findings...)
	}
	for _, tc := range []struct {
		documents []policy.Document
		says      string
	}{
		{[]policy.Document{by("trivy"), by("grype")}, ""},
		{[]policy.Document{by("trivy")}, "attest a scan by grype of this digest"},
		{[]policy.Document{by("trivy"), by("clair")}, "by \"clair\""},
		{[]policy.Document{by("trivy"), by("grype", finding("CVE-1", "low"))}, "1 finding: 1 low"},
		{[]policy.Document{by("trivy"), by("grype"), with2(by("clair", finding("CVE-1", "low")), func(d *policy.Document) { d.At = judgedAt })}, ""},
		{[]policy.Document{by("trivy"), with2(by("grype"), func(d *policy.Document) { d.Scan.DatabaseAt = time.Time{} })}, "how old the scanner's database is"},
		{[]policy.Document{by("trivy"), with2(by("grype"), func(d *policy.Document) { d.Scan.DatabaseAt = judgedAt.AddDate(0, 0, -6) })}, "older than 5d; update it"},
	} {
		refusal := decideOn(p, tc.documents).Refusal()
		if (refusal == nil) != (tc.says == "") || (refusal != nil && !strings.Contains(refusal.Error(), tc.says)) {
			t.Errorf("%v, want %q", refusal, tc.says)
		}
	}
}

func TestIndexes(t *testing.T) {
	about := func(d string) policy.Document {
		return doc(policy.EvidenceSBOM, func(x *policy.Document) { x.Digest = d })
	}
	index := func(platforms ...string) func(*policy.Input) {
		return func(in *policy.Input) { in.Kind, in.Platforms = policy.KindIndex, platforms }
	}
	for _, tc := range []struct {
		says      string // what the rule says of an index
		documents []policy.Document
		platforms []string
		allowed   bool
	}{
		{"", []policy.Document{about(digest)}, nil, true},
		{"index", []policy.Document{about(armDigest)}, []string{armDigest}, false},
		{"platforms", []policy.Document{about(digest)}, []string{armDigest}, false},
		{"platforms", []policy.Document{about(armDigest)}, []string{armDigest}, true},
		{"platforms", []policy.Document{about(armDigest)}, []string{armDigest, otherImage}, false},
		{"platforms", []policy.Document{about(armDigest), about(otherImage)}, []string{armDigest, otherImage}, true},
		{"platforms", []policy.Document{about(digest)}, nil, false},
		{"either", []policy.Document{about(digest)}, []string{armDigest}, true},
		{"either", []policy.Document{about(armDigest)}, []string{armDigest}, true},
		{"either", nil, []string{armDigest}, false},
		{"either", []policy.Document{with2(about(digest), func(d *policy.Document) { d.Problem = "x" }), about(armDigest)}, []string{armDigest}, true},
	} {
		p := parse(t, gated("sbom: true\nindex: "+cmp.Or(tc.says, "index")))
		if got := decideOn(p, tc.documents, index(tc.platforms...)).Refusal() == nil; got != tc.allowed {
			t.Errorf("%+v: allowed is %t", tc, got)
		}
	}
	// An expression sees the worst of all of them, member by member.
	sbom := func(digest string, packages int, format, original string) policy.Document {
		return doc(policy.EvidenceSBOM, func(d *policy.Document) {
			d.Digest, d.Original, d.Bundle = digest, original, "sha256:"+digest
			d.SBOM = &policy.SBOM{Format: format, Version: "1", Packages: packages}
		})
	}
	for expression, allowed := range map[string]bool{
		"evidence.sbom.packages == 3": true, "evidence.sbom.embedded": false, `evidence.sbom.format == "SPDX"`: false, `evidence.sbom.format == "CycloneDX"`: false, `evidence.sbom.version == "1"`: true,
	} {
		p := parse(t, gated("sbom: true\nindex: platforms\nconditions:\n- {name: c, expression: '"+expression+"', message: m}"))
		documents := []policy.Document{sbom(armDigest, 3, "SPDX", ""), sbom(otherImage, 9, "CycloneDX", "sha256:aa")}
		if got := decideOn(p, documents, index(armDigest, otherImage)).Refusal() == nil; got != allowed {
			t.Errorf("%s: allowed %t", expression, got)
		}
	}
	tests := func(digest string, result policy.TestResult) policy.Document {
		return doc(policy.EvidenceTest, func(d *policy.Document) { d.Digest, d.Bundle, d.Test = digest, "sha256:"+digest, &result })
	}
	p := parse(t, gated("tests: true\nindex: platforms\nconditions:\n- {name: c, expression: 'evidence.tests.result == \"WARNED\" && evidence.tests.warned == 2 && evidence.tests.passed == 1', message: m}"))
	if refusal := decideOn(p, []policy.Document{tests(armDigest, policy.TestResult{Result: "WARNED", Passed: 9, Warned: 2}), tests(otherImage, policy.TestResult{Result: "PASSED", Passed: 1})}, index(armDigest, otherImage)).Refusal(); refusal != nil {
		t.Errorf("tests of two platforms: %v", refusal.Reasons)
	}
	// An image has no platforms to look at.
	if decideOn(parse(t, gated("sbom: true\nindex: platforms")), []policy.Document{about(digest)}).Refusal() != nil {
		t.Error("an image is asked for platforms")
	}
}

// A job cannot tell its own story.
func TestProvenance(t *testing.T) {
	p := parse(t, gated(`
provenance: true
conditions:
- {name: main, expression: 'evidence.provenance.source.endsWith("@refs/heads/main")', message: build from main}`))
	if r := decideOn(p, []policy.Document{doc(policy.EvidenceProvenance, nil)}).Refusal(); r != nil {
		t.Error(r)
	}
	forged := doc(policy.EvidenceProvenance, func(d *policy.Document) { d.Author = request().SAN })
	if r := decideOn(p, []policy.Document{forged}).Refusal(); r == nil || !strings.Contains(r.Error(), "not by the service itself") {
		t.Errorf("forged: %v", r)
	}
	feature := doc(policy.EvidenceProvenance, func(d *policy.Document) { d.Provenance.Source += "-by-mallory" })
	if r := decideOn(p, []policy.Document{feature}).Refusal(); r == nil || !strings.Contains(r.Error(), "main-by-mallory") {
		t.Errorf("other branch: %v", r)
	}
	// The service may attest it under this rule, and nothing else; jobs may not.
	own := func(in *policy.Input) {
		in.Action, in.PredicateType, in.Own = policy.ActionAttest, policy.PredicateProvenance, true
	}
	if r := decideOn(p, nil, own).Refusal(); r != nil {
		t.Errorf("the service's own: %v", r)
	}
	for name, change := range map[string]func(*policy.Input){
		"by the job":    func(in *policy.Input) { own(in); in.Own = false },
		"another type":  func(in *policy.Input) { own(in); in.PredicateType = sbomType },
		"as signature":  func(in *policy.Input) { own(in); in.Action = policy.ActionSign },
		"another place": func(in *policy.Input) { own(in); in.Repository = "globex/app" },
	} {
		if decideOn(p, nil, change).Refusal() == nil {
			t.Errorf("%s is allowed", name)
		}
	}
	if decideOn(parse(t, gated("sbom: true")), nil, own).Refusal() == nil {
		t.Error("a rule without provenance allows the service's own")
	}
}

// anyway is another rule, which requires nothing, and gatedToo one that requires
// an SBOM.
const (
	anyway = `- name: anyway
  identity: github
  actions: [sign]
  kinds: [image]
  repositories: [acme/]
  conditions:
  - {name: all, expression: "true", message: "none"}
`
	gatedToo = anyway + "  require: {sbom: true}\n"
)

// The first rule that holds says how is signed: evidence that it requires is
// looked at although a later rule requires none.
func TestFirstRuleFirst(t *testing.T) {
	p := parse(t, gated(fullGate)+anyway)
	for name, documents := range map[string][]policy.Document{"acme-github": good(), "anyway": nil} {
		grant, ok := decideOn(p, documents).Grant()
		if !ok {
			t.Fatalf("%s: refused", name)
		}
		if terms, err := grant.Redeem(); err != nil || terms.Rule != name {
			t.Errorf("by rule %s, %v, want %s", terms.Rule, err, name)
		}
	}
}

func TestNeeds(t *testing.T) {
	for _, tc := range []struct {
		policy string
		change func(*policy.Input)
		want   policy.Needs
	}{
		{gated(fullGate), nil, policy.Needs{Allowed: true, Evidence: true, Kinds: []string{policy.EvidenceSBOM, policy.EvidenceScan, policy.EvidenceTest, policy.EvidenceVEX}, Ages: map[string]time.Duration{policy.EvidenceScan: 24 * time.Hour}}},
		{gated("provenance: true\nindex: either"), nil, policy.Needs{Allowed: true, Evidence: true, Provenance: true, Kinds: []string{policy.EvidenceProvenance}}},
		{gated("sbom: true\nindex: platforms"), func(in *policy.Input) { in.Kind = policy.KindIndex }, policy.Needs{Allowed: true, Evidence: true, Platforms: true, Kinds: []string{policy.EvidenceSBOM}}},
		{gated(fullGate), func(in *policy.Input) { in.Repository = "globex/app" }, policy.Needs{}},
		{gated(fullGate), func(in *policy.Input) { in.Digest = "x" }, policy.Needs{}},
		{ruleOf("true"), nil, policy.Needs{Allowed: true}},
		{gated(fullGate) + anyway, nil, policy.Needs{Allowed: true, Evidence: true, Kinds: []string{policy.EvidenceSBOM, policy.EvidenceScan, policy.EvidenceTest, policy.EvidenceVEX}, Ages: map[string]time.Duration{policy.EvidenceScan: 24 * time.Hour}}},
		{ruleOf("true") + gatedToo, nil, policy.Needs{Allowed: true}},
		{ruleOf("false"), nil, policy.Needs{}},
	} {
		in := request()
		if tc.change != nil {
			tc.change(&in)
		}
		p := parse(t, tc.policy)
		if got := p.Needs(in); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("needs %+v, want %+v", got, tc.want)
		}
		if p.RequiresEvidence() != strings.Contains(tc.policy, "require:") {
			t.Error("whether evidence is required is told wrongly")
		}
	}
	if (*policy.SigningPolicy)(nil).RequiresEvidence() || (*policy.SigningPolicy)(nil).Needs(request()).Allowed {
		t.Error("no policy requires or allows something")
	}
}

func TestTooManyDocuments(t *testing.T) {
	p := parse(t, gated("sbom: true"))
	if r := decideOn(p, make([]policy.Document, 1025)).Refusal(); r == nil || !strings.Contains(r.Error(), "more than 1024") {
		t.Errorf("got %v", r)
	}
}

// suppressed is what a tool's own configuration takes away.
func suppressed(f policy.Finding) policy.Finding {
	f.Suppressed = true
	return f
}
