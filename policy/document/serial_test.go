// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// TestSerialOfEverySBOM: what a BOM-Link names is the same for a statement with the document, for one that names it, and for a document that
// nobody has attested yet.
func TestSerialOfEverySBOM(t *testing.T) {
	const file = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}], "serialNumber": "urn:uuid:AB-1", "version": 2}`
	embedded, ok := document.Of(fact("https://cyclonedx.org/bom", file), digest)
	if !ok || embedded.SBOM == nil || embedded.SBOM.Serial != "ab-1/2" {
		t.Errorf("embedded: %+v", embedded.SBOM)
	}
	read, err := attest.ReadFrom("f", "sbom", strings.NewReader(file), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var d policy.Document
	if document.Fill(&d, read.Evidence); d.SBOM == nil || d.SBOM.Serial != "ab-1/2" {
		t.Errorf("read: %+v", d.SBOM)
	}
	predicate, err := attest.SBOMReference("https://h.example/attestor", read.Original, attest.Kept{}, *read.Evidence.SBOM)
	if err != nil {
		t.Fatal(err)
	}
	if named, ok := document.Of(fact(attest.PredicateSBOMReference, string(predicate)), digest); !ok || named.SBOM == nil || named.SBOM.Serial != "ab-1/2" {
		t.Errorf("by reference: %+v", named.SBOM)
	}
}
