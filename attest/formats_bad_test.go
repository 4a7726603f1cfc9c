// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestBadReports: what is wrong with a report is said with file, format, place
// and what belongs there, and is never an empty result.
func TestBadReports(t *testing.T) {
	// change makes a bad report of a good one.
	change := func(file string, pairs ...string) string {
		t.Helper()
		changed := strings.NewReplacer(pairs...).Replace(file)
		if changed == file {
			t.Fatalf("nothing to change in %.80s", file)
		}
		return changed
	}
	xml := func(inner string) string {
		return `<bom xmlns="http://cyclonedx.org/schema/bom/1.5">` + inner + `</bom>`
	}
	for _, tc := range []struct{ want, file, says string }{
		// Text.
		{"", "\xef\xbb\xbf" + trivyReport, "byte 0: begins with a byte order mark (hint: write the file as UTF-8"},
		{"", "\xff\xfe{\x00", "byte 0: is UTF-16"},
		{"", "\x1f\x8b\x08", "byte 0: is compressed by gzip"},
		{"", " \n\t", "empty (hint"},
		{"", "BZh91AY", "byte 0: is compressed by bzip2 (hint: unpack it first)"},
		{"", "\xfd7zXZ\x00", "byte 0: is compressed by xz"},
		{"", "\x28\xb5\x2f\xfd\x00", "byte 0: is compressed by zstd"},
		{"sbom", "PK\x03\x04x", "byte 0: is a zip archive (hint: unpack it"},
		{"", "{\x00\"\x00", "byte 0: is UTF-16 without a byte order mark"},
		{"", "\x00{\x00\"", "byte 0: is UTF-16 without a byte order mark"},
		{"", "# a report\nname: x\n", "byte 0: begins with '#', want a JSON object or list, XML, or SPDX tag-value"},
		{"sbom", "hello", "byte 0: begins with 'h', want a JSON object or list"},
		{"", "\x7fELF", `byte 0: begins with '\x7f', want`},
		{"", trivyReport + "\n" + trivyReport, "data after the document (hint: one document in each file; of JSON lines, hand in each)"},
		{"sbom", spdxDocument + "\n{}", "data after the document (hint: one document"},
		{"", "<!-- a --><html><body>Sign in</body></html>", "xml: line 1: is a web page, want a document (hint: whoever downloaded it"},
		{"", trivyReport + "\x00", "data after the document"},
		{"", change(trivyReport, "openssl", "open\xffssl"), "$.Results[0].Vulnerabilities[0].PkgName (line 5, byte "},
		{"", change(trivyReport, "openssl", "open\x00ssl"), "control character 0x00 in a string"},
		{"", trivyReport[:len(trivyReport)/2], "unexpected end of the document"},
		{"", change(trivyReport, `"SchemaVersion": 2`, `"SchemaVersion": 2, "Results": []`), `member "Results" appears twice`},
		{"", change(sarifSAST, `"level": "error"`, `"level": "error", "LEVEL": "note"`), `member "LEVEL" appears twice`},
		// Wrong kinds.
		{"scan", change(cdxScan, `"vulnerabilities"`, `"others"`), "cyclonedx: $.vulnerabilities: missing: an SBOM without that list is neither a scan nor VEX, and not clean"},
		{"scan", spdxDocument, "spdx: is a document of kind sbom, not \"scan\""},
		{"sbom", trivyReport, "trivy: is a document of kind scan, not \"sbom\""},
		{"test", hadolintReport, "hadolint: is a document of kind check, not \"test\""},
		{"grype", trivyReport, "is trivy, not grype"},
		{"sarif", "[]", "$: an empty list, which says nothing of who wrote it"},
		{"frobnicate", trivyReport, `no kind or format of evidence is called "frobnicate" (kinds: scan, sbom, vex, check, test, provenance, chart-images; formats: cosign-vuln`},
		// Scans.
		{"", `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [null, 3]}`, "trivy: $.Results[0]: found null, want an object"},
		{"", `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "secret", "Secrets": [{"Match": "x"}]}]}`, "trivy: $.Results[0].Secrets[0]: a finding without an id"},
		{"", `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "config", "MisconfSummary": {"Successes": -1}}]}`, "trivy: $.Results[0].MisconfSummary.Successes: -1 checks passed"},
		{"", `{"version": "2.1.0", "runs": []}`, "sarif: $.runs: missing"},
		{"", `{"version": "2.0.0", "runs": []}`, `sarif: $.version: "2.0.0", want 2.1.0`},
		{"", `{"version": "2.1.0", "runs": [{"results": []}]}`, "sarif: $.runs[0].tool.driver.name: missing"},
		{"", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy"}}, "results": null}]}`, "sarif: nothing was scanned: a run has no results"},
		{"", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy"}}, "results": [], "invocations": [{"executionSuccessful": false}]}]}`, "nothing was scanned: a run was not successful"},
		{"", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"ruleIndex": 1.5}]}]}`, "sarif: $.runs[0].results[0].ruleIndex: 1.5 is not a whole number"},
		{"", `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"message": {}}]}]}`, "sarif: $.runs[0].results[0]: a finding without an id"},
		{"scan", sarifSAST, `sarif: $.runs[0].tool.driver.name: "codeql" is not known to look for vulnerabilities`},
		{"", change(clairReport, "sha256:"+bb, "sha256:bb"), "clair: $.manifest_hash: not a digest"},
		{"", change(clairReport, `"1": ["10", "11"]`, `"1": ["12"]`), `clair: $.package_vulnerabilities["1"]: vulnerability "12" is not in vulnerabilities`},
		{"", `{"manifest_hash": "sha256:` + bb + `", "packages": {}, "package_vulnerabilities": {}}`, "clair: nothing was scanned: the report lists no package"},
		{"", `{"manifest_hash": "sha256:` + bb + `", "packages": {"1": {"name": "a"}}, "package_vulnerabilities": null}`, "clair: $.package_vulnerabilities: missing"},
		{"", `{"ok": false, "error": "no authentication", "path": "/"}`, "snyk: $.error: the scan failed"},
		{"", `{"ok": true, "packageManager": "npm", "vulnerabilities": null}`, "snyk: $.vulnerabilities: missing"},
		{"", `{"ok": true, "packageManager": "npm", "dependencyCount": 0, "vulnerabilities": []}`, "snyk: nothing was scanned: no dependency was looked at"},
		{"", `[{"issues": [], "issuesData": {}, "vulnerabilities": [], "dependencyCount": 0}]`, "snyk: nothing was scanned: no dependency was looked at"},
		{"", `{"ok": true, "packageManager": "npm", "dependencyCount": -5, "vulnerabilities": []}`, "snyk: $.dependencyCount: -5 is no number of dependencies"},
		{"", `[{"ok": true, "dependencyCount": 9000000000000000000, "vulnerabilities": []}]`, "snyk: $[0].dependencyCount: 9000000000000000000 is no number of dependencies"},
		{"", `{"ok": true, "dependencyCount": 1, "vulnerabilities": [], "applications": [{"dependencyCount": -1, "vulnerabilities": []}]}`, "snyk: $.applications[0].dependencyCount: -1 is no number"},
		{"", `[{"issues": [], "issuesData": {}, "vulnerabilities": [], "dependencyCount": -1}]`, "snyk: $[0].dependencyCount: -1 is no number of dependencies"},
		{"", `[{"issues": null, "issuesData": {}}]`, "snyk: $[0].issues: missing"},
		{"", `[{"issues": [], "issuesData": null}]`, "snyk: $[0].issuesData: missing"},
		{"", `{"issues": [{"issueId": "x"}], "issuesData": {}}`, `snyk: $.issues[0].issueId: "x" is not in issuesData`},
		{"", `{"issues": {}, "issuesData": {}}`, "snyk: $.issues: want a list"},
		{"", `{"issues": [], "issuesData": {"x": 3}}`, "snyk: $.issuesData"},
		{"", change(gitlabReport, "container_scanning", "license_scanning"), `gitlab: $.scan.type: "license_scanning", want container_scanning`},
		{"", change(gitlabReport, `"success"`, `"failure"`), `gitlab: nothing was scanned: the scan's status is "failure"`},
		{"", change(gitlabReport, `2026-11-30T10:00:00`, `today`), `gitlab: $.scan.end_time: "today" is not a time`},
		// Checks.
		{"", `{"summary": {"fatal": 1}, "details": []}`, "dockle: $.summary: want the counts"},
		{"", `{"summary": {"fatal": 1, "warn": 0, "pass": 0}, "details": []}`, "dockle: $.summary.fatal: 1, and the details have 0"},
		{"", change(kubebenchReport, `"FAIL"`, `"MAYBE"`), `kube-bench: $.Controls[0].tests[0].results[1].status: "MAYBE", want PASS, FAIL, WARN or INFO`},
		// SBOMs.
		{"", change(cdxScan, `"1.4"`, `"2.0"`), `cyclonedx: $.specVersion: "2.0", want 1.2 to 1.7`},
		{"", change(cdxScan, `"name": "libssl"`, `"title": "libssl"`), "cyclonedx: $.components[0].components[0].name: a package without a name"},
		{"", change(cdxScan, `"specVersion"`, `"spdxVersion": "SPDX-2.3", "specVersion"`), "spdx: $: the members of several formats: it could be read in two ways"},
		{"", change(spdx3, `"3.0.1"`, `"4.0.0"`), `spdx3: $.@graph: want a CreationInfo with specVersion 3.0, found "4.0.0"`},
		{"", change(syftReport, `"artifacts"`, `"artifacts": 1, "others"`), "syft: $.artifacts: found a number, want a list"},
		{"", change(cdxVEX, `"in_triage"`, `"maybe"`), `cyclonedx: $.vulnerabilities[4].analysis.state: "maybe", want resolved`},
		{"", change(tagValue, "SPDX-2.3", "SPDX-9"), `spdx-tag-value: line 2: "SPDX-9", want SPDX-2.2 or SPDX-2.3`},
		{"", change(tagValue, "</text>", ""), "spdx-tag-value: line 7: a <text> that does not end"},
		{"", change(tagValue, "DataLicense: CC0-1.0", "SPDXVersion: SPDX-2.2"), "spdx-tag-value: line 3: SPDXVersion appears twice"},
		{"", change(tagValue, "PackageName: openssl", "PackageName:"), "spdx-tag-value: line 14: a package without a name"},
		{"", change(tagValue, "FileName: ./a", "no tag"), "spdx-tag-value: line 17: want Tag: value"},
		{"", change(tagValue, "openssl", "a\xffb"), "spdx-tag-value: line 14: invalid UTF-8"},
		// XML.
		{"", `<!DOCTYPE bom [<!ENTITY a "b">]>` + xml(""), "xml: line 1: document types and entities are not read"},
		{"", change(cdxXML, "<components>", "<!DOCTYPE x><components>"), "cyclonedx-xml: line 5: document types and entities are not read"},
		{"", xml("<components><component><name>&b;</name></component></components>"), "cyclonedx-xml: line 1: XML syntax error on line 1: invalid character entity &b;"},
		{"", xml("<components/><components/>"), "cyclonedx-xml: line 1: components appears twice"},
		{"", xml(""), "cyclonedx-xml: components: missing"},
		{"", xml("<components><component/></components>"), "cyclonedx-xml: line 1: a package without a name"},
		{"", change(cdxXML, "bom/1.5", "bom/9.9"), `cyclonedx-xml: line 2: the document is a bom of`},
		{"", xml("<components>" + strings.Repeat("<component>", 40)), "cyclonedx-xml: line 1: nested deeper than 32"},
		{"", xml(`<components a="1" a="2"/>`), `cyclonedx-xml: line 1: attribute "a" appears twice`},
		{"", `<testsuite ` + strings.Repeat(`x:a="1" `, 300) + `/>`, "xml: line 1: more than 256 attributes"},
		{"", `<testsuite a="` + strings.Repeat("a", 2<<20) + `"/>`, "xml: line 1: a tag, text or comment of more than 1048576 bytes"},
		{"", xml("<components/>") + "<x/>", "cyclonedx-xml: line 1: data after the document"},
		{"", change(cdxXML, "UTF-8", "UTF-16"), "xml: line 1: "},
		{"", "<testsuite><testcase name=\"a\xff\"/></testsuite>", "invalid UTF-8"},
		{"", "<testsuite><testcase name=\"a\x00\"/></testsuite>", "illegal character code"},
		{"", "<testsuite><testcase><testcase/></testcase></testsuite>", "junit: line 1: a test case in a test case"},
	} {
		_, err := attest.ReadDocumentAs(tc.want, "report", []byte(tc.file))
		var wrong *attest.FormatError
		if !errors.As(err, &wrong) || !errors.Is(err, attest.ErrEvidence) || !strings.HasPrefix(err.Error(), "report: ") || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%.90s as %s:\n     %v\nwant %s", tc.file, tc.want, err, tc.says)
		}
	}
}

