// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestCVSS: scores of vectors, as the calculators of FIRST and NVD give them.
func TestCVSS(t *testing.T) {
	for vector, want := range map[string]float64{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 9.8, "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H": 9.0, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H": 10,
		"CVSS:3.0/AV:L/AC:L/PR:L/UI:R/S:U/C:N/I:N/A:N": 0, "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N": 6.1, "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H": 9.9,
		"CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N": 1.6, "AV:N/AC:L/Au:N/C:P/I:N/A:N": 5.0, "AV:N/AC:L/Au:N/C:C/I:C/A:C": 10, "AV:L/AC:H/Au:M/C:N/I:P/A:N": 0.8,
		"(AV:N/AC:M/Au:N/C:N/I:P/A:N)": 4.3, "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": 9.3,
		"CVSS:3.1/AV:N/AC:L": 0, "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 0, "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": 0, "CVSS:9.9/AV:N/AC:L/PR:N": 0, "words": 0,
	} {
		predicate := fmt.Sprintf(`{"scanner": {"uri": "x", "result": [{"id": "CVE-2026-1", "severity": [{"method": "m", "score": "CVSS:x/"}, {"method": "m", "score": %q}]}]}}`, vector)
		ev, err := attest.ReadEvidence(vulnsPredicateType, []byte(predicate))
		if err != nil || ev.Scan.Findings[0].Score != want {
			t.Errorf("%s is %v, want %v: %v", vector, ev.Scan.Findings[0].Score, want, err)
		}
	}
}

// TestSeverityOrder: a vendor's word, then the newest CVSS, then unknown.
func TestSeverityOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		severity string
		want     attest.Severity
	}{
		"word and score":    {`[{"method": "debian", "score": "low"}, {"method": "CVSSv31", "score": "9.8"}]`, attest.SeverityLow},
		"newest scale":      {`[{"method": "CVSSv2", "score": "9.8"}, {"method": "CVSSv31", "score": "5.0"}]`, attest.SeverityMedium},
		"odd word":          {`[{"method": "x", "score": "spicy"}, {"method": "CVSSv31", "score": "7.0"}]`, attest.SeverityHigh},
		"odd word alone":    {`[{"method": "x", "score": "spicy"}]`, attest.SeverityUnknown},
		"beyond the scale":  {`[{"method": "CVSSv31", "score": "11"}]`, attest.SeverityUnknown},
		"not a number":      {`[{"method": "CVSSv31", "score": "NaN"}]`, attest.SeverityUnknown},
		"no rating at all":  {`[]`, attest.SeverityUnknown},
		"null for a rating": {`null`, attest.SeverityUnknown},
	} {
		ev, err := attest.ReadEvidence(vulnsPredicateType, []byte(`{"scanner": {"uri": "x", "result": [{"id": "CVE-2026-1", "severity": `+tc.severity+`}]}}`))
		if err != nil || ev.Scan.Findings[0].Severity != tc.want {
			t.Errorf("%s: %+v, %v", name, ev.Scan, err)
		}
	}
}

// TestDistinct: what tools call differently is one.
func TestDistinct(t *testing.T) {
	vulnerability := func(id, purl string, aliases ...string) attest.Finding {
		return attest.Finding{Kind: attest.FindingVulnerability, ID: id, Aliases: aliases, Package: "a", Version: "1", PURL: purl}
	}
	findings := []attest.Finding{
		vulnerability("CVE-2026-1", "pkg:npm/a@1?x=y", "GHSA-1"), vulnerability("ghsa-1", "pkg:npm/a@1", "GMS-1"), vulnerability("GMS-1", "pkg:npm/a@1"),
		vulnerability("CVE-2026-1", "pkg:npm/b@1"), vulnerability("CVE-2026-2", "pkg:npm/a@1"), vulnerability("CVE-2026-2", ""), vulnerability("cve-2026-2", ""),
		{Kind: attest.FindingSecret, ID: "key", Locations: []string{"f:1"}}, {Kind: attest.FindingSecret, ID: "key", Locations: []string{"f:2"}},
		{Kind: attest.FindingMisconfiguration, ID: "key", Locations: []string{"f:2"}},
	}
	for n, want := range []int{0, 1, 1, 1, 2, 3, 4, 4, 5, 6, 7} {
		if got := attest.Distinct(findings[:n]); got != want {
			t.Errorf("of the first %d: %d, want %d", n, got, want)
		}
	}
}

