// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// scanOf is the scan in a document, if there is one.
func scanOf(ev attest.Evidence) *attest.Scan {
	if ev.Check != nil {
		return &ev.Check.Scan
	}
	return ev.Scan
}

func TestFormats(t *testing.T) {
	for _, s := range reports() {
		t.Run(s.name, func(t *testing.T) {
			d, err := attest.ReadDocumentAs(s.want, s.name, []byte(s.file))
			if err != nil {
				t.Fatal(err)
			}
			ev := d.Evidence
			if ev.Kind != s.kind || ev.Format != s.format || d.PredicateType != s.predicate || d.Embedded != s.embedded {
				t.Errorf("%s, %s, %s, embedded %v", ev.Kind, ev.Format, d.PredicateType, d.Embedded)
			}
			if d.Original.Digest != attest.DigestOf([]byte(s.file)) || d.Original.Size != int64(len(s.file)) || d.Original.MediaType == "" {
				t.Errorf("original %+v", d.Original)
			}
			var state attest.ScanState
			got, digest, packages := severities(nil), "", 0
			if scan := scanOf(ev); scan != nil {
				state, digest, packages = scan.State(), strings.Join(scan.Digests, " or "), scan.Packages
				for _, f := range scan.Findings {
					if got == nil {
						got = severities{}
					}
					got[f.Severity]++
				}
			}
			if ev.SBOM != nil {
				digest, packages = ev.SBOM.Digest, ev.SBOM.Packages
			}
			if state != s.state || !maps.Equal(got, s.severities) || strings.TrimPrefix(digest, "sha256:") != s.digest || packages != s.packages {
				t.Errorf("%s, %v, digest %q, %d packages", state, got, digest, packages)
			}
		})
	}
}

// TestRoundTrip: what a document becomes says what it said.
func TestRoundTrip(t *testing.T) {
	for _, s := range reports() {
		if s.predicate == "" {
			continue
		}
		d, err := attest.ReadDocumentAs(s.want, s.name, []byte(s.file))
		if err != nil {
			t.Fatal(err)
		}
		if problem := sameAgain(d); problem != "" {
			t.Errorf("%s: %s\n%s", s.name, problem, d.Predicate)
		}
		// And it is the same bytes whenever it is made.
		again, err := attest.ReadDocumentAs(s.want, s.name, []byte(s.file))
		if err != nil || !bytes.Equal(again.Predicate, d.Predicate) {
			t.Errorf("%s: another predicate, %v", s.name, err)
		}
	}
}

// sameAgain says what is lost if a document's predicate is read, or "".
func sameAgain(d attest.Document) string {
	if _, err := attest.NewStatement(attest.DigestOf(nil), d.PredicateType, d.Predicate); err != nil {
		return err.Error()
	}
	again, err := attest.ReadEvidence(d.PredicateType, d.Predicate)
	if err != nil {
		return err.Error()
	}
	want := d.Evidence
	for _, ev := range []*attest.Evidence{&again, &want} {
		ev.Format, ev.Within = "", ""
		if s := scanOf(*ev); s != nil { // predicates' times are to the second
			c := *s
			for _, at := range []*time.Time{&c.StartedAt, &c.FinishedAt, &c.DatabaseAt} {
				*at = at.Truncate(time.Second)
			}
			c.Notes = nil
			if ev.Check != nil {
				check := *ev.Check
				check.Scan, ev.Check = c, &check
			} else {
				ev.Scan = &c
			}
		}
	}
	if want.VEX != nil && !d.Embedded { // in OpenVEX, which has versions in names and the reason elsewhere
		want.VEX = inOpenVEX(want.VEX)
	}
	strip := func(ev attest.Evidence) string { // without what is not exported
		return fmt.Sprintf("%s %+v %+v %+v %+v %+v", ev.Kind, ev.SBOM, scanOf(ev), ev.VEX, ev.Test, ev.Provenance)
	}
	if scanOf(again) != nil && scanOf(want) != nil && !reflect.DeepEqual(scanOf(again), scanOf(want)) || again.Kind != want.Kind || scanOf(again) == nil && strip(again) != strip(want) {
		return fmt.Sprintf("read again as %s, was %s", strip(again), strip(want))
	}
	return ""
}

