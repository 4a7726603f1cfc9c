// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"
	"time"
)

const costDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// costExcuses are so many statements, each about the vulnerability that name makes of its number.
func costExcuses(statements int, name func(int) string) *excuses {
	g := &gate{authors: []vexAuthor{{exact: "a"}}}
	d := Document{Kind: EvidenceVEX, Digest: costDigest, Author: "a", At: time.Unix(1, 0)}
	for i := range statements {
		d.VEX = append(d.VEX, VEXStatement{Vulnerability: name(i), Status: "fixed", Products: []VEXProduct{{IDs: []string{"pkg:oci/app"}, Subcomponents: []string{"pkg:deb/debian/openssl"}}}})
	}
	return g.newExcuses(gateSubject{repository: "acme/app", digest: costDigest}, []Document{d}, time.Unix(2, 0))
}

// Findings times statements is never walked: a finding meets the statements about its own vulnerability.
func TestExcusesAreFoundByVulnerability(t *testing.T) {
	x := costExcuses(500, func(i int) string { return fmt.Sprintf("CVE-2026-%d", i) })
	excused := 0
	for i := range 5000 {
		f := Finding{ID: fmt.Sprintf("CVE-2026-%d", i), Aliases: []string{fmt.Sprintf("GHSA-%d", i)}, PURL: "pkg:deb/debian/openssl@3?arch=amd64"}
		if x.of(&f, costDigest) != "" {
			excused++
		}
	}
	if excused != 500 || x.comparisons > 4*500 {
		t.Errorf("%d excused by %d comparisons", excused, x.comparisons)
	}
	// What no statement is about costs no memory.
	f := Finding{ID: "CVE-2027-1", Aliases: []string{"GHSA-2027-1", "DSA-1"}, PURL: "pkg:deb/debian/openssl@3?arch=amd64"}
	if n := testing.AllocsPerRun(100, func() { x.of(&f, costDigest) }); n > 0 {
		t.Errorf("%g allocations for a finding that nobody speaks of", n)
	}
}

// A flood of findings and statements about one vulnerability ends in findings that are not excused, not in hours of work.
func TestExcusesAreBounded(t *testing.T) {
	x := costExcuses(1000, func(int) string { return "CVE-2026-1" })
	excused, last := 0, true
	for range 10_000 {
		f := Finding{ID: "CVE-2026-1", PURL: "pkg:deb/debian/openssl@3"}
		if last = x.of(&f, costDigest) != ""; last {
			excused++
		}
	}
	if excused == 0 || excused*1000 > maxComparisons || last {
		t.Errorf("%d of 10000 excused, the last is: %t", excused, last)
	}
}

// One statement that names a hundred thousand products is as much work as that many statements.
func TestProductsAreBounded(t *testing.T) {
	g := &gate{authors: []vexAuthor{{exact: "a"}}}
	s := VEXStatement{Vulnerability: "CVE-2026-1", Status: "fixed"}
	for i := range 100_000 {
		s.Products = append(s.Products, VEXProduct{IDs: []string{fmt.Sprintf("pkg:npm/p%d", i)}})
	}
	x := g.newExcuses(gateSubject{repository: "acme/app", digest: costDigest}, []Document{{Kind: EvidenceVEX, Digest: costDigest, Author: "a", At: time.Unix(1, 0), VEX: []VEXStatement{s}}}, time.Unix(2, 0))
	excused := 0
	for range 1000 {
		f := Finding{ID: "CVE-2026-1", PURL: "pkg:npm/p99999@1"}
		if x.of(&f, costDigest) != "" {
			excused++
		}
	}
	if excused == 0 || excused*100_000 > maxComparisons {
		t.Errorf("%d of 1000 excused", excused)
	}
}

// Reading versions and comparing them costs more than names do: so many ranges are held against so many findings, and no more.
func TestRangesAreBounded(t *testing.T) {
	g := &gate{authors: []vexAuthor{{exact: "a"}}}
	many := "vers:deb/"
	for i := range 200 {
		many += fmt.Sprintf("%d|", i)
	}
	s := VEXStatement{Vulnerability: "CVE-2026-1", Status: "fixed", Products: []VEXProduct{{IDs: []string{"pkg:deb/debian/a"}, Versions: []string{many + ">=200|<300"}}}}
	x := g.newExcuses(gateSubject{repository: "acme/app", digest: costDigest}, []Document{{Kind: EvidenceVEX, Digest: costDigest, Author: "a", At: time.Unix(1, 0), VEX: []VEXStatement{s}}}, time.Unix(2, 0))
	excused := 0
	for range 3000 {
		f := Finding{ID: "CVE-2026-1", PURL: "pkg:deb/debian/a@250"}
		if x.of(&f, costDigest) != "" {
			excused++
		}
	}
	if excused == 0 || excused*200*versionCost > maxComparisons {
		t.Errorf("%d of 3000 excused", excused)
	}
}
