// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

func TestBOMSerial(t *testing.T) {
	for document, want := range map[string]string{
		`{"serialNumber": "urn:uuid:AB-1", "version": 3, "components": []}`:              "ab-1/3",
		`{"bomFormat": "CycloneDX", "metadata": {"version": 9}, "serialNumber": "ab-1"}`: "ab-1/1",
		`{"components": [], "serialNumber": "urn:uuid:ab-1"}`:                            "",
		`{"serialNumber": "urn:uuid:a/b"}`:                                               "",
		`{"serialNumber": 7}`:                                                            "",
		`{"serialNumber": "ab-1", "version": "x"}`:                                       "",
		`{"x": "` + strings.Repeat("y", 1<<17) + `", "serialNumber": "ab-1"}`:            "",
		`{}`: "", `[]`: "", ``: "", `{"serialNumber": "ab-1"`: "ab-1/1",
	} {
		if got := attest.BOMSerial([]byte(document)); got != want {
			t.Errorf("%.60s: %q, want %q", document, got, want)
		}
	}
}
