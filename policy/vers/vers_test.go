// SPDX-License-Identifier: Apache-2.0

package vers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy/vers"
)

// TestContains has the examples of the specification, and for each scheme what
// a reader who takes it for another one would get wrong.
func TestContains(t *testing.T) {
	const in, out, unknown = "in", "out", "unknown"
	for _, tc := range []struct{ text, answers string }{
		// Of the specification.
		{"vers:npm/1.2.3|>=2.0.0|<5.0.0", "1.2.3 in, 1.2.4 out, 2.0.0 in, 4.9.9 in, 5.0.0 out, v3.0.0 in, 3 in, three unknown"},
		{"vers:gem/>=2.2.0|!=2.2.1|<2.3.0", "2.2.0 in, 2.2.1 out, 2.2.2 in, 2.3.0 out, 2.3.0.pre1 in, 2.1 out"},
		{"vers:pypi/0.0.0|0.0.1|0.0.2|0.0.3|1.0|2.0pre1", "0.0.2 in, 0.0.4 out, 1.0.0 in, 2.0rc1 in, 2.0 out"},
		{"vers:maven/>=1.0.0-beta1|<=1.7.5|>=7.0.0-M1|<=7.0.7|>=7.1.0|<=7.1.2|>=8.0.0-M1|<=8.0.1",
			"1.0.0-alpha out, 1.0.0 in, 1.7.5 in, 1.7.6 out, 7.0.0-M1 in, 7.0.8 out, 7.1.1 in, 8.0.0 in, 8.0.2 out"},
		{"vers:npm/*", "1.0.0 in, nonsense in"},
		{"vers:pypi/<=1.3.0|3.0.0", "1.0.0 in, 1.3.0 in, 2 out, 3.0.0 in, 3.1 out"},
		{"vers:pypi/>0.0.2", "0.0.3 in, 0.0.2 out, 0.0.1 out"},
		{"vers:pypi/<0.0.2", "0.0.0.1 in, 0.0.2 out"},
		{"vers:pypi/<=1.0.0|>=2.0.0", "1.5 out, 1.0 in, 2.0 in, 9 in"},
		{"vers:all/*", "anything in"},
		{"vers:none/*", "anything out"},
		// What is not in a range says nothing of the rest.
		{"vers:npm/!=1.2.3", "1.2.3 out, 1.2.4 unknown"},
		// Orders.
		{"vers:semver/>=1.0.0-alpha.2|<1.0.0", "1.0.0-alpha.10 in, 1.0.0-alpha.1 out, 1.0.0-beta in, 1.0.0-rc.1+build in, 1.0.0 out"},
		{"vers:golang/>=v1.2.0|<v1.3.0", "v1.2.1-0.20260101000000-aaaaaaaaaaaa in, 1.2.5 in, v1.2.0-rc.1 out, v1.3.0+incompatible out"},
		{"vers:golang/>=1.2.0", "v1.2.0 in"},
		{"vers:pypi/>=1.0|<2.0", "1.0.post1 in, 1.0.dev1 out, 1.0rc1 out, 2.0rc1 in, 1!1.0 out, 1.0+local in"},
		{"vers:pypi/>=1%211.0", "2.0 out, 1!1.5 in"},
		{"vers:deb/>=1:1.1.1k-1|<1:1.1.1n-0+deb11u4", "1:1.1.1n-0+deb11u3 in, 1:1.1.1n-0+deb11u4 out, 1.1.1n-0+deb11u3 out, 1:1.1.1n-0~rc1 in, 1:1.1.1k-1~bpo1 out"},
		{"vers:deb/<1.0", "1.0~rc1 in, 1.0-1 out, 0.9 in, 0.09 in, 0.10 in, x1 unknown"},
		{"vers:rpm/>=1.1.1k-5.el8|<1.1.1k-12.el8", "1.1.1k-6.el8 in, 1.1.1k-12.el8 out, 1.1.1k unknown, 1.1.1j-99.el8 out, 1:1.1.1k-6.el8 out"},
		{"vers:rpm/>1.2", "1.2-3 unknown, 1.2 out, 1.2^git1 in, 1.2~rc1 out, 1.10-1 in, 1 2 unknown"},
		{"vers:apk/>=1.1.1_alpha|<1.1.1t-r3", "1.1.1_alpha in, 1.1.1 in, 1.1.1t-r2 in, 1.1.1t-r10 out, 1.1.1_pre1 in, 1.1.0z out, 1.1.1t-x1 unknown"},
		{"vers:alpine/>=1.2.3-r0|<1.2.3-r10", "1.2.3-r9 in, 1.2.3-r10 out"},
		{"vers:nuget/>=1.0.0-beta|<1.0.0.1", "1.0.0-BETA in, 1.0.0 in, 1.0.0.0 in, 1.0.0.1 out, 1.0.0-alpha out, 8*0 unknown, 1.* unknown, 1.0.0-* unknown"},
		{"vers:maven/>=1.0|<1.0.1", "1.0.0 in, 1-SNAPSHOT out, 1.0.1-rc1 in, 1.ga in, 1.0-sp in"},
		{"vers:composer/>=v2.0|<2.10", "2.9.1 in, 2.10.0 out, v2.1 in, 2.9.0-RC1 unknown, dev-main unknown"},
		{"vers:generic/>=2.9|<=4.1", "2.10 in, 4.1.0 in, 4.1.1 out, 3.0a unknown"},
		{"vers:intdot/>=10.234.5.12", "10.234.5.12 in, 10.234.5.2 out, 11 in, 010.234.6 in"},
		{"vers:datetime/>=2026-01-01T00:00:00Z|<2026-02-01T00:00:00+01:00", "2026-01-31T22:59:59Z in, 2026-01-31T23:00:00Z out, yesterday unknown"},
		{"vers:lexicographic/>=b|<d", "c in, B out, da out"},
		// A number that does not fit is no version: nobody sees the difference between two of them.
		{"vers:deb/<99999999999999999", "1 in, 9999999999999999999 unknown"},
	} {
		r, err := vers.Parse(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		for pair := range strings.SplitSeq(tc.answers, ", ") {
			cut := strings.LastIndexByte(pair, ' ')
			version, want := pair[:cut], pair[cut+1:]
			got := out
			switch is, known := r.Contains(version); {
			case !known:
				got = unknown
			case is:
				got = in
			}
			if got != want {
				t.Errorf("%s: %s is %s, want %s", tc.text, version, got, want)
			}
		}
		if again, err := vers.Parse(r.String()); err != nil || again.String() != r.String() {
			t.Errorf("%s becomes %s: %v", tc.text, r, err)
		}
	}
}

// TestParseErrors: what could be read in two ways is not read.
func TestParseErrors(t *testing.T) {
	many := "vers:npm/"
	for i := range vers.MaxConstraints + 1 {
		many += fmt.Sprintf("%d|", i)
	}
	for text, says := range map[string]string{
		"":                             `does not begin with "vers:"`,
		"npm/1":                        `does not begin with "vers:"`,
		"VERS:npm/1":                   `does not begin with "vers:"`,
		"vers:npm":                     "no constraints",
		"vers:npm/":                    "no constraints",
		"vers:NPM/1":                   `scheme "NPM" is not known`,
		"vers:openssl/1.0.2k":          `scheme "openssl" is not known`,
		"vers:all/1":                   "no constraint but *",
		"vers:none/>1":                 "no constraint but *",
		"vers:npm/>=1.0.0| <2.0.0":     "want a version",
		"vers:npm/|>=1.0.0|<2.0.0":     "want a version",
		"vers:npm/>=1.0.0|<2.0.0|":     "want a version",
		"vers:npm/>=1.0.0||<2.0.0":     "want a version",
		"vers:npm/>=2.0.0|<1.0.0":      "1.0.0 is before 2.0.0: constraints are sorted",
		"vers:npm/>=1.0.0|*":           "want a version",
		"vers:npm/**":                  "want a version",
		"vers:npm/1.0%2G0":             "want a version",
		"vers:npm/1.0.0%2b1":           "want a version",
		"vers:npm/1.0.0%":              "want a version",
		"vers:npm/1.0%252F0":           `"1.0%2F0" is not a version of npm`,
		"vers:npm/1.0.0\n":             "want a version",
		"vers:npm/1.0.0%0A":            "want a version",
		"vers:npm/=>1.0.0":             "want a version",
		"vers:npm/~1.0.0":              "is not a version of npm",
		"vers:npm/1.x":                 "is not a version of npm",
		"vers:nuget/1.*":               "want a version",
		"vers:npm/1.0.0|1.0.0+build":   "appears twice",
		"vers:pypi/1.0|1.0.0":          "appears twice",
		"vers:npm/>=1|>=2":             ">=2 does not fit",
		"vers:npm/<1|<2":               "<2 does not fit",
		"vers:npm/1|<2":                "<2 does not fit",
		"vers:npm/>=1|2|<3":            "2 is listed inside of an interval",
		"vers:npm/>1|!=2|>3":           ">3 does not fit",
		"vers:rpm/>=1.2|<1.2-3":        "which of 1.2 and 1.2-3 is the later",
		"vers:deb/9999999999999999999": "is not a version of deb",
		strings.TrimSuffix(many, "|"):  "more than 256 constraints",
		"vers:npm/" + strings.Repeat("1", vers.MaxLength): "the limit is 4096",
	} {
		if r, err := vers.Parse(text); !errors.Is(err, vers.ErrRange) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80q is %v, %v, want %s", text, r, err, says)
		}
	}
}

