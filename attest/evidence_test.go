// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

var aa = strings.Repeat("a", 64)

// Samples of the shapes that the tools write, as small as they can be.
var (
	trivyReport = `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": "2026-11-30T10:00:00.000000005Z", "ArtifactName": "app",
		"Metadata": {"OS": {"Family": "debian"}, "RepoDigests": [""]},
		"Results": [
			{"Target": "app (debian 12)", "Class": "os-pkgs", "Vulnerabilities": [
				{"VulnerabilityID": "CVE-2026-1", "VendorIDs": ["DSA-1"], "PkgName": "openssl", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.1?arch=amd64"},
				 "InstalledVersion": "3.0.1", "FixedVersion": "3.0.2, 3.1.0", "Status": "fixed", "Severity": "CRITICAL", "CVSS": {"nvd": {"V3Score": 9.8}}},
				{"VulnerabilityID": "GHSA-1", "VendorIDs": ["CVE-2026-2"], "PkgName": "zlib", "InstalledVersion": "1", "Status": "will_not_fix", "Severity": "UNKNOWN"}]},
			{"Target": "go.mod", "Class": "lang-pkgs"}]}`
	grypeReport = `{"matches": [{"vulnerability": {"id": "GHSA-x", "severity": "Negligible", "cvss": [{"metrics": {"baseScore": 3.1}}],
		"fix": {"versions": ["2"], "state": ""}}, "relatedVulnerabilities": [{"id": "CVE-2026-3"}],
		"artifact": {"name": "busybox", "version": "1", "purl": "pkg:apk/alpine/busybox@1"}}],
		"ignoredMatches": [{"vulnerability": {"id": "CVE-2026-4", "severity": "High", "fix": {"versions": ["3"], "state": "fixed"}}, "artifact": {"name": "musl"},
			"appliedIgnoreRules": [{"vulnerability": "CVE-2026-4", "package": {}}]}],
		"source": {"type": "image", "target": {"repoDigests": ["r/app@sha256:` + aa + `"]}},
		"descriptor": {"name": "grype", "version": "0.90.0", "timestamp": "2026-11-30T12:00:00+02:00", "db": {"status": {"built": "2026-11-29T00:00:00Z"}}}}`
	vulnsPredicate = `{"scanner": {"uri": "https://osv.dev/osv-scanner@2", "version": "2", "db": {"lastUpdate": "2026-11-29T00:00:00Z"}, "result": [
		{"id": "CVE-2026-5", "severity": [{"method": "nvd", "score": "medium"}, {"method": "cvss_score", "score": "5.2"}], "annotations": [{"purl": "pkg:npm/a@1", "package": "a"}]},
		{"id": "CVE-2026-6", "severity": [{"method": "CVSSv31", "score": "9.1"}]}, {"id": "CVE-2026-7"}]},
		"metadata": {"scanStartedOn": "2026-11-30T09:00:00Z", "scanFinishedOn": "2026-11-30T10:00:00Z"}}`
	spdxDocument  = `{"spdxVersion": "SPDX-2.3", "creationInfo": {"created": "2026-11-30T10:00:00Z"}, "packages": [{"name": "a"}, {"name": "b"}]}`
	cdxDocument   = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a", "components": [{"name": "b"}]}, {"name": "c"}]}`
	vexDocument   = `{"@context": "https://openvex.dev/ns/v0.2.0", "author": "me", "timestamp": "2026-11-30T10:00:00Z", "statements": [{"vulnerability": {"name": "CVE-2026-1", "aliases": ["DSA-1"]}, "products": [{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/openssl"}]}], "status": "not_affected", "justification": "component_not_present"}]}`
	testPredicate = `{"result": "WARNED", "configuration": [], "passedTests": ["a", "b"], "warnedTests": ["c"]}`
	provenance    = `{"buildDefinition": {"buildType": "t", "externalParameters": {}, "resolvedDependencies": [{"uri": "git+https://x/y@refs/heads/main", "digest": {"gitCommit": "abc"}}]}, "runDetails": {"builder": {"id": "b"}, "metadata": {"invocationId": "i"}}}`
	junitFile     = `<?xml version="1.0"?><testsuites><testsuite name="s"><testcase classname="p" name="a"/><testcase classname="p" name="b"><failure message="no"/></testcase>
		<testcase classname="p" name="c"><skipped/></testcase></testsuite></testsuites>`
)

var at = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

