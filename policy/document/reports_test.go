// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// TestReportsOfSeveralKinds: what Trivy has looked for in one run are reports of
// their own kinds; what it may not have looked for is not.
func TestReportsOfSeveralKinds(t *testing.T) {
	const (
		vulnerability = `{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "Severity": "LOW"}]}`
		clean         = `{"Class": "os-pkgs"}`
		config        = `{"Class": "config", "Target": "Dockerfile", "MisconfSummary": {"Successes": 20, "Failures": 0}}`
		badConfig     = `{"Class": "config", "Target": "Dockerfile", "Misconfigurations": [{"ID": "DS002", "Severity": "HIGH", "Status": "FAIL"}]}`
		secret        = `{"Class": "secret", "Target": ".env", "Secrets": [{"RuleID": "aws", "Severity": "CRITICAL", "StartLine": 1}]}`
		licenses      = `{"Class": "license", "Target": "OS Packages"}`
		badLicense    = `{"Class": "license", "Target": "OS Packages", "Licenses": [{"Name": "GPL-3.0", "Category": "restricted", "Severity": "HIGH", "PkgName": "bash"}]}`
	)
	for results, want := range map[string]string{
		clean: "scan", vulnerability: "scan", config: "config", badConfig: "config", secret: "secrets", licenses: "licenses", badLicense: "licenses",
		badConfig + "," + secret: "secrets config", config + "," + licenses: "config licenses", clean + "," + secret: "scan secrets",
		vulnerability + "," + badConfig + "," + secret + "," + badLicense: "scan secrets config licenses", clean + "," + licenses: "scan licenses",
	} {
		read, err := attest.ReadDocument("f", []byte(`{"SchemaVersion": 2, "ArtifactName": "a", "Results": [`+results+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		// As handed in, and as it is read again of its statement.
		var now policy.Document
		document.Fill(&now, read.Evidence)
		later, ok := document.Of(fact(read.PredicateType, string(read.Predicate)), digest)
		for _, d := range []policy.Document{now, later} {
			if got := strings.Join(append([]string{d.Kind}, d.Also...), " "); !ok || got != want || d.Problem != "" {
				t.Errorf("%s: %s, want %s: %s", results, got, want, d.Problem)
			}
			for _, kind := range append([]string{d.Kind}, d.Also...) {
				if !slices.Contains(document.Kinds(read.PredicateType), kind) {
					t.Errorf("%s: nobody looks for %s among statements of %s", results, kind, read.PredicateType)
				}
			}
		}
	}
}