// TestNormalisedScan: nothing that a gate looks at gets lost.
func TestNormalisedScan(t *testing.T) {
	scan := attest.Scan{
		Tool: "trivy", ToolVersion: "0.60.0", StartedAt: time.Date(2026, 1, 2, 3, 4, 4, 0, time.UTC), FinishedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		DatabaseAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Packages: 7, Target: "app", Digests: []string{"sha256:" + aa}, Notes: []string{"note"},
		Findings: []attest.Finding{
			{
				Kind: attest.FindingVulnerability, ID: "CVE-2026-1", Aliases: []string{"GHSA-1"}, Title: "bad <b>", Package: "openssl", Version: "3.0.1", PURL: "pkg:deb/debian/openssl@3.0.1", Derived: true,
				FixedVersions: []string{"3.0.2"}, FixState: attest.FixFixed, Severity: attest.SeverityCritical, SaidSeverity: "CRITICAL", Score: 9.8, Tool: "trivy", Source: "debian",
				Ratings: []attest.Rating{{Source: "nvd", Said: "4", Severity: attest.SeverityCritical}}, CVSS: []attest.CVSS{{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 9.8, Source: "nvd"}},
				Locations: []string{"a", "b"}, Suppressed: &attest.Suppression{By: "x", Reason: "y"}, Coarse: true,
			},
			{Kind: attest.FindingSecret, ID: "X-1", Package: "p", FixState: attest.FixUnknown, Severity: attest.SeverityUnknown, SaidSeverity: "Spicy", Tool: "trivy"},
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
	if strings.Contains(string(predicate), ":9.8") || strings.Contains(string(predicate), `\u003c`) {
		t.Errorf("a float or an escape for HTML in %s", predicate)
	}
	scan.Nothing = "no operating system"
	if _, _, err := attest.NormalisedScan(scan); !errors.Is(err, attest.ErrEvidence) {
		t.Errorf("a scan of nothing becomes a list without findings: %v", err)
	}
	for _, change := range [][2]string{{`"kind":"secret"`, `"kind":"joke"`}, {`"fixState":"fixed"`, `"fixState":"perhaps"`}, {`"severity":"unknown"`, `"severity":"lowest"`}, {`"packages":7`, `"packages":-7`}} {
		changed := strings.Replace(string(predicate), change[0], change[1], 1)
		if changed == string(predicate) {
			t.Fatalf("no %s in %s", change[0], predicate)
		}
		if _, err := attest.ReadEvidence(predicateType, []byte(changed)); !errors.Is(err, attest.ErrEvidence) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

// TestNotesAreBounded: the last note says that there are more, and is read back.
func TestNotesAreBounded(t *testing.T) {
	for _, many := range []int{31, 32, 33, 1000} {
		d, err := attest.ReadDocument("f", []byte(`{"summary": {"fatal": 0, "warn": 0, "pass": 1}, "details": [`+numbered(`{"code":"%03d","level":"SKIP"}`, many)+`]}`))
		if err != nil {
			t.Fatal(err)
		}
		notes := d.Evidence.Check.Notes
		if len(notes) != min(many, 32) || (many > 32) != slices.Contains(notes, "and more: not all notes are shown") {
			if many != 32 || len(notes) != 32 { // the last of exactly as many may be either
				t.Errorf("of %d: %q", many, notes)
			}
		}
		if problem := sameAgain(d); problem != "" {
			t.Errorf("of %d: %s", many, problem)
		}
	}
}
