// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

var sha512 = "sha512:" + aa + aa

// TestNames: which registry digests a document names for certain, and where. What
// may be an image's id, a computed manifest or another part is no name.
func TestNames(t *testing.T) {
	purl := "pkg:oci/app@sha256%3A" + aa + "?"
	spdx := func(tool, packages, rest string) string {
		return `{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": [` + packages + `], "creationInfo": {"creators": ["Tool: ` + tool + `"]}` + rest + `}`
	}
	container := func(id, purl string) string {
		return `{"SPDXID": "` + id + `", "name": "app", "primaryPackagePurpose": "CONTAINER", "externalRefs": [{"referenceType": "purl", "referenceLocator": "` + purl + `"}]}`
	}
	const describes = `, "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-root"}]`
	cdx := func(component string) string {
		return `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [], "metadata": {"component": {"type": "container", "name": "app"` + component + `}}}`
	}
	property := func(digest string) string {
		return `{"name": "aquasecurity:trivy:RepoDigest", "value": "r/app@` + digest + `"}`
	}
	trivy := func(digests string) string {
		return `{"SchemaVersion": 2, "ArtifactName": "app", "Metadata": {"ImageID": "sha256:` + bb + `", "RepoDigests": [` + digests + `]}, "Results": []}`
	}
	a, b := "sha256:"+aa, "sha256:"+bb
	for name, tc := range map[string]struct {
		file, place string
		names       []string
	}{
		"trivy":                 {trivy(`"r/app@` + a + `"`), "$.Metadata.RepoDigests", []string{a}},
		"trivy without a name":  {trivy(`""`), "", nil},
		"trivy, half a name":    {trivy(`"r/app@"`), "", nil},
		"trivy, several":        {trivy(`"r/app@` + b + `", "s/app@` + a + `"`), "$.Metadata.RepoDigests", []string{b, a}},
		"trivy in upper case":   {trivy(`"r/app@SHA256:` + strings.ToUpper(aa) + `"`), "$.Metadata.RepoDigests", []string{a}},
		"trivy, SHA-512":        {trivy(`"r/app@` + sha512 + `"`), "$.Metadata.RepoDigests", []string{sha512}},
		"trivy, no digest":      {trivy(`"r/app@x"`), "$.Metadata.RepoDigests", []string{"x"}},
		"sarif in upper case":   {strings.Replace(sarifTrivy, "sha256:"+bb, "sha256:"+strings.ToUpper(bb), 1), "$.runs[*].properties.repoDigests", []string{b}},
		"sarif, SHA-512":        {strings.Replace(sarifTrivy, "sha256:"+bb, sha512, 1), "$.runs[*].properties.repoDigests", []string{sha512}},
		"clair":                 {clairReport, "$.manifest_hash", []string{b}},
		"dockle":                {dockleReport, "$.image", []string{b}},
		"gitlab":                {gitlabReport, "$.vulnerabilities[*].location.image", []string{b}},
		"syft":                  {syftReport, "$.source.metadata.repoDigests", []string{b}},
		"syft from a file":      {strings.Replace(syftReport, `"repoDigests": ["r/app@sha256:`+bb+`"]`, `"repoDigests": [], "manifestDigest": "`+a+`", "imageID": "`+b+`"`, 1), "", nil},
		"spdx":                  {spdx("other", container("SPDXRef-root", purl), describes), "$.packages[*].externalRefs", []string{a}},
		"spdx 2.2":              {spdx("other", container("SPDXRef-root", purl), `, "documentDescribes": ["SPDXRef-root"]`), "$.packages[*].externalRefs", []string{a}},
		"spdx, described by":    {spdx("other", container("SPDXRef-root", purl), `, "relationships": [{"spdxElementId": "SPDXRef-root", "relationshipType": "DESCRIBED_BY", "relatedSpdxElement": "SPDXRef-DOCUMENT"}]`), "$.packages[*].externalRefs", []string{a}},
		"spdx of a base":        {spdx("other", `{"SPDXID": "SPDXRef-root", "name": "app"}, `+container("SPDXRef-base", purl), describes), "", nil},
		"spdx of nothing":       {spdx("other", container("NONE", purl), strings.Replace(describes, "SPDXRef-root", "SPDXRef-other", 1)), "", nil},
		"spdx, odd relations":   {spdx("other", container("SPDXRef-root", purl), `, "relationships": [7, {"spdxElementId": [], "relatedSpdxElement": 1}], "documentDescribes": {"a": 1}`), "", nil},
		"spdx by syft":          {spdx("syft-1.57.0", container("SPDXRef-root", purl+"arch=amd64&tag=v1"), describes), "", nil},
		"spdx with a place":     {spdx("syft-1.57.0", container("SPDXRef-root", purl+"arch=amd64&repository_url=r.example%2Fapp"), describes), "$.packages[*].externalRefs", []string{a}},
		"spdx, image id":        {spdx("other", container("SPDXRef-root", "pkg:docker/app@sha256%3A"+aa), describes), "", nil},
		"cyclonedx":             {cdx(`, "purl": "` + purl + `"`), "$.metadata.component", []string{a}},
		"cyclonedx, two":        {cdx(`, "purl": "` + purl + `", "properties": [` + property(b) + `]`), "$.metadata.component", []string{b, a}},
		"cyclonedx, version":    {cdx(`, "version": "` + a + `"`), "", nil},
		"cyclonedx, upper case": {cdx(`, "properties": [` + property("sha256:"+strings.ToUpper(aa)) + `]`), "$.metadata.component", []string{a}},
		"cyclonedx in XML": {
			`<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><metadata><component type="container"><name>app</name><version>` + b + `</version><purl>` + purl + `</purl></component></metadata><components/></bom>`,
			"/bom/metadata/component", []string{a},
		},
		"tag-value": {
			"SPDXVersion: SPDX-2.3\nPackageName: app\nSPDXID: SPDXRef-root\nPrimaryPackagePurpose: CONTAINER\nExternalRef: PACKAGE-MANAGER purl " + purl + "\nRelationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-root\n",
			"ExternalRef", []string{a},
		},
		"tag-value of a base": {
			"SPDXVersion: SPDX-2.3\nPackageName: app\nSPDXID: SPDXRef-base\nPrimaryPackagePurpose: CONTAINER\nExternalRef: PACKAGE-MANAGER purl " + purl + "\nRelationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-root\n",
			"", nil,
		},
		"spdx 3": {
			`{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": [{"type": "CreationInfo", "specVersion": "3.0.1", "created": "2026-01-02T03:04:05Z"},
				{"type": "software_Package", "spdxId": "urn:app", "name": "app", "software_primaryPurpose": "container", "software_packageUrl": "` + purl + `"},
				{"type": "software_Sbom", "spdxId": "urn:sbom", "rootElement": ["urn:app"]}]}`,
			"$.@graph[*].software_packageUrl", []string{a},
		},
	} {
		d, err := attest.ReadDocument(name, []byte(tc.file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		names, place := d.Evidence.Names()
		if !slices.Equal(names, tc.names) || place != tc.place {
			t.Errorf("%s: %q at %q, want %q at %q", name, names, place, tc.names, tc.place)
		}
		// A stream says the same, and so does the statement about a large one.
		if d.Evidence.SBOM == nil {
			continue
		}
		streamed, err := attest.ReadFrom(name, "sbom", strings.NewReader(tc.file), attest.MaxStreamBytes)
		if err != nil || !slices.Equal(streamed.Evidence.SBOM.Digests, tc.names) {
			t.Errorf("%s as a stream: %v, %v", name, streamed.Evidence.SBOM, err)
		}
		if d.Evidence.SBOM.Format == "syft" {
			continue
		}
		predicate, err := attest.SBOMReference("https://h.example/attestor", d.Original, attest.Kept{}, *d.Evidence.SBOM)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := attest.ReadEvidence(attest.PredicateSBOMReference, predicate); err != nil || !slices.Equal(again.SBOM.Digests, tc.names) {
			t.Errorf("%s by reference: %+v, %v", name, again.SBOM, err)
		}
	}
}

// TestAboutSaysWhere: file, place and expectation.
func TestAboutSaysWhere(t *testing.T) {
	report := `{"SchemaVersion": 2, "ArtifactName": "app", "Metadata": {"RepoDigests": ["r/app@sha256:` + bb + `", "r/app@no\ndigest"]}, "Results": []}`
	err := read(t, report).Evidence.About(attest.Digest("sha256:" + aa))
	var wrong *attest.FormatError
	if !errors.As(err, &wrong) || wrong.Place != "$.Metadata.RepoDigests" || !strings.Contains(err.Error(), "sha256:"+bb+` or "no\ndigest", not about sha256:`+aa) {
		t.Errorf("%v", err)
	}
	wrapped := `{"invocation": {}, "scanner": {"result": ` + report + `}}`
	ev, err := attest.ReadEvidence("https://cosign.sigstore.dev/attestation/vuln/v1", []byte(wrapped))
	if err != nil {
		t.Fatal(err)
	}
	if err := ev.About(attest.Digest("sha256:" + aa)); !errors.As(err, &wrong) || wrong.Place != "$.scanner.result.Metadata.RepoDigests" {
		t.Errorf("%v", err)
	}
}
