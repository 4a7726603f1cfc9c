// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestReportOfTools: a report without findings is of the kind that its program always makes; and a program is called so that a rule can name
// it.
func TestReportOfTools(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	for said, want := range map[string]string{
		"gitleaks": "gitleaks secrets", "ggshield": "ggshield secrets", "GitGuardian": "gitguardian secrets", "Kingfisher": "kingfisher secrets",
		"Nosey Parker": "nosey-parker secrets", "TruffleHog": "trufflehog secrets", "checkov": "checkov config", "KICS": "kics config", "kube-linter": "kube-linter lint",
		"Snyk IaC": "snyk-iac config", "SnykCode": "snykcode code", "Snyk Code": "snyk-code code", "CodeQL": "codeql ", "Semgrep OSS": "semgrep-oss ",
		"Microsoft.CodeAnalysis_C#": "microsoft-codeanalysis-c ", "kicsy": "kicsy ", "Docker Scout": "docker-scout scan", "JFrog Xray Scanner": "jfrog-xray-scanner scan",
		"osv-scanner": "osv-scanner scan", "Snyk Container": "snyk-container scan", "anchorectl": "anchorectl scan", strings.Repeat("a", 62) + " b c": strings.Repeat("a", 62) + " ",
	} {
		d, err := attest.ReadDocument("f", fmt.Appendf(nil, `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": %q}}, "results": []}]}`, said))
		if err != nil {
			t.Fatal(err)
		}
		scan := scanOf(d.Evidence)
		got := scan.Tool + " " + scan.Report()
		if d.Evidence.Scan != nil {
			got = scan.Tool + " scan" + scan.Report()
		}
		if got != want || !name.MatchString(scan.Tool) {
			t.Errorf("%s: %s, want %s", said, got, want)
		}
		if problem := sameAgain(d); problem != "" {
			t.Error(problem)
		}
	}
	d, err := attest.ReadDocument("f", []byte(`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "ΑΒΓ"}}, "results": []}]}`))
	if err != nil || scanOf(d.Evidence).Tool != "αβγ" {
		t.Errorf("%+v, %v", d.Evidence, err)
	}
}

// TestCycloneDXTool: a dash in a tool's name is no end of it.
func TestCycloneDXTool(t *testing.T) {
	const vulnerabilities = `"vulnerabilities": [{"id": "CVE-2026-1", "affects": [{"ref": "a"}]}]}`
	for tools, want := range map[string]string{
		`[{"name": "osv-scanner", "version": "1.9.2"}]`: "osv-scanner 1.9.2", `{"components": [{"name": "Trivy", "version": "0.60.0-rc1"}]}`: "trivy 0.60.0-rc1",
		`[{"name": "osv-scanner"}, {"name": "b", "version": "2"}]`: "osv-scanner ", `[]`: "cyclonedx ",
	} {
		d, err := attest.ReadDocumentAs("scan", "f", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.5", "metadata": {"tools": `+tools+`}, `+vulnerabilities))
		if err != nil || d.Evidence.Scan.Tool+" "+d.Evidence.Scan.ToolVersion != want {
			t.Errorf("%s: %+v, %v", tools, d.Evidence.Scan, err)
		}
	}
	for tools, want := range map[string]string{
		`<tool><name>osv-scanner</name><version>1.9.2</version></tool>`: "osv-scanner 1.9.2",
		`<components><component type="application"><name>a-b</name></component><component type="application"><name>c</name><version>2</version></component></components>`: "a-b ",
	} {
		d, err := attest.ReadDocumentAs("scan", "f", []byte(`<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><metadata><tools>`+tools+`</tools></metadata>
			<vulnerabilities><vulnerability><id>CVE-2026-1</id><affects><target><ref>a</ref></target></affects></vulnerability></vulnerabilities></bom>`))
		if err != nil || d.Evidence.Scan.Tool+" "+d.Evidence.Scan.ToolVersion != want {
			t.Errorf("%s: %+v, %v", tools, d.Evidence.Scan, err)
		}
	}
}
