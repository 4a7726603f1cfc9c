// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

var digest = attest.DigestOf([]byte("image"))

func fact(predicateType, predicate string) policy.Fact {
	return policy.Fact{
		PredicateType: predicateType, Bound: true, SAN: "https://h.example/attestor", Issuer: "https://h.example", SignedAt: time.Unix(1, 0), LogIndex: 3, LogID: "aa",
		Bundle: "sha256:b", Extensions: map[string]string{"buildSignerURI": "https://ci.example/workflow", "runInvocationURI": "https://ci.example/runs/1"}, Predicate: []byte(predicate),
	}
}

func TestOf(t *testing.T) {
	const vuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
	d, ok := document.Of(fact("https://spdx.dev/Document", `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a"}]}`), digest)
	want := policy.Document{
		Kind: policy.EvidenceSBOM, PredicateType: "https://spdx.dev/Document", Digest: string(digest), Signer: "https://h.example/attestor", Issuer: "https://h.example",
		Author: "https://ci.example/workflow", Run: "https://ci.example/runs/1", At: time.Unix(1, 0), LogIndex: 3, LogID: "aa", Bundle: "sha256:b",
	}
	if !ok || d.SBOM == nil || *d.SBOM != (policy.SBOM{Format: "SPDX", Version: "2.3", Packages: 1}) {
		t.Errorf("SBOM %+v", d)
	}
	d.SBOM = nil
	if !same(d, want) {
		t.Errorf("document %+v, want %+v", d, want)
	}
	report := func(repoDigest string) string {
		return `{"invocation": {}, "scanner": {"result": {"descriptor": {"name": "grype"}, "matches": [{"vulnerability": {"id": "CVE-1", "severity": "High"}}],
			"source": {"target": {"repoDigests": ["r/app@` + repoDigest + `"]}}}}}`
	}
	if d, ok = document.Of(fact(vuln, report(string(digest))), digest); !ok || d.Problem != "" || len(d.Scan.Findings) != 1 || d.Scan.Findings[0].Severity != "high" {
		t.Errorf("scan %+v", d)
	}
	// Of an image that has two digests, and of two that are both another's.
	if d, ok = document.Of(fact(vuln, report("sha256:00\", \"r/app@"+string(digest))), digest); !ok || d.Problem != "" {
		t.Errorf("scan of two digests %+v", d)
	}
	if d, ok = document.Of(fact(vuln, report("sha256:00\", \"r/app@sha256:01")), digest); !ok || d.Scan != nil || !strings.Contains(d.Problem, "is about sha256:00 or sha256:01, not about") {
		t.Errorf("another image's two digests %+v", d)
	}
	// A report about another image, whatever its statement says.
	if d, ok = document.Of(fact(vuln, report("sha256:00")), digest); !ok || d.Scan != nil || !strings.Contains(d.Problem, "is about sha256:00, not about") {
		t.Errorf("another image's scan %+v", d)
	}
	if d, ok = document.Of(fact(vuln, `{"scanner": {}, "invocation": {}}`), digest); !ok || d.Scan != nil || !strings.Contains(d.Problem, "$.scanner.result: missing") {
		t.Errorf("unreadable %+v", d)
	}
	// Who signs in their own name is their own author.
	alone := fact("https://openvex.dev/ns", `{"@context": "https://openvex.dev/ns", "statements": [{"vulnerability": {"name": "CVE-1"}, "status": "fixed", "products": [{"@id": "pkg:oci/a"}]}]}`)
	alone.Extensions = nil
	if d, ok = document.Of(alone, digest); !ok || d.Author != alone.SAN || len(d.VEX) != 1 || d.VEX[0].Products[0].IDs[0] != "pkg:oci/a" {
		t.Errorf("VEX %+v", d)
	}
	if d, ok = document.Of(fact("https://cyclonedx.org/bom", `{"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": "urn:uuid:3E671687-395b-41f5-a30f-a58921a69b79", "version": 2, "components": []}`), digest); !ok || d.SBOM.Serial != "3e671687-395b-41f5-a30f-a58921a69b79/2" {
		t.Errorf("BOM %+v", d.SBOM)
	}
	unbound := fact("https://spdx.dev/Document", `{}`)
	unbound.Bound = false
	for name, f := range map[string]policy.Fact{"a signature": fact(policy.PredicateSignature, `{}`), "another subject": unbound, "another type": fact("https://x.example/y", `{}`)} {
		if d, ok := document.Of(f, digest); ok {
			t.Errorf("%s is evidence: %+v", name, d)
		}
	}
}

func same(a, b policy.Document) bool {
	return a.Kind == b.Kind && a.PredicateType == b.PredicateType && a.Digest == b.Digest && a.Signer == b.Signer && a.Issuer == b.Issuer && a.Author == b.Author && a.Run == b.Run &&
		a.At.Equal(b.At) && a.LogIndex == b.LogIndex && a.LogID == b.LogID && a.Bundle == b.Bundle && a.Problem == b.Problem
}

