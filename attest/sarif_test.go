// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"fmt"
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
