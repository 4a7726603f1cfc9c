// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// Of several platforms an expression sees one SBOM and one result of tests: what is worst in any of them, member by member. What cannot be
// compared is said only if all agree.

// sbomView is what expressions see of the SBOMs that count.
type sbomView struct {
	format, version string // "" if they differ
	packages        int    // the fewest
	embedded        bool   // all of them
}

// joinSBOMs returns nil if there are none.
func joinSBOMs(all []counted) *sbomView {
	var v *sbomView
	for _, d := range all {
		one := sbomView{d.SBOM.Format, d.SBOM.Version, d.SBOM.Packages, d.Original == ""}
		if v == nil {
			v = &one
			continue
		}
		v.format, v.version = agreed(v.format, one.format), agreed(v.version, one.version)
		v.packages, v.embedded = min(v.packages, one.packages), v.embedded && one.embedded
	}
	return v
}

func agreed(a, b string) string {
	if a != b {
		return ""
	}
	return a
}

// testResults are the outcomes, the best first.
var testResults = []string{"PASSED", "WARNED", "FAILED"}

// joinTests returns nil if there are none.
func joinTests(all []counted) *TestResult {
	var joined *TestResult
	for _, d := range all {
		if joined == nil {
			one := *d.Test
			joined = &one
			continue
		}
		joined.Result = worseResult(joined.Result, d.Test.Result)
		joined.Passed, joined.Warned, joined.Failed = min(joined.Passed, d.Test.Passed), max(joined.Warned, d.Test.Warned), max(joined.Failed, d.Test.Failed)
	}
	return joined
}

// worseResult is the worse of two; a word that is not known is worse than all others.
func worseResult(a, b string) string {
	if slices.Index(testResults, a) < 0 || slices.Index(testResults, b) >= 0 && slices.Index(testResults, a) > slices.Index(testResults, b) {
		return a
	}
	return b
}
