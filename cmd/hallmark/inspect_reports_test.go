// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// counts are what a report says, by name.
type counts map[string]int

// recorded are reports of real tools, which are not part of the repository:
// HALLMARK_REPORTS names the folder that has them. Own samples of the same
// shapes are in package attest.
var recorded = map[string]struct {
	kind, format, state, named string
	packages, purls            int
	severities, said, fixes    counts
	statuses                   counts
	check                      func(t *testing.T, i inspected)
}{
	"trivy-alpine39-os.json": {
		kind: "scan", format: "trivy", state: "findings", severities: counts{"critical": 2, "medium": 4}, said: counts{"CRITICAL": 2, "MEDIUM": 4},
		fixes: counts{"fixed": 6},
	},
	"trivy-npm-lang.json":              {kind: "scan", format: "trivy", state: "findings", packages: 13, severities: counts{"medium": 1}, said: counts{"MEDIUM": 1}, fixes: counts{"fixed": 1}},
	"trivy-alpine39-skipped-none.json": {kind: "scan", format: "trivy", state: "nothing_scanned"},
	"trivy-alpine314-clean.json":       {kind: "scan", format: "trivy", state: "clean"},
	"trivy-debian10-statuses.json": {
		kind: "scan", format: "trivy", state: "findings", severities: counts{"low": 8}, said: counts{"LOW": 8},
		fixes: counts{"fixed": 1, "not_fixed": 1, "wont_fix": 2, "deferred": 1, "unknown": 3},
	},
	"trivy-gomod-vex.json": {kind: "scan", format: "trivy", state: "findings", severities: counts{"unknown": 4}, said: counts{"UNKNOWN": 4}, fixes: counts{"fixed": 4}},
	"trivy-alpine310.sarif.json": {
		kind: "scan", format: "sarif", state: "findings", severities: counts{"medium": 4}, said: counts{"5.3": 4}, fixes: counts{"unknown": 4},
	},
	"grype-image-all-fields.json": {
		kind: "scan", format: "grype", state: "findings", severities: counts{"critical": 2, "high": 3, "negligible": 1},
		said: counts{"Critical": 2, "High": 3, "Negligible": 1}, fixes: counts{"fixed": 2, "wont_fix": 3, "not_fixed": 1},
		check: func(t *testing.T, i inspected) {
			if i.Times.Database == nil || i.Times.Database.Format("2006-01-02") != "2021-12-24" {
				t.Errorf("database of %v", i.Times.Database)
			}
		},
	},
	"grype-busybox-epss.json": {
		kind: "scan", format: "grype", state: "findings", named: "sha256:", severities: counts{"critical": 1, "high": 10, "medium": 2, "low": 2},
		said: counts{"Critical": 1, "High": 10, "Medium": 2, "Low": 2}, fixes: counts{"unknown": 14, "fixed": 1},
	},
	"grype-none.json":                {kind: "scan", format: "grype", state: "clean"},
	"cyclonedx-1.4-laravel.json":     {kind: "sbom", format: "cyclonedx", packages: 62, purls: 62},
	"cyclonedx-1.4-alpine-syft.json": {kind: "sbom", format: "cyclonedx", packages: 15, purls: 14, named: "sha256:cbaa390ec61abd889dfa5146a411c11717c19ef9e5e18458dbdc06439076ffe7"},
	"cyclonedx-vex-cisa-case8.json":  {kind: "vex", format: "cyclonedx", statuses: counts{"affected": 2, "not_affected": 4, "fixed": 2}},
	"spdx-2.2-alpine-syft.json":      {kind: "sbom", format: "spdx", packages: 14, purls: 14},
	"spdx-2.3-maven-enriched.json":   {kind: "sbom", format: "spdx", packages: 6},
	"openvex-0.2.0-alpine.json":      {kind: "vex", format: "openvex", statuses: counts{"fixed": 3, "not_affected": 2}},
	"openvex-trivy-images.json":      {kind: "vex", format: "openvex", statuses: counts{"not_affected": 7}},
	"intoto-v0.1-slsa-kubectl.json": {
		kind: "provenance", format: "slsa-provenance-0.2",
		check: func(t *testing.T, i inspected) {
			if i.Carried == nil || i.Carried.SubjectCount != 75 || i.Carried.Type != "https://in-toto.io/Statement/v0.1" || i.Provenance.BuildType != "" {
				t.Errorf("carried %+v, %+v", i.Carried, i.Provenance)
			}
		},
	},
	"intoto-v1-vulns-v0.2.json": {
		kind: "scan", format: "in-toto-vulns", state: "findings", severities: counts{"unknown": 7, "critical": 1}, said: counts{"": 8}, fixes: counts{"unknown": 8},
		check: func(t *testing.T, i inspected) { // its subject has no digest
			if i.Carried == nil || !strings.Contains(i.Carried.Problem, "digest") {
				t.Errorf("carried %+v", i.Carried)
			}
		},
	},
	"dsse-cyclonedx-sbom.intoto.jsonl": {
		kind: "sbom", format: "cyclonedx", packages: -1, purls: -1,
		check: func(t *testing.T, i inspected) {
			if i.Carried == nil || i.Carried.In != "dsse envelope" || i.Carried.Verified || i.Carried.Signatures != 1 || i.Packages == 0 || i.FormatIs != "1.4" {
				t.Errorf("carried %+v, %d packages", i.Carried, i.Packages)
			}
		},
	},
	"hadolint-many.json": {kind: "check", format: "hadolint", state: "findings", severities: counts{"medium": 9, "low": 3}, said: counts{"warning": 9, "info": 3}, fixes: counts{}},
	"dockle-many.json": {
		kind: "check", format: "dockle", state: "findings", severities: counts{"medium": 1, "low": 2, "unknown": 1}, said: counts{"WARN": 1, "INFO": 2, "IGNORE": 1}, fixes: counts{},
		check: func(t *testing.T, i inspected) {
			if i.Findings.Passed != 12 || i.Findings.Suppressed != 1 || i.Result != "WARNED" {
				t.Errorf("%+v, %s", i.Findings, i.Result)
			}
		},
	},
	"snyk-one-vuln.json":                 {kind: "scan", format: "snyk", state: "findings", packages: 5, severities: counts{"medium": 1}, said: counts{"medium": 1}, fixes: counts{"fixed": 1}},
	"gitlab-container-scanning-v15.json": {kind: "scan", format: "gitlab", state: "findings", severities: counts{"high": 4, "medium": 1}, said: counts{"High": 4, "Medium": 1}, fixes: counts{"unknown": 5}},
}

