// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What gates say. A refusal names the value that it saw, where it is logged, and what to do.

// kindWords call the kinds of evidence by name.
var kindWords = map[string]string{
	EvidenceSBOM: "an SBOM", EvidenceScan: "a scan", EvidenceTest: "a test result", EvidenceProvenance: "provenance", EvidenceVEX: "VEX",
}

// describeDocument says which statement it was. One without a bundle is not attested: a dry run's.
func describeDocument(d *Document) string {
	if d.Bundle == "" {
		return fmt.Sprintf("not attested yet, for %s", shown(d.Author))
	}
	said := fmt.Sprintf("attested for %s", shown(d.Author))
	if !d.At.IsZero() {
		said += fmt.Sprintf(" at %s, log index %d", d.At.UTC().Format(time.RFC3339), d.LogIndex)
	}
	return said
}

// summary says what is in a document that has content.
func (d *Document) summary(now time.Time) string {
	switch {
	case d.SBOM != nil:
		return fmt.Sprintf("%s %s with %s", d.SBOM.Format, shownBare(d.SBOM.Version), count(d.SBOM.Packages, "package"))
	case d.Scan != nil:
		return fmt.Sprintf("by %s, %s old, %s", shownBare(d.Scan.Tool), d.scanAge(now).Truncate(time.Second), count(len(d.Scan.Findings), "finding"))
	case d.Test != nil:
		return fmt.Sprintf("%s, %d passed, %d failed", d.Test.Result, d.Test.Passed, d.Test.Failed)
	case d.Provenance != nil:
		return "by builder " + shown(d.Provenance.Builder)
	}
	return d.Kind
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// describeEvidence says what a condition has read.
func describeEvidence(names []string, view map[string]any) string {
	var said []string
	for _, name := range names {
		switch v := view[name].(type) {
		case *scanView:
			said = append(said, v.describe())
		case *SBOM:
			said = append(said, fmt.Sprintf("the SBOM lists %s", count(v.Packages, "package")))
		case *TestResult:
			said = append(said, fmt.Sprintf("tests %s: %d passed, %d failed", v.Result, v.Passed, v.Failed))
		case *Provenance:
			said = append(said, fmt.Sprintf("builder is %s, source is %s", shown(v.Builder), shown(v.Source)))
		}
	}
	return strings.Join(said, "; ")
}

// describe counts the findings by severity and names the worst that nobody excuses.
func (s *scanView) describe() string {
	counts := make(map[string]int)
	var open []*judged
	for _, v := range s.findings {
		f, ok := v.(*judged)
		if !ok {
			continue
		}
		if f.excuse != "" {
			counts["excused"]++
			continue
		}
		counts[f.Severity]++
		open = append(open, f)
	}
	var parts []string
	for _, name := range []string{"critical", "high", "medium", "low", "negligible", "none", "unknown", "excused"} {
		if n := counts[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, name))
		}
	}
	if len(parts) == 0 {
		return "no findings"
	}
	said := count(len(s.findings), "finding") + ": " + strings.Join(parts, ", ")
	if len(open) == 0 {
		return said
	}
	// Only the worst are named, so only they are sorted by name.
	slices.SortStableFunc(open, func(a, b *judged) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), strings.Compare(a.ID, b.ID), strings.Compare(a.Package, b.Package))
	})
	var named []string
	for _, f := range open[:min(len(open), maxListed)] {
		named = append(named, f.describe())
	}
	if more := len(open) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return said + "; not excused: " + strings.Join(named, ", ")
}

// rank orders findings for people: unknown before critical, since it counts as that.
func (f *judged) rank() int {
	if rank, known := severityRank[f.Severity]; known {
		return rank
	}
	return len(severityRank)
}

func (f *judged) describe() string {
	said := fmt.Sprintf("%s in %s %s (%s", shownBare(f.ID), shownBare(f.Package), shownBare(f.Version), f.Severity)
	if f.fixable() {
		said += ", fixed in " + shownBare(f.Fixed[0])
	}
	return said + ")"
}

// shownBare leaves ordinary words without quotes.
func shownBare(s string) string {
	if s != "" && len(s) <= maxShown && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:/+@~") == "" {
		return s
	}
	return shown(s)
}
