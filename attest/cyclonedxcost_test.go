// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestCycloneDXCost: what a vulnerability says of itself is read once, not again for each component that it affects.
func TestCycloneDXCost(t *testing.T) {
	const ratings, affects = 1500, 2500
	list := func(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	file := `{"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [{"id": "CVE-2026-1", "ratings": [` + list(`{"severity":"low"}`, ratings) +
		`], "affects": [` + list(`{"ref":"a"}`, affects) + `]}]}`
	var d attest.Document
	var err error
	n := allocated(func() { d, err = attest.ReadDocument("f", []byte(file)) })
	if err != nil || len(d.Evidence.Scan.Findings) != affects || cap(d.Evidence.Scan.Findings[affects-1].Ratings) > 64 {
		t.Fatal(d.Evidence.Scan, err)
	}
	// The predicate has 32 of the ratings in each finding.
	if most := 16 * uint64(len(d.Predicate)); n > most {
		t.Errorf("%d bytes allocated for a document of %d and a predicate of %d, at most %d are right", n, len(file), len(d.Predicate), most)
	}
}