func TestFits(t *testing.T) {
	for text, answers := range map[string]string{
		"vers:npm/1":     "npm yes, pypi no, generic no",
		"vers:semver/1":  "npm yes, golang yes, cargo yes, pypi no, deb no, generic yes, maven no",
		"vers:alpine/1":  "apk yes, deb no",
		"vers:deb/1":     "deb yes, rpm no, apk no",
		"vers:generic/1": "generic yes, github yes, npm no, deb no",
		"vers:all/*":     "anything yes",
	} {
		r, err := vers.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for pair := range strings.SplitSeq(answers, ", ") {
			if kind, want, _ := strings.Cut(pair, " "); r.Fits(kind) != (want == "yes") {
				t.Errorf("%s for %s: %v", text, kind, r.Fits(kind))
			}
		}
	}
}

func TestCompare(t *testing.T) {
	for _, tc := range []struct {
		kind, a, b string
		order      int
		known      bool
	}{
		{"pypi", "1.0", "1.0.0", 0, true},
		{"npm", "1.0.0-2", "1.0.0-10", -1, true},
		{"deb", "1:1", "2", 1, true},
		{"oci", "1", "2", 0, false},
		{"npm", "1", "latest", 0, false},
		{"npm", "latest", "1", 0, false},
		{"all", "1", "1", 0, false},
	} {
		order, known := vers.Compare(tc.kind, tc.a, tc.b)
		if order < 0 {
			order = -1
		} else if order > 0 {
			order = 1
		}
		if order != tc.order || known != tc.known {
			t.Errorf("%s: %s and %s: %d, %v", tc.kind, tc.a, tc.b, order, known)
		}
	}
}
