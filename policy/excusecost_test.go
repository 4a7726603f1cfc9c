// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
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
	if excused != 500 || x.comparisons > 7*500 {
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

// Statements that name many CVEs, and findings that have many aliases, are looked up and not held against each other one by one; and what has
// many ids in common is still one statement.
func TestManyIDsAreBounded(t *testing.T) {
	ids := func(prefix string, from, n int) []string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("%s-%d", prefix, from+i))
		}
		return all
	}
	const many = 800
	shared := ids("RHSA", 0, 32)
	g := &gate{authors: []vexAuthor{{exact: "a"}}}
	d := Document{Kind: EvidenceVEX, Digest: costDigest, Author: "a", At: time.Unix(1, 0)}
	for range many { // an advisory about 32 CVEs, none of which any finding is about
		d.VEX = append(d.VEX, VEXStatement{Vulnerability: "RHSA-0", Status: "fixed", Aliases: append(ids("CVE-2025", 0, 32), shared[1:]...)})
	}
	g.reports = map[string]*reportLimits{EvidenceScan: {}}
	x := g.newExcuses(gateSubject{repository: "acme/app", digest: costDigest}, []Document{d}, time.Unix(2, 0))
	if f := (Finding{ID: shared[0], Aliases: shared[1:]}); x.of(&f, costDigest) == "" || len(x.around) != many {
		t.Errorf("%d statements for a finding that has 32 ids with each of %d in common", len(x.around), many)
	}
	scan := Document{Kind: EvidenceScan, Digest: costDigest, Author: "a", At: time.Unix(1, 0), Scan: &Scan{Tool: "trivy"}}
	for range many {
		scan.Scan.Findings = append(scan.Scan.Findings, Finding{ID: "CVE-2026-1", Aliases: append(ids("CVE-2026", 2, 31), shared...), Severity: "low"})
	}
	var view *scanView
	took := cpuTime(func() {
		view = g.newScanView([]counted{{Document: &scan, enough: true}}, g.newExcuses(gateSubject{digest: costDigest}, []Document{d}, time.Unix(2, 0)), time.Unix(2, 0))
	})
	if took > 3*time.Second {
		t.Errorf("%d findings and %d statements took %s", many, many, took)
	}
	if said := describeEvidence([]string{varScan}, map[string]any{varScan: view}, true); !strings.Contains(said, vexUnread) {
		t.Errorf("nobody is told that statements were not read: %s", said)
	}
}

// cpuTime is the processor's time that f takes, without what others take.
func cpuTime(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		const thread = 1 // RUSAGE_THREAD
		var u syscall.Rusage
		if err := syscall.Getrusage(thread, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	f()
	return used() - before
}
