// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// The kinds of reports besides vulnerability scans: programs that look at how something is made and complain. A rule asks for them in
// require.reports, and expressions read them as evidence.<kind>, with the members of evidence.scan. To add a kind, add it here and to
// evidenceKinds.
const (
	EvidenceLint    = "lint"     // of Dockerfiles, charts, images
	EvidenceConfig  = "config"   // misconfigurations
	EvidenceSecret  = "secrets"  // passwords and keys that were left behind
	EvidenceCode    = "code"     // static analysis of source
	EvidenceLicense = "licenses" // under which packages come
)

// reportKind reports whether a kind is one of them.
func reportKind(kind string) bool { return kindOf(kind).report }

// ReportKinds are their names.
func ReportKinds() []string {
	var names []string
	for _, k := range evidenceKinds {
		if k.report {
			names = append(names, k.kind)
		}
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