// TestRecordedReports: `hallmark inspect` says of the reports of real tools
// what is in them.
func TestRecordedReports(t *testing.T) {
	folder := os.Getenv("HALLMARK_REPORTS")
	if folder == "" {
		t.Skip("HALLMARK_REPORTS names no folder with recorded reports: the samples of package attest have the same shapes")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.json*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no reports in %s: %v", folder, err)
	}
	for _, path := range files {
		if _, known := recorded[filepath.Base(path)]; !known {
			t.Errorf("%s: this test does not say what is in it", filepath.Base(path))
		}
	}
	for name, want := range recorded {
		t.Run(name, func(t *testing.T) {
			i := inspectOne(t, filepath.Join(folder, name))
			if i.Kind != want.kind || i.Format != want.format || string(i.State) != want.state {
				t.Errorf("%s, %s, %s, want %s, %s, %s", i.Kind, i.Format, i.State, want.kind, want.format, want.state)
			}
			if want.packages >= 0 && (i.Packages != want.packages || i.PURLs != want.purls) {
				t.Errorf("%d packages, %d purls", i.Packages, i.PURLs)
			}
			if want.named == "" && i.Named != "" || !strings.HasPrefix(i.Named, want.named) {
				t.Errorf("names %s", i.Named)
			}
			if i.Findings != nil {
				for what, pair := range map[string][2]counts{
					"severities": {i.Findings.Severities, want.severities}, "as said": {i.Findings.Said, want.said}, "fixes": {i.Findings.Fixes, want.fixes},
				} {
					if !maps.Equal(pair[0], pair[1]) {
						t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
					}
				}
			} else if want.severities != nil {
				t.Error("no findings")
			}
			if !maps.Equal(counts(i.Statuses), want.statuses) {
				t.Errorf("statuses %v, want %v", i.Statuses, want.statuses)
			}
			if want.check != nil {
				want.check(t, i)
			}
		})
	}
}

// inspectOne runs the command on one file, in both forms.
func inspectOne(t *testing.T, path string, flags ...string) inspected {
	t.Helper()
	code, words, complaints := runInspect(t, append(slices.Clone(flags), path)...)
	if code != exitYes || !strings.Contains(words, "\ngate\t") {
		t.Fatalf("exit code %d, %s%s", code, words, complaints)
	}
	code, data, complaints := runInspect(t, append(slices.Clone(flags), "-o", "json", path)...)
	var all []inspected
	if err := json.Unmarshal([]byte(data), &all); err != nil || code != exitYes || len(all) != 1 {
		t.Fatalf("exit code %d, %d documents, %v: %s", code, len(all), err, complaints)
	}
	return all[0]
}

func runInspect(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	env := environment{getenv: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: &out, stderr: &complaints}
	code = run(t.Context(), append([]string{"inspect"}, args...), env)
	return code, out.String(), complaints.String()
}
