// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// rated is a scan with one finding that has no word for its severity, only this
// rating.
func rated(t testing.TB, method, vector string, score float64) (attest.Document, error) {
	t.Helper()
	rating := map[string]any{"method": method, "vector": vector}
	if score != 0 {
		rating["score"] = score
	}
	text, err := json.Marshal(rating)
	if err != nil {
		t.Fatal(err)
	}
	return attest.ReadDocument("f", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [{"id": "CVE-2026-1", "ratings": [`+string(text)+`], "affects": [{"ref": "pkg:npm/a@1"}]}]}`))
}

// TestCVSS has examples of the specifications and of NVD's calculators.
func TestCVSSScores(t *testing.T) {
	const none = attest.SeverityNone
	for _, tc := range []struct {
		method, vector string
		said, score    float64
		computed       bool
		version        string
		severity       attest.Severity
	}{
		// Version 4.0: base metrics; CVE-2021-44228, CVE-2022-41741, CVE-2020-3549 and CVE-2014-3566 of its examples; bands.
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 0, 10, true, "4.0", "critical"},
		{"CVSSv4", "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0, 7.3, true, "4.0", "high"},
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 0, 7.7, true, "4.0", "high"},
		{"other", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 0, 6.9, true, "4.0", "medium"},
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N", 0, 2.3, true, "4.0", "low"},
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0, 0, true, "4.0", none},
		// What threat and environment say is not of the base score.
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H/E:U/CR:L/MAV:P", 0, 10, true, "4.0", "critical"},
		{"CVSSv31", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:U", 0, 9.8, true, "3.1", "critical"},
		// Versions 3 and 2, with and without their prefix.
		{"CVSSv31", "AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 0, 10, true, "3.1", "critical"},
		{"CVSSv3", "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 0, 6.1, true, "3.0", "medium"},
		{"CVSSv31", "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:L", 0, 1.6, true, "3.1", "low"},
		{"CVSSv31", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0, 0, true, "3.1", none},
		{"CVSSv2", "(AV:N/AC:L/Au:N/C:P/I:P/A:P)", 0, 7.5, true, "2.0", "high"},
		{"", "AV:N/AC:M/Au:N/C:N/I:P/A:N", 0, 4.3, true, "2.0", "medium"},
		{"CVSSv2", "AV:L/AC:H/Au:M/C:N/I:N/A:N", 0, 0, true, "2.0", none},
		// The source's score wins over the vector, and the vector's version over the method's.
		{"CVSSv31", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 3.1, 3.1, false, "3.1", "low"},
		{"CVSSv2", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 0, 9.8, true, "3.1", "critical"},
		// What does not parse is unknown.
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H", 0, 0, false, "4.0", "unknown"},
		{"CVSSv4", "CVSS:4.0/AC:L/AV:N/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 0, 0, false, "4.0", "unknown"},
		{"CVSSv31", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", 0, 0, false, "3.1", "unknown"},
		{"CVSSv31", "CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 0, 0, false, "3.1", "unknown"},
		{"CVSSv31", "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 0, 0, false, "3.1", "unknown"},
		{"CVSSv31", "CVSS:5.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 0, 0, false, "3.1", "unknown"},
		{"CVSSv2", "AV:N/AC:L/Au:N/C:P/I:P/A:P" + strings.Repeat("/E:U", 20), 0, 0, false, "2.0", "unknown"},
		{"other", "SSVCv2/E:N", 0, 0, false, "", "unknown"},
		{"CVSSv31", "", 11, 0, false, "3.1", "unknown"},
	} {
		d, err := rated(t, tc.method, tc.vector, tc.said)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range []attest.Evidence{d.Evidence, again(t, d)} {
			f := ev.Scan.Findings[0]
			if c := f.CVSS[0]; c.Score != tc.score || c.Computed != tc.computed || c.Version != tc.version || c.Vector != tc.vector || f.Severity != tc.severity || f.SaidSeverity != "" || f.Score != tc.score {
				t.Errorf("%s, %v: %+v, %s", tc.vector, tc.said, c, f.Severity)
			}
		}
	}
}

func again(t testing.TB, d attest.Document) attest.Evidence {
	t.Helper()
	ev, err := attest.ReadEvidence(d.PredicateType, d.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// The newest scale says the severity, whatever the others say.
func TestCVSSNewestCounts(t *testing.T) {
	d, err := attest.ReadDocument("f", []byte(`{"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": [{"id": "CVE-2026-1", "ratings": [
		{"method": "CVSSv31", "score": 9.8}, {"method": "CVSSv4", "vector": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N"}, {"method": "CVSSv4"}], "affects": [{"ref": "pkg:npm/a@1"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if f := d.Evidence.Scan.Findings[0]; f.Severity != attest.SeverityNone || f.Score != 9.8 || len(f.CVSS) != 2 {
		t.Errorf("%+v", f)
	}
}

// FuzzCVSS: whatever a vector is, its score is on the scale, and is the same
// read again.
func FuzzCVSS(f *testing.F) {
	for _, seed := range [][2]string{
		{"CVSSv4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H/E:U"}, {"CVSSv31", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/RL:O"},
		{"CVSSv3", "AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}, {"CVSSv2", "(AV:N/AC:L/Au:N/C:P/I:P/A:P/E:U/RL:OF/RC:UC)"},
	} {
		f.Add(seed[0], seed[1], 0.0)
	}
	f.Fuzz(func(t *testing.T, method, vector string, score float64) {
		if math.IsNaN(score) || math.IsInf(score, 0) {
			return
		}
		d, err := rated(t, method, vector, score)
		if err != nil {
			if !errors.Is(err, attest.ErrEvidence) {
				t.Fatal(err)
			}
			return
		}
		one := d.Evidence.Scan.Findings[0]
		for _, c := range one.CVSS {
			tenths := c.Score * 10
			if c.Score < 0 || c.Score > 10 || c.Computed && (score > 0 && score <= 10 || math.Abs(tenths-math.Round(tenths)) > 1e-9) || !c.Computed && c.Score != 0 && c.Score != score {
				t.Fatalf("%s, %v: %+v", vector, score, c)
			}
		}
		if got := again(t, d).Scan.Findings[0]; got.Severity != one.Severity || got.Score != one.Score {
			t.Fatalf("%+v, read again %+v", one, got)
		}
	})
}
