// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hallmark-dev/hallmark/policy"
)

// What must hold of gates whatever is attested. Documents are drawn from a small world, so that they often concern each other.

const propertyGate = `
scan:
  maxAge: 24h
  vex: [{author: "` + security + `"}, {author: "https://ci.example/team"}]
conditions:
- {name: no-critical, expression: 'evidence.scan.unexcused("high").size() == 0', message: m}`

var (
	drawSeverity = rapid.SampledFrom([]string{"low", "medium", "high", "critical", "unknown", "Horrible"})
	drawCVE      = rapid.SampledFrom([]string{"CVE-2026-1", "CVE-2026-2", "cve-2026-1", "GHSA-1"})
	drawPURL     = rapid.SampledFrom([]string{"pkg:deb/debian/openssl@3.0.1?arch=amd64", "pkg:deb/debian/zlib@1.2", ""})
	drawStatus   = rapid.SampledFrom([]string{"not_affected", "fixed", "affected", "under_investigation", "nonsense"})
	drawProduct  = rapid.SampledFrom([]policy.VEXProduct{
		{IDs: []string{"pkg:oci/app"}}, {IDs: []string{"pkg:oci/app@" + digest}, Subcomponents: []string{"pkg:deb/debian/openssl"}}, {IDs: []string{"pkg:oci/other"}},
		{IDs: []string{"pkg:deb/debian/zlib"}}, {IDs: []string{"https://acme.example/app"}}, {IDs: []string{"pkg:oci/app@" + otherImage}}, {IDs: []string{"pkg:oci/app?tag=1"}},
	})
)

func drawFinding(t *rapid.T) policy.Finding {
	f := finding(drawCVE.Draw(t, "id"), drawSeverity.Draw(t, "severity"))
	f.PURL = drawPURL.Draw(t, "purl")
	if rapid.Bool().Draw(t, "has an alias") {
		f.Aliases = []string{drawCVE.Draw(t, "alias")}
	}
	return f
}

func drawAt(t *rapid.T) time.Time {
	return judgedAt.Add(-time.Duration(rapid.IntRange(1, 5).Draw(t, "hours ago")) * time.Hour)
}

// logged gives a document a place in the log: apart sees to it that no two have the same.
func logged(t *rapid.T, d policy.Document) policy.Document {
	d.At, d.LogIndex, d.LogID = drawAt(t), int64(rapid.IntRange(0, 1<<30).Draw(t, "index")), rapid.SampledFrom([]string{"aa", "bb"}).Draw(t, "log")
	d.Bundle = fmt.Sprintf("sha256:%s%d", d.LogID, d.LogIndex)
	d.Run = rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(t, "run")
	return d
}

func drawScan(t *rapid.T) policy.Document {
	d := logged(t, scanOf(nil, rapid.SliceOfN(rapid.Custom(drawFinding), 0, 3).Draw(t, "findings")...))
	d.Scan.Tool = rapid.SampledFrom([]string{"trivy", "grype"}).Draw(t, "tool")
	d.Scan.FinishedAt = d.At.Add(-time.Duration(rapid.SampledFrom([]int{0, 0, 0, 1, 30}).Draw(t, "made hours before")) * time.Hour)
	return d
}

func drawVEX(t *rapid.T) policy.Document {
	d := logged(t, vexBy(rapid.SampledFrom([]string{security, security, "https://ci.example/team", "https://elsewhere.example"}).Draw(t, "author"), nil))
	d.VEX = nil
	for range rapid.IntRange(1, 3).Draw(t, "statements") {
		d.VEX = append(d.VEX, policy.VEXStatement{
			Vulnerability: drawCVE.Draw(t, "vulnerability"), Status: drawStatus.Draw(t, "status"), Products: rapid.SliceOfN(drawProduct, 0, 2).Draw(t, "products"), At: drawAt(t),
		})
	}
	return d
}

// drawStray makes a document that can count for nothing.
func drawStray(t *rapid.T) policy.Document {
	d := rapid.OneOf(rapid.Custom(drawScan), rapid.Custom(drawVEX)).Draw(t, "document")
	switch rapid.IntRange(0, 5).Draw(t, "what is wrong") {
	case 0:
		d.Digest = otherImage
	case 1:
		d.Problem = "unreadable"
	case 2:
		d.At = time.Time{}
	case 3:
		d.At = judgedAt.Add(time.Hour)
	case 4:
		d.Kind = "other"
	case 5:
		d.Scan, d.VEX = nil, nil
	}
	return d
}

// apart gives each document a place in the log of its own.
func apart(documents []policy.Document) {
	taken := make(map[string]bool)
	for i := range documents {
		d := &documents[i]
		for taken[d.Bundle] {
			d.LogIndex++
			d.Bundle = fmt.Sprintf("sha256:%s%d", d.LogID, d.LogIndex)
		}
		taken[d.Bundle] = true
	}
}

type world struct {
	t         *rapid.T
	policy    *policy.SigningPolicy
	documents []policy.Document
}

func (w world) allows(documents []policy.Document) bool {
	_, ok := decideOn(w.policy, documents).Grant()
	return ok
}

