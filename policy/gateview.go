// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types/ref"
)

// What conditions see of the evidence that will do.

// view is what conditions see of the evidence that counts.
func (g *gate) view(s gateSubject, found map[string][]counted, documents []Document, now time.Time) map[string]any {
	view := make(map[string]any)
	if v := joinSBOMs(found[EvidenceSBOM]); v != nil {
		view[varSBOM] = v
	}
	if v := joinTests(found[EvidenceTest]); v != nil {
		view[varTests] = v
	}
	for _, d := range found[EvidenceProvenance] {
		view[varProvenance] = d.Provenance
	}
	for _, d := range found[EvidenceChartImages] {
		view[varChartImages] = newChartView(d.ChartImages)
	}
	if g.spec.ChartImages != nil && !s.chart { // what is no chart refers to nothing
		view[varChartImages] = newChartView(&ChartImages{})
	}
	if scans := found[EvidenceScan]; len(scans) > 0 {
		view[varScan] = g.newScanView(scans, g.newExcuses(s, documents, now), now)
	}
	for _, kind := range ReportKinds() {
		if reports := found[kind]; len(reports) > 0 {
			view[evidencePrefix+kind] = g.newScanView(reports, nil, now) // VEX is about vulnerabilities
		}
	}
	return view
}

// newScanView joins findings and VEX, once for all conditions.
func (g *gate) newScanView(scans []counted, x *excuses, now time.Time) *scanView {
	total := 0
	for _, d := range scans {
		total += len(d.Scan.Findings)
	}
	view := &scanView{findings: make([]ref.Val, 0, total), age: g.ageOf(scans, now)}
	all := make([]judged, 0, total)
	for _, d := range scans {
		if why := d.keeps(); why != "" && len(d.Scan.Findings) > 0 && len(view.kept) < maxListed {
			view.kept = append(view.kept, count(len(d.Scan.Findings), "finding")+", "+why)
		}
		if d.enough {
			view.tools = append(view.tools, d.Scan.Tool)
			view.referenced = view.referenced || d.Original != ""
		}
		for i := range d.Scan.Findings {
			f := &d.Scan.Findings[i]
			why := ""
			if x != nil {
				why = x.of(f, d.Digest)
			}
			all = append(all, judged{f, severityRank(f.Severity), why})
			view.findings = append(view.findings, &all[len(all)-1])
		}
	}
	view.vexUnread = x != nil && x.ended()
	slices.Sort(view.tools)
	view.tools = slices.Compact(view.tools)
	return view
}

// ageOf is the age of the oldest report that was asked for: of each digest, and of each tool if tools are named. Otherwise the newest of
// each digest stands for it.
func (g *gate) ageOf(reports []counted, now time.Time) time.Duration {
	type asked struct{ digest, tool string }
	ages := make(map[asked]time.Duration)
	for _, d := range reports {
		if !d.enough {
			continue
		}
		a := asked{digest: d.Digest}
		if len(g.report(d.Kind).Tools) > 0 {
			a.tool = d.Scan.Tool
		}
		if age, known := ages[a]; !known || d.scanAge(now) < age {
			ages[a] = d.scanAge(now)
		}
	}
	var oldest time.Duration
	for _, age := range ages {
		oldest = max(oldest, age)
	}
	return oldest
}

// findEvidence returns the variables of evidence that an expression reads.
func findEvidence(root ast.NavigableExpr) []string {
	var found []string
	for _, v := range evidenceVariables {
		name := v.variable
		isName := func(e ast.NavigableExpr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }
		if len(ast.MatchDescendants(root, isName)) > 0 {
			found = append(found, name)
		}
	}
	return found
}
