// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"strings"
)

// The kinds of reports besides vulnerability scans: programs that look at how something is made and complain. A rule asks for them in
// require.reports, and expressions read them as evidence.<kind>, with the members of evidence.scan. To add a kind, add a line here; the
// reader that makes such documents gives them the same name.
const (
	EvidenceLint    = "lint"     // of Dockerfiles, charts, images
	EvidenceConfig  = "config"   // misconfigurations
	EvidenceSecret  = "secrets"  // passwords and keys that were left behind
	EvidenceCode    = "code"     // static analysis of source
	EvidenceLicense = "licenses" // under which packages come
)

var reportKinds = []struct{ kind, word string }{
	{EvidenceLint, "a lint report"},
	{EvidenceConfig, "a misconfiguration report"},
	{EvidenceSecret, "a secret scan"},
	{EvidenceCode, "a code scan"},
	{EvidenceLicense, "a license report"},
}

// reportKind reports whether a kind is one of them.
func reportKind(kind string) bool {
	return slices.ContainsFunc(reportKinds, func(k struct{ kind, word string }) bool { return k.kind == kind })
}

// ReportKinds are their names.
func ReportKinds() []string {
	var names []string
	for _, k := range reportKinds {
		names = append(names, k.kind)
	}
	return names
}

// reportNames lists them for messages.
func reportNames() string { return strings.Join(ReportKinds(), ", ") }

// flag is the flag of `hallmark sign` that brings a document of a kind.
func flag(kind string) string {
	if reportKind(kind) {
		return "check"
	}
	return kind
}

// evidenceVariables are the variables of evidence with their types, and whether a requirement asks for them.
type evidenceVariable struct {
	kind, name string
	of         *object
	required   bool
}

func evidenceVariables(spec *EvidenceRequirement) []evidenceVariable {
	all := []evidenceVariable{
		{EvidenceSBOM, varSBOM, sbomType, spec.SBOM},
		{EvidenceScan, varScan, scanType, spec.Scan != nil},
		{EvidenceTest, varTests, testsType, spec.Tests},
		{EvidenceProvenance, varProvenance, provenanceType, spec.Provenance},
	}
	for _, k := range reportKinds {
		asked := slices.ContainsFunc(spec.Reports, func(r ReportRequirement) bool { return r.Kind == k.kind })
		all = append(all, evidenceVariable{k.kind, evidencePrefix + k.kind, scanType, asked})
	}
	return all
}

// kindWord calls a kind of evidence by name.
func kindWord(kind string) string {
	for _, k := range reportKinds {
		if k.kind == kind {
			return k.word
		}
	}
	return kindWords[kind]
}