// inOpenVEX is what is left of VEX in the terms of OpenVEX.
func inOpenVEX(v *attest.VEX) *attest.VEX {
	out := &attest.VEX{Author: v.Author, At: v.At}
	for _, s := range v.Statements {
		s.Justification = ""
		var products []attest.VEXProduct
		for _, p := range s.Products {
			if len(p.Versions) == 0 {
				p.Versions = []string{""}
			}
			for _, id := range p.IDs {
				for _, version := range p.Versions {
					switch base, rest, _ := strings.Cut(id, "?"); {
					case strings.HasPrefix(version, "vers:"):
						if rest != "" {
							rest += "&"
						}
						products = append(products, attest.VEXProduct{IDs: []string{base + "?" + rest + "vers=" + strings.NewReplacer("/", "%2F", ">", "%3E", "=", "%3D", "|", "%7C", "<", "%3C", "*", "%2A").Replace(version)}})
					case version != "" && !strings.HasSuffix(id, "@"+version):
						products = append(products, attest.VEXProduct{IDs: []string{id + "@" + version}})
					default:
						products = append(products, attest.VEXProduct{IDs: []string{id}})
					}
				}
			}
		}
		s.Products = products
		out.Statements = append(out.Statements, s)
	}
	return out
}

// TestSecretsAreNotKept: of a secret that was found nobody learns more than
// where it is.
func TestSecretsAreNotKept(t *testing.T) {
	for name, file := range map[string]string{"trivy": trivySecrets, "gitleaks": gitleaksReport, "gitlab": gitlabSecrets} {
		d := read(t, file)
		if !d.Original.Secret || d.Embedded {
			t.Errorf("%s: secret %v, embedded %v", name, d.Original.Secret, d.Embedded)
		}
		if said := fmt.Sprintf("%s %+v %+v", d.Predicate, scanOf(d.Evidence), d); strings.Contains(said, "HUNTER2") || strings.Contains(said, fmt.Sprint([]byte("HUNTER2")[1:5])) {
			t.Errorf("%s: the secret is in %s", name, said)
		}
		scan := scanOf(d.Evidence)
		if f := scan.Findings[len(scan.Findings)-1]; f.Kind != attest.FindingSecret || len(f.Locations) == 0 || f.ID == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestFindingDetails(t *testing.T) {
	one := func(want, file, id string) attest.Finding {
		t.Helper()
		d, err := attest.ReadDocumentAs(want, "f", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range scanOf(d.Evidence).Findings {
			if f.ID == id {
				return f
			}
		}
		t.Fatalf("no %s in %+v", id, scanOf(d.Evidence).Findings)
		return attest.Finding{}
	}
	if f := one("", sarifTrivy, "CVE-2026-0001"); f.Package != "openssl" || f.Version != "3.0.1" || f.FixedVersions[0] != "3.0.2" || f.FixState != attest.FixUnknown ||
		!f.Coarse || f.Locations[0] != "library/app:1" || f.CVSS[0].Score != 9.8 || f.Tool != "trivy" || f.SaidSeverity != "9.8" {
		t.Errorf("SARIF by Trivy: %+v", f)
	}
	if f := one("", sarifGrype, "CVE-2026-0003"); f.Package != "busybox" || f.Version != "1.36.0" || f.PURL != "pkg:apk/alpine/busybox@1.36.0?arch=amd64" {
		t.Errorf("SARIF by Grype: %+v", f)
	}
	if f := one("", clairReport, "CVE-2026-0001"); f.PURL != "pkg:deb/debian/openssl@3.0.1" || !f.Derived || f.FixState != attest.FixFixed || f.CVSS[0].Score != 7.5 || f.Source != "debian/updater" {
		t.Errorf("Clair: %+v", f)
	}
	if f := one("", clairReport, "CVE-2026-0002"); f.FixState != attest.FixUnknown || f.FixedVersions != nil {
		t.Errorf("Clair without a fix: %+v", f)
	}
	if f := one("", snykReport, "CVE-2026-0001"); f.PURL != "pkg:npm/a@1.0.0" || !f.Derived || len(f.Locations) != 2 || f.SaidSeverity != "critical" || len(f.Aliases) != 2 {
		t.Errorf("Snyk: %+v", f)
	}
	if f := one("", snykReport, "SNYK-JS-B-1"); f.Suppressed == nil || f.Suppressed.Reason != "not used" {
		t.Errorf("Snyk ignored: %+v", f)
	}
	if f := one("", snykDebian, "CVE-2026-0001"); f.PURL != "pkg:deb/debian/libssl1.1@1.1.1n-0%2Bdeb11u3" || !f.Derived || f.Package != "openssl/libssl1.1" {
		t.Errorf("Snyk of a distribution: %+v", f)
	}
	if f := one("", snykUnmanaged, "CVE-2026-0001"); f.Package != "curl" || f.PURL != "" || f.Version != "7.58.0" || f.FixState != attest.FixFixed || f.Locations[0] != "https://curl.example|curl@7.58.0" || f.Score != 7.5 {
		t.Errorf("Snyk unmanaged: %+v", f)
	}
	if f := one("", snykUnmanaged, "SNYK-UNMANAGED-Z-1"); f.Suppressed == nil || f.Package != "z" {
		t.Errorf("Snyk unmanaged, ignored: %+v", f)
	}
	if f := one("", snykUnmanaged, "snyk:lic:curl"); f.Kind != attest.FindingLicense || f.FixState != attest.FixUnknown {
		t.Errorf("Snyk unmanaged, license: %+v", f)
	}
	if f := one("", gitlabReport, "CVE-2026-0001"); f.Package != "openssl" || f.FixedVersions != nil || f.Aliases[0] != "hash" {
		t.Errorf("GitLab: %+v", f)
	}
	if f := one("scan", cdxScan, "CVE-2026-0001"); f.PURL != "pkg:deb/debian/openssl@3.0.1" || f.SaidSeverity != "medium" || len(f.Ratings) != 2 || f.Score != 9.8 {
		t.Errorf("CycloneDX: %+v", f)
	}
	if f := one("", trivyConfig, "DS002"); f.Kind != attest.FindingMisconfiguration || f.Locations[0] != "Dockerfile:3" || f.Aliases[0] != "AVD-DS-0002" {
		t.Errorf("Trivy config: %+v", f)
	}
	// A severity that nobody knows and a package URL that does not parse are kept.
	odd := one("", `{"SchemaVersion": 2, "ArtifactName": "a", "Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-9", "Severity": "Spicy", "PkgIdentifier": {"PURL": "pkg:%zz"}}]}]}`, "CVE-2026-9")
	if odd.Severity != attest.SeverityUnknown || odd.SaidSeverity != "Spicy" || odd.PURL != "pkg:%zz" || attest.ValidPURL(odd.PURL) {
		t.Errorf("odd: %+v", odd)
	}
}

func TestChecks(t *testing.T) {
	for name, want := range map[string]struct {
		file, result string
		passed       int
	}{
		"hadolint": {hadolintReport, "WARNED", 0}, "unparsed": {hadolintUnparsed, "FAILED", 0}, "dockle": {dockleReport, "FAILED", 9}, "kube-bench": {kubebenchReport, "FAILED", 1},
		"gitleaks": {gitleaksReport, "FAILED", 0}, "sast": {sarifSAST, "FAILED", 1}, "config": {trivyConfig, "FAILED", 23},
	} {
		if c := read(t, want.file).Evidence.Check; c.Result != want.result || c.Passed != want.passed {
			t.Errorf("%s: %s, %d passed", name, c.Result, c.Passed)
		}
	}
	// A predicate that says another result than its findings is no check.
	d := read(t, hadolintReport)
	lie := strings.Replace(string(d.Predicate), `"result":"WARNED"`, `"result":"PASSED"`, 1)
	if _, err := attest.ReadEvidence(d.PredicateType, []byte(lie)); !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), "by the findings it is WARNED") {
		t.Error(err)
	}
}

// TestCycloneDXVEX: several entries of one vulnerability, each about exactly
// what it names.
func TestCycloneDXVEX(t *testing.T) {
	v := read(t, cdxVEX).Evidence.VEX
	if len(v.Statements) != 5 {
		t.Fatalf("%+v", v.Statements)
	}
	for i, want := range []attest.VEXStatement{
		{Vulnerability: "CVE-2026-0001", Aliases: []string{"GHSA-aaaa-bbbb-cccc"}, Status: attest.VEXNotAffected, Justification: "code_not_reachable", Products: []attest.VEXProduct{{IDs: []string{"pkg:deb/debian/openssl@3.0.1"}}}},
		{Vulnerability: "CVE-2026-0001", Status: attest.VEXAffected, Products: []attest.VEXProduct{{IDs: []string{"pkg:deb/debian/openssl"}, Versions: []string{"vers:deb/>=3.0.2|<3.1"}}}},
		{Vulnerability: "CVE-2026-0002", Status: attest.VEXFixed, Products: []attest.VEXProduct{{IDs: []string{"pkg:deb/debian/zlib"}, Versions: []string{"1.3", "1.4"}}}},
		{Vulnerability: "CVE-2026-0003", Status: attest.VEXNotAffected, Products: []attest.VEXProduct{{IDs: []string{"app"}}}},
		{Vulnerability: "CVE-2026-0004", Status: attest.VEXUnderInvestigation, Products: []attest.VEXProduct{{IDs: []string{"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#product-ABC"}, Unresolved: true}}},
	} {
		if want.At = at; !reflect.DeepEqual(v.Statements[i], want) {
			t.Errorf("%+v\nwant %+v", v.Statements[i], want)
		}
	}
	// VEX inside of an SBOM becomes a document of its own, if that can say it.
	both := strings.Replace(cdxVEX, `"vulnerabilities"`, `"components": [{"name": "x"}], "vulnerabilities"`, 1)
	if _, err := attest.ReadDocumentAs("vex", "f", []byte(both)); !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), "OpenVEX cannot name") {
		t.Error(err)
	}
	// A range of versions is a qualifier there.
	ranged := `{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"name": "x"}], "vulnerabilities": [{"id": "CVE-2026-0002", "analysis": {"state": "exploitable"}, "affects": [
		{"ref": "pkg:deb/debian/zlib?arch=amd64#lib", "versions": [{"range": "vers:deb/>=1|<2"}, {"version": "3"}]}]}]}`
	of, err := attest.ReadDocumentAs("vex", "f", []byte(ranged))
	if err != nil || !strings.Contains(string(of.Predicate), `[{"@id":"pkg:deb/debian/zlib?arch=amd64&vers=vers:deb%2F%3E%3D1%7C%3C2#lib"},{"@id":"pkg:deb/debian/zlib@3?arch=amd64#lib"}]`) {
		t.Errorf("%s, %v", of.Predicate, err)
	}
	simple := `{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"bom-ref": "c", "name": "zlib", "purl": "pkg:deb/debian/zlib@1"}],
		"vulnerabilities": [{"id": "CVE-2026-0002", "analysis": {"state": "not_affected"}, "affects": [{"ref": "c"}]}]}`
	d, err := attest.ReadDocumentAs("vex", "f", []byte(simple))
	if err != nil || d.PredicateType != "https://openvex.dev/ns/v0.2.0" {
		t.Fatal(d, err)
	}
	ev, err := attest.ReadEvidence(d.PredicateType, d.Predicate)
	if err != nil || len(ev.VEX.Statements) != 1 || ev.VEX.Statements[0].Products[0].IDs[0] != "pkg:deb/debian/zlib@1" {
		t.Errorf("%s: %+v, %v", d.Predicate, ev.VEX, err)
	}
}

