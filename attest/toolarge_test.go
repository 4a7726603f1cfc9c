// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestTooLargeForAllButSBOMs: of a document that is too large to be read in memory, and no SBOM, the error is its size. One that is an SBOM, or
// no JSON, has another.
func TestTooLargeForAllButSBOMs(t *testing.T) {
	filler := strings.Repeat(" ", attest.MaxEvidenceBytes)
	const limit = "more than 16777216 bytes, which is the limit for all but SBOMs"
	for name, tc := range map[string]struct {
		file, want string
		large      bool
	}{
		"grype":                     {grypeReport, limit, true},
		"trivy":                     {trivyReport, limit, true},
		"sarif":                     {sarifTrivy, limit, true},
		"clair":                     {clairReport, limit, true},
		"a list":                    {gitleaksReport, limit, true},
		"openvex":                   {vexDocument, limit, true},
		"junit":                     {junitFile, limit, true},
		"cyclonedx vex":             {cdxVEX, limit, true},
		"cyclonedx vex in XML":      {cdxVEXXML, limit, true},
		"nobody's":                  {`{"a": 1}`, limit, true},
		"an SBOM that lists nobody": {`{"spdxVersion": "SPDX-2.3", "packages": [{}]}`, "$.packages[0].name: a package without a name", false},
		"syft without a list":       {`{"descriptor": {"name": "syft"}}`, "$.artifacts: missing", false},
		"cyclonedx without a list":  {`{"bomFormat": "CycloneDX", "specVersion": "1.6"}`, "$.components: missing", false},
		"no JSON":                   {`{"a": tru}`, "unexpected character", false},
	} {
		file := tc.file[:1] + filler + tc.file[1:]
		if tc.file[0] == '<' {
			file = tc.file + strings.Repeat("<!--"+filler[:1000]+"-->", len(filler)/1000)
		}
		_, err := attest.ReadFrom("f", "", strings.NewReader(file), attest.MaxStreamBytes)
		if !errors.Is(err, attest.ErrEvidence) || errors.Is(err, attest.ErrTooLarge) != tc.large || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