func read(t *testing.T, file string) attest.Document {
	t.Helper()
	d, err := attest.ReadDocument("file", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTrivyFindings(t *testing.T) {
	d := read(t, trivyReport)
	want := []attest.Finding{
		{
			Kind: attest.FindingVulnerability, ID: "CVE-2026-1", Aliases: []string{"DSA-1"}, Package: "openssl", Version: "3.0.1", PURL: "pkg:deb/debian/openssl@3.0.1?arch=amd64",
			FixedVersions: []string{"3.0.2", "3.1.0"}, FixState: attest.FixFixed, Severity: attest.SeverityCritical, SaidSeverity: "CRITICAL", Score: 9.8, Tool: "trivy",
			CVSS: []attest.CVSS{{Version: "3.1", Score: 9.8, Source: "nvd"}}, Locations: []string{"app (debian 12)"},
		},
		{
			Kind: attest.FindingVulnerability, ID: "CVE-2026-2", Aliases: []string{"GHSA-1"}, Package: "zlib", Version: "1", FixState: attest.FixWontFix,
			Severity: attest.SeverityUnknown, SaidSeverity: "UNKNOWN", Tool: "trivy", Locations: []string{"app (debian 12)"},
		},
	}
	s := d.Evidence.Scan
	if !reflect.DeepEqual(s.Findings, want) {
		t.Errorf("findings %+v\nwant     %+v", s.Findings, want)
	}
	if s.Tool != "trivy" || s.ToolVersion != "0.60.0" || s.FinishedAt.Truncate(time.Second) != at || s.Nothing != "" || len(s.Digests) != 0 {
		t.Errorf("scan %+v", s)
	}
}

func TestGrypeFindings(t *testing.T) {
	s := read(t, grypeReport).Evidence.Scan
	want := []attest.Finding{
		{
			Kind: attest.FindingVulnerability, ID: "CVE-2026-3", Aliases: []string{"GHSA-x"}, Package: "busybox", Version: "1", PURL: "pkg:apk/alpine/busybox@1",
			FixState: attest.FixUnknown, Severity: attest.SeverityNegligible, SaidSeverity: "Negligible", Score: 3.1, Tool: "grype",
			CVSS: []attest.CVSS{{Score: 3.1}},
		},
		// What the tool's own rules ignore counts all the same.
		{
			Kind: attest.FindingVulnerability, ID: "CVE-2026-4", Package: "musl", FixedVersions: []string{"3"}, FixState: attest.FixFixed,
			Severity: attest.SeverityHigh, SaidSeverity: "High", Tool: "grype", Suppressed: &attest.Suppression{By: "grype", Reason: "vulnerability CVE-2026-4"},
		},
	}
	if !reflect.DeepEqual(s.Findings, want) {
		t.Errorf("findings %+v\nwant     %+v", s.Findings, want)
	}
	if s.FinishedAt != at || s.DatabaseAt != at.Add(-34*time.Hour) || !slices.Equal(s.Digests, []string{"sha256:" + aa}) {
		t.Errorf("scan %+v", s)
	}
}

// What an ignore file took away counts, as far as the report shows it.
func TestTrivySuppressed(t *testing.T) {
	s := read(t, `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "os-pkgs", "ExperimentalModifiedFindings": [
		{"Type": "vulnerability", "Status": "ignored", "Source": ".trivyignore", "Finding": {"VulnerabilityID": "CVE-2026-1", "Severity": "CRITICAL"}},
		{"Type": "secret", "Finding": {"RuleID": "aws-key", "Match": "AKIA"}}]}]}`).Evidence.Scan
	if len(s.Findings) != 2 || s.Findings[0].ID != "CVE-2026-1" || *s.Findings[0].Suppressed != (attest.Suppression{By: ".trivyignore", Reason: "ignored"}) ||
		s.Findings[1].Kind != attest.FindingSecret {
		t.Errorf("findings %+v", s.Findings)
	}
}

func TestVulnsFindings(t *testing.T) {
	ev, err := attest.ReadEvidence("https://in-toto.io/attestation/vulns/v0.2", []byte(vulnsPredicate))
	if err != nil {
		t.Fatal(err)
	}
	s := ev.Scan
	if s.Tool != "osv-scanner" || s.FinishedAt != at || s.DatabaseAt.IsZero() || len(s.Findings) != 3 {
		t.Errorf("scan %+v", s)
	}
	for i, want := range []attest.Severity{attest.SeverityMedium, attest.SeverityCritical, attest.SeverityUnknown} {
		if s.Findings[i].Severity != want {
			t.Errorf("%s is %s, want %s", s.Findings[i].ID, s.Findings[i].Severity, want)
		}
	}
	if s.Findings[0].PURL != "pkg:npm/a@1" || s.Findings[0].Package != "a" {
		t.Errorf("package %+v", s.Findings[0])
	}
}

// A plain file becomes a predicate that says the same, and holds the file byte
// for byte.
func TestDocumentsBecomePredicates(t *testing.T) {
	for file, predicateType := range map[string]string{
		trivyReport: "https://cosign.sigstore.dev/attestation/vuln/v1", grypeReport: "https://cosign.sigstore.dev/attestation/vuln/v1",
		vulnsPredicate: "https://in-toto.io/attestation/vulns/v0.2", spdxDocument: "https://spdx.dev/Document", cdxDocument: "https://cyclonedx.org/bom",
		vexDocument: "https://openvex.dev/ns/v0.2.0", testPredicate: "https://in-toto.io/attestation/test-result/v0.1",
		provenance: "https://slsa.dev/provenance/v1", junitFile: "https://in-toto.io/attestation/test-result/v0.1",
	} {
		d := read(t, file)
		if d.PredicateType != predicateType {
			t.Errorf("%.30s…: type %s, want %s", file, d.PredicateType, predicateType)
		}
		if file != junitFile && !strings.Contains(string(d.Predicate), file) {
			t.Errorf("%.30s…: not in the predicate byte for byte", file)
		}
		again, err := attest.ReadEvidence(d.PredicateType, d.Predicate)
		if err != nil {
			t.Errorf("%.30s…: %v", file, err)
			continue
		}
		if again.Scan != nil { // the predicate's times are to the second
			again.Scan.FinishedAt = again.Scan.FinishedAt.Truncate(time.Second)
			d.Evidence.Scan.FinishedAt = d.Evidence.Scan.FinishedAt.Truncate(time.Second)
		}
		again.Format, again.Within = d.Evidence.Format, ""
		if !reflect.DeepEqual(again, d.Evidence) {
			t.Errorf("%.30s…: read again as %+v, want %+v", file, again, d.Evidence)
		}
		if _, err := attest.NewStatement(attest.DigestOf(nil), d.PredicateType, d.Predicate); err != nil {
			t.Errorf("%.30s…: %v", file, err)
		}
	}
}

func TestEvidenceValues(t *testing.T) {
	if s := *read(t, spdxDocument).Evidence.SBOM; s.Format != "SPDX" || s.Version != "2.3" || s.Packages != 2 || s.Created != at {
		t.Errorf("SPDX %+v", s)
	}
	if s := *read(t, cdxDocument).Evidence.SBOM; s.Format != "CycloneDX" || s.Version != "1.6" || s.Packages != 3 {
		t.Errorf("CycloneDX %+v", s)
	}
	wrapped, err := attest.ReadEvidence("https://cyclonedx.org/bom/v1.4", []byte(`{"Data": `+cdxDocument+`, "Timestamp": "x"}`))
	if err != nil || wrapped.SBOM.Packages != 3 {
		t.Errorf("wrapped CycloneDX %+v, %v", wrapped, err)
	}
	v := read(t, vexDocument).Evidence.VEX.Statements[0]
	if v.Vulnerability != "CVE-2026-1" || v.Aliases[0] != "DSA-1" || v.At != at || v.Products[0].IDs[0] != "pkg:oci/app" || v.Products[0].Subcomponents[0] != "pkg:deb/debian/openssl" {
		t.Errorf("VEX %+v", v)
	}
	if r := *read(t, testPredicate).Evidence.Test; r != (attest.TestResult{Result: "WARNED", Passed: 2, Warned: 1}) {
		t.Errorf("test result %+v", r)
	}
	if r := *read(t, junitFile).Evidence.Test; r != (attest.TestResult{Result: "FAILED", Passed: 1, Failed: 1}) {
		t.Errorf("JUnit %+v", r)
	}
	if p := *read(t, provenance).Evidence.Provenance; p != (attest.Provenance{BuilderID: "b", BuildType: "t", Source: "git+https://x/y@refs/heads/main", Commit: "abc", Invocation: "i"}) {
		t.Errorf("provenance %+v", p)
	}
}

// Nothing found, nothing scanned and not read are three answers.
func TestThreeStatesOfAScan(t *testing.T) {
	clean := `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "os-pkgs"}]}`
	nothing := `{"SchemaVersion": 2, "ArtifactName": "a", "Metadata": {"OS": {"Family": "none"}}}`
	empty := `{"SchemaVersion": 2, "ArtifactName": "a", "Results": []}`
	for file, want := range map[string]bool{clean: false, nothing: true, empty: true} {
		if s := read(t, file).Evidence.Scan; (s.Nothing != "") != want || len(s.Findings) != 0 {
			t.Errorf("%s: nothing scanned is %q", file, s.Nothing)
		}
	}
	// What has looked for secrets only is no scan of packages.
	if c := read(t, `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "secret"}]}`).Evidence.Check; c == nil || c.State() != attest.ScanClean {
		t.Errorf("secrets only: %+v", c)
	}
	for _, predicate := range []string{
		`{"invocation": {}, "scanner": {"uri": "u"}, "metadata": {}}`,
		`{"invocation": {}, "scanner": {"uri": "u", "result": null}, "metadata": {}}`,
		`{"invocation": {}, "scanner": {"uri": "u", "result": {}}, "metadata": {}}`,
		`{"invocation": {}, "scanner": {"uri": "u", "result": {"descriptor": {"name": "grype"}}}}`,
	} {
		if ev, err := attest.ReadEvidence("https://cosign.sigstore.dev/attestation/vuln/v1", []byte(predicate)); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s: read as %+v, %v", predicate, ev, err)
		}
	}
}

// A re-wrapped report is as old as the older of the two times.
func TestOlderTimeCounts(t *testing.T) {
	predicate := `{"invocation": {}, "scanner": {"result": ` + trivyReport + `}, "metadata": {"scanFinishedOn": "2026-12-24T00:00:00Z"}}`
	ev, err := attest.ReadEvidence("https://cosign.sigstore.dev/attestation/vuln/v1", []byte(predicate))
	if err != nil || ev.Scan.FinishedAt.Truncate(time.Second) != at {
		t.Errorf("finished at %v, %v", ev.Scan, err)
	}
}

func TestUnreadableDocuments(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for _, tc := range []struct{ file, says string }{
		{"", "report.json: empty (hint"},
		{"hello", "report.json: byte 0: begins with 'h', want a JSON object or list"},
		{"[]", "report.json: $: an empty list, which says nothing of who wrote it"},
		{"null", "report.json: $: want a JSON object or list"},
		{`{}`, "$: not a document that is known here (hint: docs/EVIDENCE.md"},
		{deep, "nested deeper than 64"},
		{`{"spdxVersion": "SPDX-2.3", "spdxversion": "SPDX-2.2", "packages": []}`, "report.json: $.spdxversion (line 1, byte 41): unacceptable JSON: member \"spdxversion\" appears twice"},
		{`{"SchemaVersion": 1, "ArtifactName": ""}`, "report.json: trivy: $.SchemaVersion: 1, want 2"},
		{`{"SchemaVersion": 2, "ArtifactName": "", "Results": {}}`, "report.json: trivy: $.Results: found an object, want a list"},
		{`{"SchemaVersion": 2, "ArtifactName": "", "CreatedAt": "yesterday", "Results": []}`, `trivy: $.CreatedAt: "yesterday" is not a time such as`},
		{`{"SchemaVersion": 2, "ArtifactName": "", "Results": [{"Vulnerabilities": [{"VulnerabilityID": "a"}, {"Severity": 3}]}]}`, "trivy: $.Results[0].Vulnerabilities[1].Severity: found a number, want a text"},
		{`{"SchemaVersion": 2, "ArtifactName": "", "Results": [{"Vulnerabilities": [{}]}]}`, "trivy: $.Results[0].Vulnerabilities[0]: a finding without an id"},
		{`{"descriptor": {"name": "grype"}}`, "grype: $.matches: missing"},
		{`{"descriptor": {"name": "grype"}, "matches": null}`, "grype: $.matches: missing"},
		{`{"descriptor": {"name": "grype"}, "matches": [{"artifact": 1}]}`, "grype: $.matches[0].artifact: found a number, want an object"},
		{`{"scanner": {"uri": "x"}}`, "in-toto-vulns: $.scanner.result: missing"},
		{`{"spdxVersion": "SPDX-3.0", "packages": []}`, `spdx: $.spdxVersion: "SPDX-3.0", want SPDX-2.2 or SPDX-2.3`},
		{`{"spdxVersion": "SPDX-2.3"}`, "spdx: $.packages: missing"},
		{`{"spdxVersion": "SPDX-2.3", "packages": [{}]}`, "spdx: $.packages[0].name: a package without a name"},
		{`{"bomFormat": "CycloneDX", "specVersion": "1.4"}`, "cyclonedx: $.components: missing"},
		{`{"bomFormat": "CycloneDX", "specVersion": "1.4", "vulnerabilities": []}`, "cyclonedx: $.vulnerabilities: empty, which does not say that anybody has looked"},
		{`{"@context": "https://openvex.dev/ns"}`, "openvex: $.statements: missing"},
		{`{"@context": "https://openvex.dev/ns", "statements": [{"vulnerability": {"name": "C"}, "status": "not_affected"}]}`, "openvex: $.statements[0].justification: not_affected needs"},
		{`{"@context": "https://openvex.dev/ns", "statements": [{"vulnerability": {"name": "C"}, "status": "fine"}]}`, `openvex: $.statements[0].status: "fine", want`},
		{`{"result": "OK", "configuration": []}`, `test-result: $.result: "OK", want PASSED`},
		{`{"result": "PASSED", "configuration": [], "failedTests": ["a"]}`, "1 failed tests, and the result is PASSED"},
		{`<html></html>`, "xml: line 1: is a web page, want a document"},
		{`<pmd></pmd>`, `xml: line 1: the document is a "pmd", want testsuites`},
		{`<testsuites></testsuites>`, "junit: no test suite in it"},
		{`<!DOCTYPE a [<!ENTITY b "c">]><testsuite>&b;</testsuite>`, "document types and entities are not read"},
		{`<testsuite>` + strings.Repeat("<a>", 100), "nested deeper than 32"},
		{`<testsuite>`, "junit: line 1: XML syntax error"},
		{"{" + strings.Repeat(" ", attest.MaxEvidenceBytes) + "}", "too large"},
	} {
		_, err := attest.ReadDocument("report.json", []byte(tc.file))
		var wrong *attest.FormatError
		if !errors.As(err, &wrong) || !errors.Is(err, attest.ErrEvidence) || !strings.HasPrefix(err.Error(), "report.json: ") || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%.60s: %v, want %q", tc.file, err, tc.says)
		}
	}
}

