// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types/ref"
)

// What conditions see of the evidence that will do.

// view is what conditions see of the evidence that will do.
func (g *gate) view(s gateSubject, found map[string][]*Document, documents []Document, now time.Time) map[string]any {
	view := make(map[string]any)
	// Of several platforms an expression sees the worst of what can be compared.
	for _, d := range found[EvidenceSBOM] {
		if known, ok := view[varSBOM].(*SBOM); !ok || d.SBOM.Packages < known.Packages {
			view[varSBOM] = d.SBOM
		}
	}
	for _, d := range found[EvidenceTest] {
		if known, ok := view[varTests].(*TestResult); !ok || d.Test.Failed > known.Failed || (d.Test.Failed == known.Failed && d.Test.Passed < known.Passed) {
			view[varTests] = d.Test
		}
	}
	for _, d := range found[EvidenceProvenance] {
		view[varProvenance] = d.Provenance
	}
	if scans := found[EvidenceScan]; len(scans) > 0 {
		view[varScan] = g.scanView(s, scans, documents, now)
	}
	return view
}

// scanView joins findings and VEX, once for all conditions.
func (g *gate) scanView(s gateSubject, scans []*Document, documents []Document, now time.Time) *scanView {
	digests := []string{s.digest}
	total := 0
	for _, d := range scans {
		total += len(d.Scan.Findings)
		if d.Digest != s.digest {
			digests = append(digests, d.Digest)
		}
	}
	x := g.newExcuses(documents, digests)
	view := &scanView{findings: make([]ref.Val, 0, total)}
	all := make([]judged, 0, total)
	for _, d := range scans {
		view.tools = append(view.tools, d.Scan.Tool)
		view.age = max(view.age, d.scanAge(now))
		view.referenced = view.referenced || d.Scan.Original != ""
		for i := range d.Scan.Findings {
			f := &d.Scan.Findings[i]
			all = append(all, judged{f, severityRank(f.Severity), x.of(f)})
			view.findings = append(view.findings, &all[len(all)-1])
		}
	}
	slices.Sort(view.tools)
	view.tools = slices.Compact(view.tools)
	return view
}

// findEvidence returns the variables of evidence that an expression reads.
func findEvidence(root ast.NavigableExpr) []string {
	var found []string
	for _, name := range []string{varSBOM, varScan, varTests, varProvenance} {
		isName := func(e ast.NavigableExpr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }
		if len(ast.MatchDescendants(root, isName)) > 0 {
			found = append(found, name)
		}
	}
	return found
}
