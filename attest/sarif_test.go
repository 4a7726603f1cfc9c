// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestSARIFSecrets: a report that quotes secrets is named by its digest, and kept nowhere.
func TestSARIFSecrets(t *testing.T) {
	for name, tc := range map[string]struct {
		tool, rule, more string
		secret           bool
	}{
		"gitleaks":          {"gitleaks", "aws-access-token", "", true},
		"a rule's id":       {"Semgrep OSS", "generic.secrets.security.detected-aws-key", "", true},
		"a rule's tag":      {"CodeQL", "js/x", `, "properties": {"tags": ["external/cwe/cwe-798"]}`, true},
		"a rule's title":    {"bandit", "B105", `, "shortDescription": {"text": "Hardcoded password"}`, true},
		"of something else": {"CodeQL", "js/xss", "", false},
	} {
		file := fmt.Sprintf(`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": %q, "rules": [{"id": %q%s}]}}, "results": [{"ruleId": %[2]q, "message": {"text": "m"},
			"locations": [{"physicalLocation": {"artifactLocation": {"uri": "a"}, "region": {"startLine": 1, "snippet": {"text": "AKIA"}}}}]}]}]}`, tc.tool, tc.rule, tc.more)
		d, err := attest.ReadDocument(name, []byte(file))
		if err != nil || d.Original.Secret != tc.secret {
			t.Errorf("%s: secret %t, %v", name, d.Original.Secret, err)
		}
	}
}

// TestSARIFOfTheSameMaker: nothing found in code is no clean scan of packages.
func TestSARIFOfTheSameMaker(t *testing.T) {
	for tool, kind := range map[string]attest.EvidenceKind{
		"SnykCode": attest.EvidenceCheck, "Snyk IaC": attest.EvidenceCheck, "Snyk Container": attest.EvidenceScan, "Snyk Open Source": attest.EvidenceScan,
	} {
		d, err := attest.ReadDocument("x", fmt.Appendf(nil, `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": %q}}, "results": []}]}`, tool))
		if err != nil || d.Evidence.Kind != kind {
			t.Errorf("%s: %s, %v", tool, d.Evidence.Kind, err)
		}
	}
}

// TestSARIFOfTrivy: Trivy writes the same for packages, configuration and secrets. Without a result only an image tells that packages were
// looked at.
func TestSARIFOfTrivy(t *testing.T) {
	const (
		image   = `, "properties": {"imageName": "app:1"}`
		setting = `{"ruleId": "DS002", "ruleIndex": 0, "message": {"text": "m"}}`
		found   = `{"ruleId": "CVE-2026-0001", "message": {"text": "Package: zlib"}}`
		grype   = `{"tool": {"driver": {"name": "grype"}}, "results": []}`
	)
	trivy := func(results, more string) string {
		return `{"tool": {"driver": {"name": "Trivy", "rules": [{"id": "DS002", "properties": {"tags": ["misconfiguration"]}}]}}, "results": [` + results + `]` + more + `}`
	}
	for name, tc := range map[string]struct{ want, runs, says string }{
		"a clean image":                    {"", trivy("", image), "scan clean"},
		"a clean image, named":             {"scan", trivy("", image), "scan clean"},
		"clean":                            {"", trivy("", ""), "does not say that packages were looked at"},
		"clean, of an image without name":  {"", trivy("", `, "properties": {"imageName": ""}`), "does not say that packages were looked at"},
		"clean, by somebody who says scan": {"scan", trivy("", ""), "does not say that packages were looked at"},
		"clean, as a check":                {"check", trivy("", ""), "check clean"},
		"settings, as a scan":              {"scan", trivy(setting, ""), "does not say that packages were looked at"},
		"settings of an image, as a scan":  {"scan", trivy(setting, image), "scan findings"},
		"settings":                         {"", trivy(setting, ""), "check findings"},
		"packages":                         {"", trivy(found, ""), "scan findings"},
		"packages, and clean settings":     {"", trivy(found, "") + "," + trivy("", ""), "scan findings"},
		"another scanner, clean":           {"", grype, "scan clean"},
		"another scanner and clean":        {"", grype + "," + trivy("", ""), "scan clean"},
	} {
		d, err := attest.ReadDocumentAs(tc.want, "f", []byte(`{"version": "2.1.0", "runs": [`+tc.runs+`]}`))
		says := ""
		if err != nil {
			says = err.Error()
		} else {
			says = fmt.Sprint(d.Evidence.Kind, " ", scanOf(d.Evidence).State())
		}
		if !strings.Contains(says, tc.says) {
			t.Errorf("%s: %s, want %s", name, says, tc.says)
		}
	}
}

// TestJUnitCounts: a file whose suites count failures that no test case shows has not passed.
func TestJUnitCounts(t *testing.T) {
	for file, want := range map[string]string{
		`<testsuites><testsuite failures="0" errors="0"><testcase name="a"/></testsuite></testsuites>`:                    "PASSED",
		`<testsuites><testsuite failures="0" errors="1"><testcase name="a"/></testsuite></testsuites>`:                    "FAILED",
		`<testsuites failures="2"><testsuite><testcase name="a"/></testsuite></testsuites>`:                               "FAILED",
		`<testsuites><testsuite><testcase name="a"/></testsuite><testsuite><error message="x"/></testsuite></testsuites>`: "FAILED",
		`<testsuite failures="many"><testcase name="a"/></testsuite>`:                                                     "PASSED",
	} {
		d, err := attest.ReadDocument("x", []byte(file))
		if err != nil || d.Evidence.Test.Result != want {
			t.Errorf("%s: %+v, %v", file, d.Evidence.Test, err)
		}
	}
}
