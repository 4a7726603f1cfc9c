// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/policy/vers"
	"github.com/hallmark-dev/hallmark/signer"
)

// reportKinds are the kinds of reports that a gate takes a document for.
func reportKinds(ev attest.Evidence) []string {
	var d policy.Document
	document.Fill(&d, ev)
	return slices.DeleteFunc(append([]string{d.Kind}, d.Also...), func(kind string) bool { return !slices.Contains(policy.ReportKinds(), kind) })
}

// isComputed reports whether a severity is of nobody's word, but of a score that
// was computed from a vector.
func isComputed(f *attest.Finding) bool {
	return f.Severity != attest.SeverityUnknown && attest.NormalSeverity(f.SaidSeverity) == attest.SeverityUnknown &&
		slices.ContainsFunc(f.CVSS, func(c attest.CVSS) bool { return c.Computed }) && !slices.ContainsFunc(f.CVSS, func(c attest.CVSS) bool { return c.Score > 0 && !c.Computed })
}

// vexNotes say what of VEX excuses nothing, whoever has written it.
func vexNotes(v *attest.VEX) []string {
	unread, unresolved, first := 0, 0, ""
	for _, s := range v.Statements {
		for _, p := range s.Products {
			if p.Unresolved && !strings.HasPrefix(p.IDs[0], "urn:cdx:") {
				unresolved++
			}
			for _, version := range p.Versions {
				if why := unreadRange(p, version); why != "" {
					if unread++; first == "" {
						first = why
					}
				}
			}
		}
	}
	var notes []string
	if unread > 0 {
		notes = append(notes, fmt.Sprintf("%d ranges of versions cannot be evaluated: they excuse nothing, and take excuses back of all versions; the first: %s", unread, first))
	}
	if unresolved > 0 {
		notes = append(notes, fmt.Sprintf("%d products have names that only their author can resolve: they excuse nothing", unresolved))
	}
	return notes
}

// unreadRange says why a range of versions of a product is not evaluated, or "".
func unreadRange(p attest.VEXProduct, version string) string {
	if !vers.Is(version) {
		return ""
	}
	r, err := vers.Parse(version)
	if err != nil {
		return version + ": " + strings.TrimPrefix(err.Error(), vers.ErrRange.Error()+": ")
	}
	for _, id := range p.IDs {
		kind, _, _ := strings.Cut(strings.TrimPrefix(id, "pkg:"), "/")
		if strings.HasPrefix(id, "pkg:") && !r.Fits(strings.ToLower(kind)) {
			return version + ": not the versions of " + kind
		}
	}
	return ""
}

// chartImages says in one line which images a chart has.
func chartImages(c *attest.ChartImages) string {
	signed := 0
	for _, image := range c.Images {
		if image.Signed {
			signed++
		}
	}
	verb := "are"
	if signed == 1 {
		verb = "is"
	}
	return fmt.Sprintf("images of chart %s: %d, of which %d %s signed", c.Chart.Name, len(c.Images), signed, verb)
}

// vexStatements is how many statements of VEX a gate looks at.
func vexStatements(ev attest.Evidence) int {
	var d policy.Document
	document.Fill(&d, ev)
	return len(d.VEX)
}

// vexDropped says why it does not look at others.
func vexDropped(n int) string {
	verb := "excuse"
	if n == 1 {
		verb = "excuses"
	}
	return fmt.Sprintf("%d of not_affected or fixed %s nothing: whatever it is about has a name that only its author can resolve (hint: package URLs in bom-ref, or BOM-Links)", n, verb)
}

// byReference says what an SBOM becomes that its statement names and does not hold.
func (i *inspected) byReference(d attest.Document) {
	if asked := d.AskedType(); d.Evidence.SBOM != nil {
		i.AskedAs, i.AttestedAs = asked, attest.PredicateSBOMReference
		if d.PredicateType != "" {
			i.Notes = append(i.Notes, fmt.Sprintf("larger than %d MiB, which is what a service embeds unless signing.embedEvidence says otherwise: the registry keeps it, and the statement names it", signer.DefaultEmbed>>20))
		}
	}
}
