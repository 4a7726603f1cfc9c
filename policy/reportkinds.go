// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// What a report is evidence of. One program can look for several things in one run: then its report is a report of each kind, and of each kind
// what it found of that. Of what it has looked for only the report itself can tell, by saying so or by what it found: a report in which nothing
// about secrets is written does not say that there are none.

// The kinds of findings that policies tell apart.
const (
	findingVulnerability    = "vulnerability"
	findingMisconfiguration = "misconfiguration"
	findingSecret           = "secret"
	findingLicense          = "license"
)

// reportOf is the kind of report that a finding makes of its document, the gravest first.
var reportOf = []struct{ finding, report string }{
	{findingSecret, EvidenceSecret}, {findingMisconfiguration, EvidenceConfig}, {findingLicense, EvidenceLicense},
}

// ReportKindsOf tells of which kinds a report is, besides a vulnerability scan: by its program, because a clean report may have nothing else to
// go by, then by what it says that it has looked for, and by what it found. There is at least one, unless it is a scan of vulnerabilities.
func ReportKindsOf(s *Scan, isScan bool) []string {
	if s.Report != "" && !isScan {
		return []string{s.Report}
	}
	looked := make(map[string]bool)
	for _, kind := range s.Looked {
		looked[kind] = true
	}
	for i := range s.Findings {
		looked[s.Findings[i].Kind] = true
	}
	var kinds []string
	for _, pair := range reportOf {
		if looked[pair.finding] {
			kinds = append(kinds, pair.report)
		}
		delete(looked, pair.finding)
	}
	delete(looked, findingVulnerability)
	delete(looked, "") // of the report's own kind
	switch {
	case isScan:
	case len(looked) > 0, len(kinds) == 0 && s.Tool != "trivy":
		kinds = append(kinds, EvidenceCode)
	case len(kinds) == 0: // of Trivy, which looks for vulnerabilities elsewhere
		kinds = append(kinds, EvidenceConfig)
	}
	return kinds
}

// ReportKind is the first of the kinds that a report is of which is no vulnerability scan: the gravest that it has looked for.
func ReportKind(s *Scan) string { return ReportKindsOf(s, false)[0] }

// byKind returns the document once for each kind that it is evidence of, with the findings of that kind. As a scan it has all of them.
func (d *Document) byKind() []Document {
	if len(d.Also) == 0 || d.Scan == nil {
		return []Document{*d}
	}
	var all []Document
	for _, kind := range append([]string{d.Kind}, d.Also...) {
		one := *d
		one.Kind, one.Also = kind, nil
		if reportKind(kind) {
			scan := *d.Scan
			scan.Findings = nil
			for i := range d.Scan.Findings {
				if f := &d.Scan.Findings[i]; d.kindFor(f) == kind {
					scan.Findings = append(scan.Findings, *f)
				}
			}
			one.Scan = &scan
		}
		all = append(all, one)
	}
	return all
}

// kindFor is the kind of report, among those of the document, that a finding is of. None is lost: what is of no kind is of code, or of the
// document's first.
func (d *Document) kindFor(f *Finding) string {
	has := func(kind string) bool { return kind == d.Kind || slices.Contains(d.Also, kind) }
	for _, pair := range reportOf {
		if f.Kind == pair.finding && has(pair.report) {
			return pair.report
		}
	}
	if has(EvidenceCode) {
		return EvidenceCode
	}
	return d.Kind
}

// splitByKind takes documents of several kinds apart.
func splitByKind(documents []Document) []Document {
	if !slices.ContainsFunc(documents, func(d Document) bool { return len(d.Also) > 0 }) {
		return documents
	}
	var all []Document
	for i := range documents {
		all = append(all, documents[i].byKind()...)
	}
	return all
}

// distinct returns a list without repetitions, in its order.
func distinct(list []string) []string {
	var kept []string
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
