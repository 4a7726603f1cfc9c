// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInspectDetails: what is not evaluated, what is computed, and what a report
// counts as is said before anything is sent.
func TestInspectDetails(t *testing.T) {
	for name, tc := range map[string]struct {
		file         string
		notes, gates []string
		unsaid       string // to gates
		computed     int
	}{
		"ranges": {
			file: `{"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [{"id": "CVE-2026-1", "analysis": {"state": "not_affected"}, "affects": [
				{"ref": "pkg:deb/debian/a", "versions": [{"range": "vers:deb/<2"}, {"range": "vers:deb/>2|<1"}, {"range": "vers:npm/<1"}, {"range": "vers:conan/1"}]}, {"ref": "x"}]}]}`,
			notes: []string{
				"3 ranges of versions cannot be evaluated: they excuse nothing, and take excuses back of all versions; the first: vers:deb/>2|<1: version 1 is before 2",
				"1 products have names that only their author can resolve",
			},
		},
		"computed": {
			file: `{"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [{"id": "CVE-2026-1", "ratings": [{"method": "CVSSv4", "vector": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}]},
				{"id": "CVE-2026-2", "ratings": [{"severity": "low", "method": "CVSSv31", "vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}]}`,
			gates: []string{"2 findings: 1 critical, 1 low"}, computed: 1,
		},
		"several kinds": {
			file:  `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "config"}, {"Class": "secret", "Secrets": [{"RuleID": "a", "Severity": "HIGH"}]}]}`,
			gates: []string{"a report of: secrets, config"},
		},
		"a scan and more": {
			file:  `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "os-pkgs"}, {"Class": "license"}]}`,
			gates: []string{"a report of: licenses, too"},
		},
		"a check without a time": {
			file:  `[{"RuleID": "a", "Description": "d", "StartLine": 4, "File": "f"}]`,
			gates: []string{"a check by gitleaks: FAILED, 1 finding", "a report of: secrets", "no time of the run: refused where reports[].maxAge is set"},
		},
		"a check of nothing": {
			file:  `[{"line": 1, "code": "DL1000", "message": "unexpected", "column": 1, "file": "Dockerfile", "level": "error"}]`,
			gates: []string{"nothing was checked: refused where a report is required"},
		},
		"images of a chart": {
			file: `{"chart": {"name": "app", "version": "1", "archive": ""}, "renders": [{"values": "defaults", "manifests": 2}],
				"images": [{"reference": "r.example/a:1", "signed": true}, {"reference": "r.example/b:1", "problem": "no signature"}, {"reference": "r.example/c:1"}]}`,
			gates: []string{"images of chart app: 3, of which 1 is signed; chartImages looks at what the service has found itself"},
		},
		"a check with a time": {
			file:  `{"SchemaVersion": 2, "ArtifactName": "a", "CreatedAt": "2026-11-30T10:00:00Z", "Results": [{"Class": "config"}]}`,
			gates: []string{"a report of: config"}, unsaid: "maxAge",
		},
	} {
		path := filepath.Join(t.TempDir(), "file.json")
		if err := os.WriteFile(path, []byte(tc.file), 0o600); err != nil {
			t.Fatal(err)
		}
		i := inspectOne(t, path)
		says := func(list []string, want string) bool {
			return slices.ContainsFunc(list, func(said string) bool { return strings.Contains(said, want) })
		}
		for _, want := range tc.notes {
			if !says(i.Notes, want) {
				t.Errorf("%s: notes %q, want %q", name, i.Notes, want)
			}
		}
		for _, want := range tc.gates {
			if !says(i.Gate, want) {
				t.Errorf("%s: gate %q, want %q", name, i.Gate, want)
			}
		}
		if tc.unsaid != "" && says(i.Gate, tc.unsaid) {
			t.Errorf("%s: gate %q", name, i.Gate)
		}
		if i.Findings != nil && i.Findings.Computed != tc.computed {
			t.Errorf("%s: %d computed", name, i.Findings.Computed)
		}
	}
}
