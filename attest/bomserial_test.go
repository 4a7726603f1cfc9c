// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestBOMSerial: a CycloneDX document is named by its serial number wherever that stands, in JSON and XML, in memory and as a stream, and also
// in a statement that names the document.
func TestBOMSerial(t *testing.T) {
	const begin = `{"bomFormat": "CycloneDX", "specVersion": "1.6", `
	for file, want := range map[string]string{
		begin + `"serialNumber": "urn:uuid:AB-1", "version": 3, "components": []}`:                              "ab-1/3",
		begin + `"serialNumber": "URN:UUID:ab-1", "version": null, "components": []}`:                           "ab-1/1",
		begin + `"metadata": {"version": 9}, "serialNumber": "ab-1", "components": []}`:                         "ab-1/1",
		begin + `"components": [{"name": "a", "version": "2"}], "serialNumber": "urn:uuid:ab-1", "version": 2}`: "ab-1/2",
		begin + `"x": "` + strings.Repeat("y", 1<<17) + `", "components": [], "serialNumber": "ab-1"}`:          "ab-1/1",
		begin + `"serialNumber": "urn:uuid:a/b", "components": []}`:                                             "",
		begin + `"serialNumber": "urn:uuid:` + strings.Repeat("a", 2000) + `", "components": []}`:               "",
		begin + `"serialNumber": 7, "components": []}`:                                                          "",
		begin + `"serialNumber": "ab-1", "version": "x", "components": []}`:                                     "",
		begin + `"serialNumber": "ab-1", "version": 1.5, "components": []}`:                                     "",
		begin + `"components": []}`: "",
		`{"Data": ` + begin + `"serialNumber": "ab-1", "components": []}, "Timestamp": ""}`:                             "ab-1/1",
		`{"spdxVersion": "SPDX-2.3", "serialNumber": "ab-1", "version": 1, "packages": [{"name": "a"}]}`:                "",
		`<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="urn:uuid:AB-1" version="4"><components/></bom>`: "ab-1/4",
		`<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="ab-1"><components/></bom>`:                      "ab-1/1",
		`<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="4"><components/></bom>`:                              "",
	} {
		whole, err := attest.ReadDocument("f", []byte(file))
		if err != nil {
			t.Errorf("%.80s: %v", file, err)
			continue
		}
		streamed, err := attest.ReadFrom("f", "sbom", strings.NewReader(file), 1<<20)
		if err != nil || whole.Evidence.SBOM.Serial != want || streamed.Evidence.SBOM.Serial != want {
			t.Errorf("%.80s: %q, as a stream %q, want %q, %v", file, whole.Evidence.SBOM.Serial, streamed.Evidence.SBOM.Serial, want, err)
			continue
		}
		predicate, err := attest.SBOMReference("https://h.example/attestor", whole.Original, kept, *whole.Evidence.SBOM)
		if err != nil {
			t.Fatal(err)
		}
		if ev, err := attest.ReadEvidence(attest.PredicateSBOMReference, predicate); err != nil || ev.SBOM.Serial != want {
			t.Errorf("%.80s: by reference %+v, %v", file, ev.SBOM, err)
		}
	}
}