// forWorlds checks a property of many, and that both verdicts occurred.
func forWorlds(t *testing.T, property func(world)) {
	t.Helper()
	p := parse(t, gated(propertyGate))
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		w := world{t: t, policy: p}
		w.documents = append(rapid.SliceOfN(rapid.Custom(drawScan), 1, 3).Draw(t, "scans"), rapid.SliceOfN(rapid.Custom(drawVEX), 0, 4).Draw(t, "VEX")...)
		apart(w.documents)
		verdicts[w.allows(w.documents)]++
		property(w)
	})
	if verdicts[true] == 0 || verdicts[false] == 0 {
		t.Errorf("the worlds are one-sided: %v", verdicts)
	}
}

func TestOrderOfEvidenceDecidesNothing(t *testing.T) {
	forWorlds(t, func(w world) {
		before, after := decideOn(w.policy, w.documents), decideOn(w.policy, rapid.Permutation(w.documents).Draw(w.t, "order"))
		if !slices.Equal(before.Checks, after.Checks) {
			w.t.Fatalf("checks\n%+v\nthen\n%+v", before.Checks, after.Checks)
		}
	})
}

func TestStraysDecideNothing(t *testing.T) {
	forWorlds(t, func(w world) {
		stray := drawStray(w.t)
		if before, after := w.allows(w.documents), w.allows(append(slices.Clone(w.documents), stray)); before != after {
			w.t.Fatalf("allowed is %t, then %t with %+v", before, after, stray)
		}
	})
}

// A clean scan more never makes good what another tool, a later scan or its own run has found.
func TestCleanScanHidesNothing(t *testing.T) {
	forWorlds(t, func(w world) {
		if !scanPassed(decideOn(w.policy, w.documents)) || w.allows(w.documents) {
			return
		}
		clean := drawScan(w.t)
		clean.Scan.Findings = nil
		for _, d := range w.documents {
			if d.Scan != nil && d.Scan.Tool == clean.Scan.Tool && (d.Run == "" || d.Run != clean.Run) && !news(clean).Before(news(d)) && judgedAt.Sub(news(d)) <= 24*time.Hour {
				return // it is the tool's newest: what is allowed by it may be
			}
		}
		if w.allows(append(slices.Clone(w.documents), clean)) {
			w.t.Fatalf("%+v of %+v turned a denial", clean.Scan, clean)
		}
	})
}

// news is the time of what a scan says.
func news(d policy.Document) time.Time {
	if d.Scan.FinishedAt.Before(d.At) {
		return d.Scan.FinishedAt
	}
	return d.At
}

func scanPassed(d policy.Decision) bool {
	return slices.ContainsFunc(d.Checks, func(c policy.Check) bool { return c.Name == "evidence.scan" && c.Passed })
}

// More findings, worse ones, and statements that excuse nothing, never turn a denial.
func TestBadNewsNeverHelps(t *testing.T) {
	forWorlds(t, func(w world) {
		if w.allows(w.documents) {
			return
		}
		more := slices.Clone(w.documents)
		i := rapid.IntRange(0, len(more)-1).Draw(w.t, "which")
		switch d := more[i]; {
		case d.Scan != nil:
			scan := *d.Scan
			scan.Findings = append(slices.Clone(scan.Findings), drawFinding(w.t))
			scan.Findings[0].Severity = "critical"
			more[i].Scan = &scan
		default:
			taken := drawVEX(w.t)
			for j := range taken.VEX {
				taken.VEX[j].Status = rapid.SampledFrom([]string{"affected", "under_investigation", "nonsense"}).Draw(w.t, "taken back")
			}
			more = append(more, taken)
		}
		if w.allows(more) {
			w.t.Fatalf("%+v turned a denial", more)
		}
	})
}

// A statement of an accepted author that excuses nothing, about the whole image and later than all others, ends every excuse of it.
func TestLastWordTakesBack(t *testing.T) {
	forWorlds(t, func(w world) {
		last := vexBy(security, nil)
		last.At, last.LogIndex, last.Bundle, last.VEX = judgedAt, 1<<40, "sha256:last", nil
		for _, id := range []string{"CVE-2026-1", "CVE-2026-2", "GHSA-1"} {
			last.VEX = append(last.VEX, policy.VEXStatement{Vulnerability: id, Status: "affected"})
		}
		with := append(slices.Clone(w.documents), last)
		without := slices.DeleteFunc(slices.Clone(w.documents), func(d policy.Document) bool { return d.Kind == policy.EvidenceVEX })
		if a, b := w.allows(with), w.allows(without); a != b {
			w.t.Fatalf("allowed is %t, and %t without any VEX", a, b)
		}
	})
}

// What nobody accepted says is as if it were not there.
func TestOnlyAcceptedAuthorsCount(t *testing.T) {
	forWorlds(t, func(w world) {
		accepted := slices.DeleteFunc(slices.Clone(w.documents), func(d policy.Document) bool { return d.Author == "https://elsewhere.example" })
		if a, b := w.allows(w.documents), w.allows(accepted); a != b {
			w.t.Fatalf("allowed is %t with others' VEX, and %t without", a, b)
		}
	})
}

// An excuse is for the package and the vulnerability that it names: of a finding that shares neither it says nothing.
func TestExcusesReachNoFurther(t *testing.T) {
	forWorlds(t, func(w world) {
		other := finding("CVE-2030-1", "critical")
		other.PURL = "pkg:deb/debian/other@1"
		documents := slices.Clone(w.documents)
		fresh := by("9", 1, scanOf(nil, other))[0]
		fresh.Scan.Tool = "snyk"
		if w.allows(append(documents, fresh)) {
			w.t.Fatal("a finding that no statement names is excused")
		}
	})
}
