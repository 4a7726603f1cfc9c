// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestTraps: what each tool does that a reader who does not know it takes for
// something else.
func TestTraps(t *testing.T) {
	trivy := func(metadata, results string) string {
		return `{"SchemaVersion": 2, "ArtifactName": "a", "Metadata": {` + metadata + `}, "Results": [` + results + `]}`
	}
	grype := func(more string) string { return `{"descriptor": {"name": "grype"}, "matches": []` + more + `}` }
	sarif := func(tool, rules, results string) string {
		return `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "` + tool + `", "rules": [` + rules + `]}}, "results": [` + results + `]}]}`
	}
	gitlab := func(kind, status, list string) string {
		return `{"version": "15.0.0", "vulnerabilities": [` + list + `], "scan": {"type": "` + kind + `", "status": "` + status + `", "scanner": {"id": "trivy"}}}`
	}
	clair := func(severity, fixed string) string {
		return `{"manifest_hash": "sha256:` + bb + `", "packages": {"1": {"name": "a", "version": "1"}}, "vulnerabilities": {"2": {"name": "CVE-2026-1", "normalized_severity": "` + severity + `", "fixed_in_version": "` + fixed + `"}},
			"package_vulnerabilities": {"1": ["2"]}}`
	}
	for name, tc := range map[string]struct{ want, file, says string }{
		// Each answer: state, severities of the findings in their order (! if suppressed), states of fixes, notes.
		"trivy: no Results":                      {"", `{"SchemaVersion": 2, "ArtifactName": "a"}`, "nothing_scanned [] [] []"},
		"trivy: a clean result":                  {"", trivy(``, `{"Class": "os-pkgs"}`), "clean [] [] []"},
		"trivy: languages only":                  {"", trivy(`"OS": {"Family": "alpine"}`, `{"Class": "lang-pkgs"}`), "clean [] [] [no result is about packages of the operating system]"},
		"trivy: out of support":                  {"", trivy(`"OS": {"Family": "debian", "EOSL": true}`, `{"Class": "os-pkgs"}`), "clean [] [] [the operating system is out of support: unfixed vulnerabilities may not be listed]"},
		"trivy: a fixed version that is not one": {"", trivy(``, `{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "FixedVersion": "", "Status": "will_not_fix", "Severity": "unknown"}]}`), "findings [unknown] [wont_fix] []"},
		"trivy: ignored findings":                {"", trivy(``, `{"Class": "os-pkgs", "ExperimentalModifiedFindings": [{"Type": "vulnerability", "Status": "ignored", "Source": ".trivyignore", "Finding": {"VulnerabilityID": "CVE-1", "Severity": "HIGH"}}]}`), "findings [high!] [unknown] [the report shows findings that Trivy was told to ignore: they count]"},
		"grype: an empty state":                  {"", strings.Replace(grype(""), "[]", `[{"vulnerability": {"id": "CVE-1", "severity": "Negligible", "fix": {"versions": ["2"], "state": ""}}, "artifact": {"name": "a"}}]`, 1), "findings [negligible] [unknown] []"},
		"grype: only what has a fix":             {"", strings.Replace(grype(""), `"grype"`, `"grype", "configuration": {"only-fixed": true}`, 1), "clean [] [] [the report leaves out what has no fix (only-fixed)]"},
		"grype: ignored":                         {"", grype(`, "ignoredMatches": [{"vulnerability": {"id": "CVE-1", "severity": "High"}, "artifact": {"name": "a"}}]`), "findings [high!] [unknown] [the report shows findings that grype was told to ignore: they count]"},
		"grype: a distribution's end":            {"", grype(`, "alertsByPackage": [{"package": {"name": "a"}, "alerts": [{"type": "distro-eol", "message": "m"}]}, {"alerts": [{"type": "distro-eol"}]}]`), "clean [] [] [grype warns of packages: distro-eol]"},
		"sarif: a level is no severity":          {"scan", sarif("Trivy", `{"id": "CVE-2026-0001"}`, `{"ruleId": "CVE-2026-0001", "level": "error"}`), "findings [unknown] [unknown] []"},
		"sarif: the bands":                       {"scan", sarif("Trivy", `{"id": "CVE-2026-0001", "properties": {"security-severity": "8.9"}}, {"id": "CVE-2026-0002", "properties": {"security-severity": "9.0"}}`, `{"ruleId": "CVE-2026-0001"}, {"ruleId": "CVE-2026-0002", "level": "note"}`), "findings [high critical] [unknown unknown] []"},
		"sarif: suppressed":                      {"check", sarif("x", ``, `{"ruleId": "a", "level": "error", "suppressions": [{"kind": "inSource"}]}`), "findings [high!] [unknown] []"},
		"sarif: suppressed, under review":        {"check", sarif("x", ``, `{"ruleId": "a", "level": "error", "suppressions": [{"kind": "inSource", "status": "underReview"}]}`), "findings [high] [unknown] []"},
		"clair: unknown is not low":              {"", clair("Unknown", ""), "findings [unknown] [unknown] []"},
		"clair: a fix":                           {"", clair("High", "2"), "findings [high] [fixed] []"},
		"gitlab: a scan that failed":             {"check", gitlab("sast", "failure", ""), "nothing_scanned [] [] []"},
		"gitlab: information":                    {"", gitlab("container_scanning", "success", `{"id": "h", "severity": "Info", "solution": "upgrade to 3"}`), "findings [none] [unknown] []"},
		"gitlab: a likely false positive":        {"", gitlab("dependency_scanning", "success", `{"id": "h", "severity": "High", "flags": [{"type": "flagged-as-likely-false-positive", "origin": "x"}]}`), "findings [high!] [unknown] []"},
		"snyk: critical that is called high":     {"", `{"ok": false, "packageManager": "npm", "dependencyCount": 1, "vulnerabilities": [{"id": "a", "name": "a", "version": "1", "severity": "high", "severityWithCritical": "critical"}]}`, "findings [critical] [unknown] []"},
		"snyk: a license is no vulnerability":    {"", `{"ok": false, "packageManager": "npm", "dependencyCount": 1, "vulnerabilities": [{"id": "snyk:lic", "type": "license", "name": "a", "version": "1", "severity": "high"}]}`, "findings [high] [unknown] []"},
		"hadolint: a file that it cannot read":   {"", hadolintUnparsed, "nothing_scanned [high] [unknown] []"},
		"hadolint: style":                        {"", `[{"line": 1, "code": "DL1", "message": "m", "column": 1, "file": "f", "level": "style"}]`, "findings [negligible] [unknown] []"},
		"dockle: skipped and ignored":            {"", `{"summary": {"fatal": 0, "warn": 0, "info": 0, "skip": 1, "pass": 1}, "details": [{"code": "a", "level": "SKIP"}, {"code": "b", "level": "IGNORE"}, {"code": "c", "level": "PASS"}]}`, "findings [unknown!] [unknown] [skipped: a]"},
		"dockle: nothing at all":                 {"", `{"summary": {"fatal": 0, "warn": 0, "info": 0, "skip": 0, "pass": 0}, "details": []}`, "nothing_scanned [] [] []"},
		"kube-bench: no check was made":          {"", `{"Controls": [{"node_type": "master", "tests": []}]}`, "nothing_scanned [] [] []"},
		"gitleaks: no severity":                  {"", gitleaksReport, "findings [unknown] [unknown] []"},
	} {
		d, err := attest.ReadDocumentAs(tc.want, "f", []byte(tc.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := scanOf(d.Evidence)
		severities, fixes := []string{}, []string{}
		for _, f := range s.Findings {
			word := string(f.Severity)
			if f.Suppressed != nil {
				word += "!"
			}
			severities, fixes = append(severities, word), append(fixes, f.FixState)
		}
		if got := fmt.Sprintf("%s %v %v %v", s.State(), severities, fixes, s.Notes); got != tc.says {
			t.Errorf("%s: %s, want %s", name, got, tc.says)
		}
	}
}

// TestLooked: what a report shows that was looked for.
func TestLooked(t *testing.T) {
	for file, want := range map[string][]attest.FindingKind{
		trivyReport:    {attest.FindingVulnerability},
		trivyConfig:    {attest.FindingMisconfiguration},
		trivySecrets:   {attest.FindingSecret, attest.FindingVulnerability},
		gitlabSecrets:  {attest.FindingSecret},
		grypeReport:    nil,
		gitleaksReport: nil, // whose name says it
		`{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "license"}, {"Class": "config"}, {"Class": "license-file"}]}`: {attest.FindingLicense, attest.FindingMisconfiguration},
	} {
		d := read(t, file)
		if got := scanOf(d.Evidence).Looked; !slices.Equal(got, want) {
			t.Errorf("%.60s: %v, want %v", file, got, want)
		}
	}
	// The word is the service's own when a statement is read.
	d := read(t, trivySecrets)
	lie := strings.Replace(string(d.Predicate), `"looked":["secret"`, `"looked":["everything"`, 1)
	if _, err := attest.ReadEvidence(d.PredicateType, []byte(lie)); !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), `"everything" is no kind of finding`) {
		t.Error(err)
	}
}
