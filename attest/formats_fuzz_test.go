// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hallmark-dev/hallmark/attest"
)

// The invariants of every reader: errors are typed and name the file; what is
// read becomes a predicate that a statement can carry, that says the same, and
// that is the same bytes every time; counts are bounded; no secret of the
// samples comes out again; an SBOM is the same however it arrives.
func checkReader(t *testing.T, want string, file []byte) {
	t.Helper()
	d, err := attest.ReadDocumentAs(want, "f", file)
	if err != nil {
		var wrong *attest.FormatError
		if !errors.As(err, &wrong) || wrong.File != "f" {
			t.Fatalf("untyped error %v", err)
		}
	}
	if err == nil && want != "" && want != string(d.Evidence.Kind) && want != d.Evidence.Format {
		t.Fatalf("read as %s (%s), wanted %s", d.Evidence.Kind, d.Evidence.Format, want)
	}
	checkStream(t, want, file, d, err)
	if err != nil {
		return
	}
	again, err := attest.ReadDocumentAs(want, "f", file)
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Fatalf("read again as %+v, %v, was %+v", again, err, d)
	}
	if scan := scanOf(d.Evidence); scan != nil {
		if len(scan.Findings) > len(file) {
			t.Fatalf("%d findings in %d bytes", len(scan.Findings), len(file))
		}
		for _, f := range scan.Findings {
			if f.ID == "" || f.Kind == "" || f.FixState == "" || f.Severity == "" || f.Score < 0 || f.Score > 10 {
				t.Fatalf("half a finding: %+v", f)
			}
		}
	}
	if d.Predicate == nil {
		return
	}
	if len(d.Predicate) > attest.MaxEvidenceBytes {
		t.Fatalf("a predicate of %d bytes, which nobody reads", len(d.Predicate))
	}
	// What VEX becomes in OpenVEX is looked at in tables: its names are spelt in
	// many ways.
	if d.Evidence.VEX != nil && !d.Embedded {
		if ev, err := attest.ReadEvidence(d.PredicateType, d.Predicate); err != nil || len(ev.VEX.Statements) != len(d.Evidence.VEX.Statements) {
			t.Fatalf("%s: %v", d.Predicate, err)
		}
		return
	}
	if problem := sameAgain(d); problem != "" {
		t.Fatal(problem)
	}
}