// TestStreamedSBOMs: an SBOM is the same read as a stream, however it arrives.
func TestStreamedSBOMs(t *testing.T) {
	for _, s := range reports() {
		if s.kind != attest.EvidenceSBOM {
			continue
		}
		whole := read(t, s.file)
		for _, want := range []string{"sbom", s.format} {
			d, err := attest.ReadFrom("f", want, iotest.HalfReader(strings.NewReader(s.file)), 1<<20)
			if err != nil || !reflect.DeepEqual(d.Evidence.SBOM, whole.Evidence.SBOM) || d.Original != whole.Original || d.PredicateType != whole.PredicateType || d.Predicate != nil {
				t.Errorf("%s as %s: %+v, %v", s.name, want, d, err)
			}
		}
		if _, err := attest.ReadFrom("f", "sbom", strings.NewReader(s.file), int64(len(s.file)-1)); !errors.Is(err, attest.ErrTooLarge) || !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s: above the limit: %v", s.name, err)
		}
		if _, err := attest.ReadFrom("f", "scan", strings.NewReader(s.file), 1<<20); !strings.HasSuffix(s.name, "with both") && !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s as a scan: %v", s.name, err)
		}
		broken := errors.New("connection lost")
		if _, err := attest.ReadFrom("f", "sbom", iotest.DataErrReader(&halfway{s.file[:len(s.file)/2], broken}), 1<<20); !errors.Is(err, broken) || errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s: broken off: %v", s.name, err)
		}
	}
	// What is no SBOM is read whole.
	d, err := attest.ReadFrom("f", "", strings.NewReader(trivyReport), 1<<20)
	if err != nil || d.Evidence.Scan == nil || string(d.Predicate) == "" || d.Original.Size != int64(len(trivyReport)) {
		t.Errorf("%+v, %v", d, err)
	}
	// What is too large for anything else is an SBOM.
	large := `{"spdxVersion": "SPDX-2.3", "packages": [` + strings.Repeat(`{"name": "`+strings.Repeat("p", 1000)+`"},`, 17_000) + `{"name": "last"}]}`
	if d, err = attest.ReadFrom("f", "", strings.NewReader(large), 1<<30); err != nil || d.Evidence.SBOM.Packages != 17_001 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err = attest.ReadFrom("f", "scan", strings.NewReader(large), 1<<30); !errors.Is(err, attest.ErrTooLarge) {
		t.Error(err)
	}
}