// TestLargeSBOM: components without end keep nothing in memory.
func TestLargeSBOM(t *testing.T) {
	for name, parts := range map[string]struct {
		size                       int
		head, one, separator, tail string
	}{
		"cyclonedx": {48 << 20, `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [`,
			`{"type": "library", "bom-ref": "pkg:npm/a@1", "name": "a", "version": "1", "description": "` + strings.Repeat("word ", 50) + `", "purl": "pkg:npm/a@1"}`, ",", `]}`},
		"xml": {8 << 20, `<bom xmlns="http://cyclonedx.org/schema/bom/1.6"><components>`,
			`<component type="library"><name>a</name><description>` + strings.Repeat("word ", 100) + `</description><purl>pkg:npm/a@1</purl></component>`, "", `</components></bom>`},
		"tag-value": {8 << 20, "SPDXVersion: SPDX-2.3\n", "PackageName: a\nExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\nPackageComment: <text>" + strings.Repeat("word\n", 50) + "</text>", "\n", "\n"},
	} {
		n := parts.size / len(parts.one)
		components := &manyTimes{text: parts.one, separator: parts.separator, left: n, every: n / 5}
		source := io.MultiReader(strings.NewReader(parts.head), components, strings.NewReader(parts.tail))
		before := liveHeap()
		d, err := attest.ReadFrom("f", "sbom", source, attest.MaxStreamBytes)
		if err != nil || d.Evidence.SBOM.Packages != n || d.Evidence.SBOM.PURLs != n {
			t.Errorf("%s: %+v, %v", name, d.Evidence.SBOM, err)
		}
		if components.most > before+4<<20 {
			t.Errorf("%s: %d KiB are kept of %d MiB", name, (components.most-before)>>10, parts.size>>20)
		}
	}
	endless := io.MultiReader(strings.NewReader(`{"spdxVersion": "SPDX-2.3", "packages": [`), &manyTimes{text: strings.Repeat(" ", 1<<16), left: 1 << 20})
	if _, err := attest.ReadFrom("f", "sbom", endless, 1<<20); !errors.Is(err, attest.ErrTooLarge) {
		t.Error(err)
	}
}

// manyTimes is a text many times over; every so often it looks at what its
// reader keeps.
type manyTimes struct {
	text, separator, rest string
	left, every           int
	most                  uint64
}

func (r *manyTimes) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.rest = r.text
		if r.left > 0 {
			r.rest += r.separator
		}
		if r.every > 0 && r.left%r.every == 0 {
			r.most = max(r.most, liveHeap())
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// liveHeap is what is reachable, bytes.
func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A list of empty findings costs what was read of it.
func TestBombs(t *testing.T) {
	for name, file := range map[string]string{
		"members":  `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{` + manyMembers(100_002) + `}]}`,
		"findings": `[` + strings.Repeat(`{"code":"a","line":1,"file":"f","level":"info","message":"m"},`, 100_001) + `{}]`,
		"depth":    `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": ` + strings.Repeat(`[{"name": "a", "components": `, 40) + `[]` + strings.Repeat(`}]`, 40) + `}`,
	} {
		if _, err := attest.ReadDocument("f", []byte(file)); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func manyMembers(n int) string {
	var s strings.Builder
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
		}
		s.WriteString(`"`)
		for ; i > 0; i /= 26 {
			s.WriteByte(byte('a' + i%26))
		}
		s.WriteString(`":0`)
	}
	return s.String()
}
