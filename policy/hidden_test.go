// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// TestFailedScanHidesNothing: a newer report that shows nothing takes nothing away from what its tool has found before, while another tool's
// report makes the evidence enough.
func TestFailedScanHidesNothing(t *testing.T) {
	p := parse(t, gated(fullGate))
	bad := scanOf(func(d *policy.Document) {
		d.At, d.LogIndex, d.Bundle, d.Run = judgedAt.Add(-2*time.Hour), 5, "sha256:bad", "run1"
		d.Scan.Tool, d.Scan.FinishedAt = "grype", d.At
	}, finding("CVE-2026-7", "critical"))
	for name, change := range map[string]func(*policy.Document){
		"it failed":                 func(d *policy.Document) { d.Scan.Nothing = "a run was not successful" },
		"it does not say when":      func(d *policy.Document) { d.Scan.FinishedAt = time.Time{} },
		"it is dated after its log": func(d *policy.Document) { d.Scan.FinishedAt = d.At.Add(30 * time.Minute) },
	} {
		for _, run := range []string{"", "run2"} {
			newer := scanOf(func(d *policy.Document) {
				d.Scan.Tool, d.LogIndex, d.Bundle, d.Run = "grype", 6, "sha256:newer", run
				change(d)
			})
			if _, granted := decideOn(p, replaced(scanOf(nil), bad, newer)).Grant(); granted {
				t.Errorf("%s (run %q): what grype has found is hidden", name, run)
			}
			sieve := policy.NewSieve(p.Needs(request()), judgedAt)
			for _, d := range replaced(scanOf(nil), newer, with2(bad, func(d *policy.Document) { d.Run = "" })) {
				sieve.Add(d)
			}
			if _, granted := decideOn(p, sieve.Documents()).Grant(); granted {
				t.Errorf("%s (run %q): the sieve hides what grype has found", name, run)
			}
		}
	}
	// A newer one that did look makes it good.
	repaired := scanOf(func(d *policy.Document) { d.Scan.Tool, d.Bundle, d.Run = "grype", "sha256:newer", "run2" })
	if _, granted := decideOn(p, replaced(scanOf(nil), bad, repaired)).Grant(); !granted {
		t.Error("a good newer report does not count")
	}
}
