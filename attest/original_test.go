// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

var (
	original = attest.Original{Digest: attest.DigestOf([]byte("file")), Size: 52_428_800, MediaType: "application/spdx+json"}
	kept     = attest.Kept{Name: "sbom.json", URI: "oci://r.example/acme/app@sha256:1", DownloadLocation: "https://r.example/v2/acme/app/blobs/sha256:1"}
)

func TestSBOMReference(t *testing.T) {
	said := attest.SBOM{Format: "SPDX", Version: "2.3", Packages: 70_000, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	predicate, err := attest.SBOMReference("https://h.example/attestor", original, kept, said)
	if err != nil {
		t.Fatal(err)
	}
	// Readers of in-toto's reference v0.1 find the document.
	var reference struct {
		Attester   struct{ ID string }
		References []struct {
			Digest                      map[string]string
			DownloadLocation, MediaType string
		}
	}
	if err := json.Unmarshal(predicate, &reference); err != nil || reference.Attester.ID != "https://h.example/attestor" || len(reference.References) != 1 ||
		reference.References[0].DownloadLocation != kept.DownloadLocation || reference.References[0].Digest["sha256"] != original.Digest.Hex() {
		t.Errorf("%s, %v", predicate, err)
	}
	ev, err := attest.ReadEvidence(attest.PredicateSBOMReference, predicate)
	if err != nil || ev.Kind != attest.EvidenceSBOM || !reflect.DeepEqual(*ev.SBOM, said) || *ev.Named != original {
		t.Errorf("%+v, %v", ev, err)
	}
	for change, want := range map[string]string{
		`"packages":70000=>"packages":-1`:     "$.sbom",
		`"format":"SPDX"=>"format":"x"`:       "$.sbom",
		`"sha256":"=>"sha256":"0`:             "$.references[0].digest.sha256",
		`"references":[{=>"references":[{},{`: "$.references: 2 entries",
	} {
		from, to, _ := strings.Cut(change, "=>")
		if _, err := attest.ReadEvidence(attest.PredicateSBOMReference, []byte(strings.Replace(string(predicate), from, to, 1))); !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestEverySBOMByReference: whatever SBOM is read, a statement that names it says
// the same to gates.
func TestEverySBOMByReference(t *testing.T) {
	for _, s := range reports() {
		if s.kind != attest.EvidenceSBOM {
			continue
		}
		d, err := attest.ReadFrom(s.name, "sbom", strings.NewReader(s.file), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		predicate, err := attest.SBOMReference("https://h.example/attestor", d.Original, kept, *d.Evidence.SBOM)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := attest.ReadEvidence(attest.PredicateSBOMReference, predicate)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		said := d.Evidence.SBOM
		want := attest.SBOM{Format: said.Format, Version: said.Version, Packages: said.Packages, Created: said.Created, Digests: said.Digests, Serial: said.Serial}
		if !reflect.DeepEqual(*ev.SBOM, want) {
			t.Errorf("%s: %+v, want %+v", s.name, *ev.SBOM, want)
		}
	}
}

// TestNameOriginal: the predicate is as it was, and the reader tells which
// document it is of.
func TestNameOriginal(t *testing.T) {
	for _, pair := range [][2]string{
		{"{}", `{"hallmark_document":`},
		{` { "a" : 1 } `, `{ "a" : 1,"hallmark_document":`},
		{`{"result":"PASSED","configuration":[]}`, `{"result":"PASSED","configuration":[],"hallmark_document":`},
	} {
		before, after := pair[0], pair[1]
		got, err := attest.NameOriginal([]byte(before), original, kept)
		if err != nil || !strings.HasPrefix(string(got), after) || !json.Valid(got) {
			t.Errorf("%s becomes %s, %v", before, got, err)
		}
	}
	for _, wrong := range []string{"", "[]", "x", "{"} {
		if _, err := attest.NameOriginal([]byte(wrong), original, kept); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	named, err := attest.NameOriginal([]byte(`{"result":"PASSED","configuration":[]}`), original, kept)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := attest.ReadEvidence("https://in-toto.io/attestation/test-result/v0.1", named)
	if err != nil || ev.Named == nil || *ev.Named != original {
		t.Errorf("%+v, %v", ev, err)
	}
}

// TestCheckForeign: a job cannot write what only the service writes, however it
// spells it.
func TestCheckForeign(t *testing.T) {
	for predicate, good := range map[string]bool{
		`{"result": "PASSED"}`: true, `{"inner": {"hallmark_document": 1}}`: true, `{"a": "hallmark_document"}`: true, `{"a": "\u00e9"}`: true,
		`{"hallmark_document": {}}`: false, `{"hallmark\u005fdocument": {}}`: false,
	} {
		if err := attest.CheckForeign("https://x.example/t", []byte(predicate)); (err == nil) != good {
			t.Errorf("%s: %v", predicate, err)
		}
	}
	if err := attest.CheckForeign(attest.PredicateSBOMReference, []byte("{}")); !errors.Is(err, attest.ErrPredicateType) {
		t.Errorf("a job's own reference: %v", err)
	}
}

// TestReferencedScan: nothing that a gate looks at gets lost.
func TestReferencedScan(t *testing.T) {
	scan := attest.Scan{
		Tool: "trivy", ToolVersion: "0.60.0", FinishedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), DatabaseAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Findings: []attest.Finding{
			{Kind: attest.FindingVulnerability, ID: "CVE-2026-1", Aliases: []string{"GHSA-1"}, Package: "openssl", Version: "3.0.1", PURL: "pkg:deb/debian/openssl@3.0.1", FixedVersions: []string{"3.0.2"},
				FixState: attest.FixFixed, Severity: attest.SeverityCritical, SaidSeverity: "CRITICAL", Score: 9.8, Tool: "trivy"},
			{Kind: attest.FindingVulnerability, ID: "X-1", Package: "p", FixState: attest.FixUnknown, Severity: attest.SeverityUnknown, SaidSeverity: "Spicy", Tool: "trivy"},
		},
	}
	predicateType, predicate, err := attest.NormalisedScan(scan)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := attest.ReadEvidence(predicateType, predicate)
	if err != nil || !reflect.DeepEqual(*ev.Scan, scan) {
		t.Errorf("read back\n%+v, %v, want\n%+v", ev.Scan, err, scan)
	}
	scan.Nothing = "no operating system"
	if _, _, err := attest.NormalisedScan(scan); err == nil {
		t.Error("a scan of nothing becomes a list without findings")
	}
}

func TestReadFrom(t *testing.T) {
	const sbom = `{"spdxVersion": "SPDX-2.3", "creationInfo": {"created": "2026-01-02T03:04:05Z"}, "packages": [{"name": "a"}, {"name": "b"}], "files": []}`
	d, err := attest.ReadFrom("sbom.json", "sbom", strings.NewReader(sbom), 1<<20)
	if err != nil || d.Evidence.SBOM == nil || d.Evidence.SBOM.Packages != 2 || d.Original.Digest != attest.DigestOf([]byte(sbom)) || d.Original.Size != int64(len(sbom)) || d.Predicate != nil {
		t.Errorf("%+v, %v", d, err)
	}
	for name, file := range map[string]string{"too large": sbom + strings.Repeat(" ", 1000), "truncated": sbom[:len(sbom)/2], "not one": "[]", "another": `{"a": 1}`} {
		if _, err := attest.ReadFrom("f", "sbom", strings.NewReader(file), 200); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