// Too many entries are an error and not a silent cut, and cost no more than
// what was read up to there.
func TestFloodOfFindings(t *testing.T) {
	flood := `{"descriptor": {"name": "grype"}, "matches": [` + strings.Repeat(`{"vulnerability":{"id":"a"}},`, 100_001) + `{}]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := attest.ReadDocument("f", []byte(flood))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), "more than 100000 findings") {
		t.Errorf("got %v", err)
	}
	if cost := (after.TotalAlloc - before.TotalAlloc) >> 20; cost > 160 {
		t.Errorf("%d MiB for a document of %d", cost, len(flood)>>20)
	}
}

func TestPredicateTypesOfEvidence(t *testing.T) {
	for predicateType, want := range map[string]attest.EvidenceKind{
		"https://spdx.dev/Document": attest.EvidenceSBOM, "https://spdx.dev/Document/v2.3": attest.EvidenceSBOM, "https://cyclonedx.org/bom/v1.4": attest.EvidenceSBOM,
		"https://openvex.dev/ns": attest.EvidenceVEX, "https://openvex.dev/ns/v0.2.0": attest.EvidenceVEX, "https://slsa.dev/provenance/v1": attest.EvidenceProvenance,
		"https://in-toto.io/attestation/vulns/v0.1": attest.EvidenceScan, "https://in-toto.io/attestation/test-result/v0.1": attest.EvidenceTest,
		attest.PredicateSignature: "", "https://spdx.dev/Document/vX": "", "https://spdx.dev/Documents": "", "https://spdx.dev/Document/v": "",
		"https://in-toto.io/attestation/vulns/v0.2/v1": "", "https://cosign.sigstore.dev/attestation/v1": "", "": "",
	} {
		if got := attest.EvidenceKindOf(predicateType); got != want || attest.IsEvidence(predicateType) != (want != "") {
			t.Errorf("%s is %q, want %q", predicateType, got, want)
		}
	}
	if _, err := attest.ReadEvidence("https://spdx.dev/Document", []byte(trivyReport)); !errors.Is(err, attest.ErrEvidence) {
		t.Errorf("a scan is read as an SBOM: %v", err)
	}
	if _, err := attest.ReadEvidence(attest.PredicateSignature, []byte("{}")); !errors.Is(err, attest.ErrEvidence) {
		t.Errorf("a signature is evidence: %v", err)
	}
}

func TestNormalSeverity(t *testing.T) {
	for word, want := range map[string]attest.Severity{
		"CRITICAL": attest.SeverityCritical, " High ": attest.SeverityHigh, "moderate": attest.SeverityMedium, "Info": attest.SeverityNone, //nolint:gocritic // mapKey: spaces around a word are passed over
		"Negligible": attest.SeverityNegligible, "": attest.SeverityUnknown, "7.5": attest.SeverityUnknown, "severe": attest.SeverityUnknown,
	} {
		if got := attest.NormalSeverity(word); got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
}