// halfway is a reader that breaks off.
type halfway struct {
	rest string
	err  error
}

func (h *halfway) Read(p []byte) (int, error) {
	if h.rest == "" {
		return 0, h.err
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	return n, nil
}

func TestAbout(t *testing.T) {
	a, b := attest.Digest("sha256:"+aa), attest.Digest("sha256:"+bb)
	for name, file := range map[string]string{"clair": clairReport, "dockle": dockleReport, "syft": syftReport, "sarif": sarifTrivy} {
		ev := read(t, file).Evidence
		if err := ev.About(a, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ev.About(a); !errors.Is(err, attest.ErrOtherArtifact) || !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), "is about sha256:"+bb+", not about sha256:"+aa) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := read(t, trivyReport).Evidence.About(a); err != nil {
		t.Error(err)
	}
}

// TestPredicateTypesOf: what a document becomes is among what its kind becomes.
func TestPredicateTypesOf(t *testing.T) {
	for _, s := range reports() {
		if s.predicate == "" {
			continue
		}
		for _, kind := range []attest.EvidenceKind{s.kind, ""} {
			if types := attest.PredicateTypesOf(kind); !slices.Contains(types, s.predicate) {
				t.Errorf("%s: %s is not in %v", s.name, s.predicate, types)
			}
		}
	}
	if types := attest.PredicateTypesOf("nonsense"); types != nil {
		t.Error(types)
	}
}