// checkStream holds the reader of streams against the other one.
func checkStream(t *testing.T, want string, file []byte, whole attest.Document, wholeErr error) {
	t.Helper()
	for _, r := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
		d, err := attest.ReadFrom("f", want, r, 1<<20)
		if wholeErr != nil || whole.Evidence.SBOM == nil {
			if (err == nil) != (wholeErr == nil) {
				t.Fatalf("as a stream %v, whole %v", err, wholeErr)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(d.Evidence.SBOM, whole.Evidence.SBOM) || d.Original != whole.Original {
			t.Fatalf("as a stream %+v, %v, whole %+v", d.Evidence.SBOM, err, whole.Evidence.SBOM)
		}
	}
}

// fuzzReader starts with the samples of some formats.
func fuzzReader(f *testing.F, want string, formats ...string) {
	f.Helper()
	for _, r := range reports() {
		for _, format := range formats {
			if strings.HasPrefix(r.format, format) {
				f.Add([]byte(r.file))
			}
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) { checkReader(t, want, file) })
}

func FuzzReadDocument(f *testing.F)     { fuzzReader(f, "", "") }
func FuzzTrivy(f *testing.F)            { fuzzReader(f, "trivy", "trivy") }
func FuzzGrype(f *testing.F)            { fuzzReader(f, "grype", "grype") }
func FuzzSARIF(f *testing.F)            { fuzzReader(f, "sarif", "sarif") }
func FuzzClair(f *testing.F)            { fuzzReader(f, "clair", "clair") }
func FuzzSnyk(f *testing.F)             { fuzzReader(f, "snyk", "snyk") }
func FuzzGitLab(f *testing.F)           { fuzzReader(f, "gitlab", "gitlab") }
func FuzzChecks(f *testing.F)           { fuzzReader(f, "check", "hadolint", "dockle", "kube-bench", "gitleaks") }
func FuzzVulns(f *testing.F)            { fuzzReader(f, "in-toto-vulns", "in-toto-vulns") }
func FuzzCycloneDX(f *testing.F)        { fuzzReader(f, "", "cyclonedx") }
func FuzzCycloneDXScan(f *testing.F)    { fuzzReader(f, "scan", "cyclonedx") }
func FuzzCycloneDXVEX(f *testing.F)     { fuzzReader(f, "vex", "cyclonedx") }
func FuzzSBOM(f *testing.F)             { fuzzReader(f, "sbom", "spdx", "syft", "cyclonedx") }
func FuzzTagValue(f *testing.F)         { fuzzReader(f, "spdx-tag-value", "spdx-tag-value") }
func FuzzOpenVEX(f *testing.F)          { fuzzReader(f, "openvex", "openvex") }
func FuzzJUnit(f *testing.F)            { fuzzReader(f, "junit", "junit") }
func FuzzCycloneDXXML(f *testing.F)     { fuzzReader(f, "cyclonedx-xml", "cyclonedx-xml") }
func FuzzCycloneDXXMLScan(f *testing.F) { fuzzReader(f, "scan", "cyclonedx-xml") }
func FuzzCycloneDXXMLVEX(f *testing.F)  { fuzzReader(f, "vex", "cyclonedx-xml") }

// prose is what most of a report is.
var prose = strings.Repeat("An attacker may do what they should not be able to do, by sending something. ", 20)

// largeReports have five thousand findings each, with prose around them as
// real reports have it.
func largeReports() map[string]string {
	const n = 5000
	list := func(head, one, tail string) string {
		return head + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + tail
	}
	return map[string]string{
		"trivy": list(`{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "os-pkgs", "Vulnerabilities": [`,
			`{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.1"}, "InstalledVersion": "3.0.1", "Status": "fixed", "FixedVersion": "3.0.2",
			"Severity": "HIGH", "Description": "`+prose+`", "References": ["https://example.com/a", "https://example.com/b"], "VendorSeverity": {"nvd": 3, "debian": 2},
			"CVSS": {"nvd": {"V3Vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "V3Score": 9.8}}}`, `]}]}`),
		"grype": list(`{"descriptor": {"name": "grype"}, "matches": [`,
			`{"vulnerability": {"id": "CVE-2026-1", "severity": "High", "description": "`+prose+`", "cvss": [{"version": "3.1", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "metrics": {"baseScore": 9.8}}],
			"fix": {"versions": ["3.0.2"], "state": "fixed"}}, "artifact": {"name": "openssl", "version": "3.0.1", "purl": "pkg:deb/debian/openssl@3.0.1", "locations": [{"path": "/a"}]}}`, `]}`),
		"sarif": list(`{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "rules": [{"id": "CVE-2026-0001", "properties": {"security-severity": "9.8"}}]}}, "results": [`,
			`{"ruleId": "CVE-2026-0001", "ruleIndex": 0, "message": {"text": "Package: openssl\nInstalled Version: 3.0.1\n`+prose+`"}}`, `]}]}`),
		"cyclonedx": list(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [`,
			`{"id": "CVE-2026-1", "description": "`+prose+`", "ratings": [{"source": {"name": "nvd"}, "score": 9.8, "severity": "critical", "method": "CVSSv31"}], "affects": [{"ref": "pkg:deb/debian/openssl@3.0.1"}]}`, `]}`),
	}
}

// BenchmarkReadDocument reads reports of five thousand findings and makes
// their predicates.
func BenchmarkReadDocument(b *testing.B) {
	for name, report := range largeReports() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(report)))
			b.ReportAllocs()
			for b.Loop() {
				if d, err := attest.ReadDocument("f", []byte(report)); err != nil || len(d.Evidence.Scan.Findings) != 5000 {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadFrom reads an SBOM of 50 MB as a stream.
func BenchmarkReadFrom(b *testing.B) {
	const one = `{"type": "library", "bom-ref": "pkg:npm/a@1", "name": "a", "version": "1", "licenses": [{"license": {"id": "MIT"}}], "properties": [{"name": "a", "value": "b"}], "purl": "pkg:npm/a@1"},`
	const n = 50 << 20 / len(one)
	document := `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [` + strings.TrimSuffix(strings.Repeat(one, n), ",") + `]}`
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	for b.Loop() {
		if d, err := attest.ReadFrom("f", "sbom", strings.NewReader(document), attest.MaxStreamBytes); err != nil || d.Evidence.SBOM.Packages != n {
			b.Fatal(err)
		}
	}
}
