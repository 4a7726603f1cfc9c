// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// evidenceKind is what gates have to know of a kind of evidence. To add one, add a row to evidenceKinds; the reader that makes such documents
// gives them the same name.
type evidenceKind struct {
	kind string
	word string // in messages
	// report says that it is one of require.reports.
	report bool
	// badNews says that its documents tell what is wrong, and not only that something is there.
	badNews bool
	// ownWord says that a document counts only if the service has made it for itself.
	ownWord bool
	// has tells whether a document has the content of the kind.
	has func(d *Document) bool
	// variable is what expressions call it and of its type, asked whether a requirement asks for it; "" if expressions do not see it.
	variable string
	of       *object
	asked    func(r *EvidenceRequirement) bool
}

// evidenceKinds are all, in the order of checks.
var evidenceKinds = []evidenceKind{
	{
		kind: EvidenceSBOM, word: "an SBOM", has: func(d *Document) bool { return d.SBOM != nil },
		variable: varSBOM, of: sbomType, asked: func(r *EvidenceRequirement) bool { return r.SBOM },
	},
	{
		kind: EvidenceScan, word: "a scan", badNews: true, has: hasScan,
		variable: varScan, of: scanType, asked: func(r *EvidenceRequirement) bool { return r.Scan != nil },
	},
	{kind: EvidenceVEX, word: "VEX", has: func(d *Document) bool { return d.VEX != nil }},
	{
		kind: EvidenceTest, word: "a test result", badNews: true, has: func(d *Document) bool { return d.Test != nil },
		variable: varTests, of: testsType, asked: func(r *EvidenceRequirement) bool { return r.Tests },
	},
	{
		kind: EvidenceProvenance, word: "provenance", ownWord: true, has: func(d *Document) bool { return d.Provenance != nil },
		variable: varProvenance, of: provenanceType, asked: func(r *EvidenceRequirement) bool { return r.Provenance },
	},
	{
		kind: EvidenceChartImages, word: "the chart's images", ownWord: true, has: func(d *Document) bool { return d.ChartImages != nil },
		variable: varChartImages, of: chartImagesType, asked: func(r *EvidenceRequirement) bool { return r.ChartImages != nil },
	},
	reportRow(EvidenceLint, "a lint report"),
	reportRow(EvidenceConfig, "a misconfiguration report"),
	reportRow(EvidenceSecret, "a secret scan"),
	reportRow(EvidenceCode, "a code scan"),
	reportRow(EvidenceLicense, "a license report"),
}

// reportRow is a kind of report.
func reportRow(kind, word string) evidenceKind {
	return evidenceKind{
		kind: kind, word: word, report: true, badNews: true, has: hasScan, variable: evidencePrefix + kind, of: scanType,
		asked: func(r *EvidenceRequirement) bool {
			return slices.ContainsFunc(r.Reports, func(one ReportRequirement) bool { return one.Kind == kind })
		},
	}
}

func hasScan(d *Document) bool { return d.Scan != nil }

// kindOf is the row of a kind; of a name that is none, one that no document has the content of.
func kindOf(kind string) evidenceKind {
	for _, k := range evidenceKinds {
		if k.kind == kind {
			return k
		}
	}
	return evidenceKind{kind: kind, word: kind, has: func(*Document) bool { return false }}
}

// evidenceVariables are the kinds that expressions see.
var evidenceVariables = slices.DeleteFunc(slices.Clone(evidenceKinds), func(k evidenceKind) bool { return k.variable == "" })