// TestOfRelated: what names a next of kin is about the artifact; who cannot say
// decides nothing; nobody is asked about what names the artifact itself, or nothing.
func TestOfRelated(t *testing.T) {
	index, stranger := attest.DigestOf([]byte("index")), attest.DigestOf([]byte("stranger"))
	bom := func(name attest.Digest) policy.Fact {
		return fact("https://cyclonedx.org/bom", `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}], "metadata": {"component": {"name": "app",
			"properties": [{"name": "aquasecurity:trivy:RepoDigest", "value": "r/app@`+string(name)+`"}]}}}`)
	}
	asked := 0
	kin := func(named []attest.Digest) ([]attest.Digest, error) {
		if asked++; len(named) == 1 && named[0] == index {
			return named, nil
		}
		return nil, nil
	}
	for name, tc := range map[string]struct {
		names  attest.Digest
		counts bool
		asked  int
	}{"itself": {digest, true, 0}, "its index": {index, true, 1}, "a stranger": {stranger, false, 1}} {
		asked = 0
		d, ok, err := document.OfRelated(bom(tc.names), digest, kin)
		if err != nil || !ok || (d.Problem == "") != tc.counts || (d.SBOM != nil) != tc.counts || asked != tc.asked {
			t.Errorf("%s: %+v, %v, asked %d times", name, d, err, asked)
		}
	}
	if d, ok := document.Of(bom(index), digest); !ok || !strings.Contains(d.Problem, "$.metadata.component: is about "+string(index)) {
		t.Errorf("without relatives: %+v", d)
	}
	down := errors.New("down")
	if _, ok, err := document.OfRelated(bom(index), digest, func([]attest.Digest) ([]attest.Digest, error) { return nil, down }); ok || !errors.Is(err, down) {
		t.Errorf("who cannot say: %v, %v", ok, err)
	}
}

// TestVEXIsExact: where it is not certain what a statement is about, it excuses
// nothing, and takes excuses back.
func TestVEXIsExact(t *testing.T) {
	vex := func(state, affects string) []policy.VEXStatement {
		t.Helper()
		d, ok := document.Of(fact("https://cyclonedx.org/bom", `{"bomFormat": "CycloneDX", "specVersion": "1.5", "vulnerabilities": [
			{"id": "CVE-2026-1", "analysis": {"state": "`+state+`"}, "affects": [`+affects+`]}]}`), digest)
		if !ok || d.Problem != "" || d.Kind != policy.EvidenceVEX {
			t.Fatalf("%+v", d)
		}
		return d.VEX
	}
	const (
		linked = `{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#product-ABC"}`
		ranged = `{"ref": "pkg:npm/a", "versions": [{"range": "vers:npm/<2"}]}`
		exact  = `{"ref": "pkg:npm/a", "versions": [{"version": "1"}]}`
	)
	if got := vex("not_affected", linked); len(got) != 1 || got[0].Products[0].IDs[0] != "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#product-ABC" {
		t.Errorf("policy does not see the link: %+v", got)
	}
	if got := vex("not_affected", ranged); len(got) != 1 || got[0].Products[0].IDs[0] != "pkg:npm/a" || got[0].Products[0].Versions[0] != "vers:npm/<2" {
		t.Errorf("policy does not see the range: %+v", got)
	}
	// A range of what only the author can resolve.
	const rangedLink = `{"ref": "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#product-ABC", "versions": [{"range": "vers:generic/<2"}]}`
	if got := vex("not_affected", rangedLink); len(got) != 0 {
		t.Errorf("excuses %+v", got)
	}
	for _, affects := range []string{linked, ranged} {
		if got := vex("exploitable", affects); len(got) != 1 || len(got[0].Products) != 1 {
			t.Errorf("%s takes nothing back: %+v", affects, got)
		}
	}
	if got := vex("resolved", ranged+","+exact); len(got) != 1 || len(got[0].Products) != 2 || got[0].Products[1].Versions[0] != "1" {
		t.Errorf("%+v", got)
	}
}

// TestChecksAreNoTests: what a linter says is neither a test result nor a scan.
func TestChecksAreNoTests(t *testing.T) {
	read, err := attest.ReadDocumentAs("hadolint", "f", []byte(`[]`))
	if err != nil {
		t.Fatal(err)
	}
	d, ok := document.Of(fact(read.PredicateType, string(read.Predicate)), digest)
	if !ok || d.Kind != policy.EvidenceLint || d.Test != nil || d.Scan == nil || d.Problem != "" {
		t.Errorf("%+v", d)
	}
	read, err = attest.ReadDocument("f", []byte(`{"image": "r/a@`+string(attest.DigestOf(nil))+`", "summary": {"fatal": 0, "warn": 0, "info": 0, "skip": 0, "pass": 1}, "details": []}`))
	if err != nil {
		t.Fatal(err)
	}
	if d, _ = document.Of(fact(read.PredicateType, string(read.Predicate)), digest); !strings.Contains(d.Problem, "is about "+string(attest.DigestOf(nil))) {
		t.Errorf("another image's: %+v", d)
	}
}
