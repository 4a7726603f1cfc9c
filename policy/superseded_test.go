// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

func TestSuperseded(t *testing.T) {
	scan := func(tool, version string, ago time.Duration, change ...func(*policy.Document)) policy.Document {
		return scanOf(func(d *policy.Document) {
			d.At = judgedAt.Add(-ago)
			d.Scan.Tool, d.Scan.Version, d.Scan.FinishedAt = tool, version, d.At
			for _, c := range change {
				c(d)
			}
		})
	}
	nothing := func(d *policy.Document) { d.Scan.Nothing = "no packages" }
	for name, c := range map[string]struct {
		documents []policy.Document
		want      []bool
	}{
		"none":                     {nil, []bool{}},
		"a newer one of the tool":  {[]policy.Document{scan("trivy", "1", 2*time.Hour), scan("trivy", "2", time.Hour), scan("grype", "1", 3*time.Hour)}, []bool{true, false, false}},
		"a newer one of nothing":   {[]policy.Document{scan("trivy", "1", 2*time.Hour), scan("trivy", "1", time.Hour, nothing)}, []bool{false, false}},
		"and older than what says": {[]policy.Document{scan("trivy", "1", 3*time.Hour), scan("trivy", "1", 2*time.Hour), scan("trivy", "1", time.Hour, nothing)}, []bool{true, false, false}},
		"an old report attested again": {[]policy.Document{
			scan("trivy", "1", time.Hour, func(d *policy.Document) { d.Scan.FinishedAt = judgedAt.Add(-9 * time.Hour) }), scan("trivy", "1", 2*time.Hour),
		}, []bool{true, false}},
		"of one run": {[]policy.Document{
			scan("trivy", "1", 2*time.Hour, func(d *policy.Document) { d.Run = "7" }), scan("trivy", "1", time.Hour, func(d *policy.Document) { d.Run = "7" }),
		}, []bool{false, false}},
		"about another digest": {[]policy.Document{scan("trivy", "1", 2*time.Hour, func(d *policy.Document) { d.Digest = "sha256:another" }), scan("trivy", "1", time.Hour)}, []bool{false, false}},
		"what cannot be read": {[]policy.Document{
			scan("trivy", "1", 2*time.Hour, func(d *policy.Document) { d.Problem, d.Scan = "torn", nil }), scan("trivy", "1", time.Hour),
		}, []bool{false, false}},
		"VEX": {[]policy.Document{vexBy(security, nil), vexBy(security, nil)}, []bool{false, false}},
		"an older SBOM": {[]policy.Document{
			doc(policy.EvidenceSBOM, func(d *policy.Document) { d.At = judgedAt.Add(-2 * time.Hour) }), doc(policy.EvidenceSBOM, nil),
		}, []bool{true, false}},
		"of two kinds, one still counts": {[]policy.Document{
			scan("trivy", "1", 2*time.Hour, func(d *policy.Document) { d.Also = []string{policy.EvidenceSecret} }), scan("trivy", "1", time.Hour),
		}, []bool{false, false}},
	} {
		if got := policy.Superseded(c.documents, judgedAt); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
