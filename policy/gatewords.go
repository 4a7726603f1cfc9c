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

// Says is what is in a document, in words; "" if it has no content.
func (d *Document) Says() string {
	switch {
	case d.Problem != "":
		return ""
	case d.SBOM != nil:
		return fmt.Sprintf("%s %s, %s", d.SBOM.Format, shownBare(d.SBOM.Version), count(d.SBOM.Packages, "package"))
	case d.Scan != nil && d.Scan.Nothing != "":
		return fmt.Sprintf("by %s, nothing was %s: %s", shownBare(d.Scan.Tool), verbs(d.Kind)[0], shown(d.Scan.Nothing))
	case d.Scan != nil:
		return fmt.Sprintf("by %s, %s", shownBare(d.Scan.Tool), count(len(d.Scan.Findings), "finding"))
	case d.Test != nil:
		return fmt.Sprintf("%s, %d passed, %d failed", d.Test.Result, d.Test.Passed, d.Test.Failed)
	case d.VEX != nil:
		return count(len(d.VEX), "statement")
	}
	return ""
}

// summary says what is in a document that has content.
func (d *Document) summary(now time.Time) string {
	switch {
	case d.SBOM != nil:
		return fmt.Sprintf("%s %s with %s", d.SBOM.Format, shownBare(d.SBOM.Version), count(d.SBOM.Packages, "package"))
	case d.Scan != nil:
		age := Age(d.scanAge(now)) + " old"
		if d.Scan.FinishedAt.IsZero() {
			age = "without a time of its own"
		}
		return fmt.Sprintf("by %s, %s, %s", shownBare(d.Scan.Tool), age, count(len(d.Scan.Findings), "finding"))
	case d.Test != nil:
		return fmt.Sprintf("%s, %d passed, %d failed", d.Test.Result, d.Test.Passed, d.Test.Failed)
	case d.Provenance != nil:
		return "by builder " + shown(d.Provenance.Builder)
	case d.ChartImages != nil:
		return d.ChartImages.summary()
	}
	return d.Kind
}

// keeps says why a document counts beside a newer one of the same run; "" of others. One run speaks as one: otherwise a job would attest
// reports until one is good.
func (d counted) keeps() string {
	if d.newest == nil {
		return ""
	}
	return fmt.Sprintf("of %s by this same run, which %s does not replace (hint: a new run of the job does)", d.Document.entry("a document"), d.newest.entry("another"))
}

// entry names a document by where it is logged.
func (d *Document) entry(otherwise string) string {
	if d.Bundle == "" {
		return otherwise
	}
	return fmt.Sprintf("log index %d", d.LogIndex)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// describeEvidence says what a condition has read, and if it failed which findings may be why.
func describeEvidence(names []string, view map[string]any, failed bool) string {
	var said []string
	for _, name := range names {
		switch v := view[name].(type) {
		case *scanView:
			if said = append(said, v.describe(failed)); v.vexUnread {
				said = append(said, vexUnread)
			}
			if failed {
				said = append(said, v.kept...)
			}
		case *sbomView:
			said = append(said, fmt.Sprintf("the SBOM lists %s", count(v.packages, "package")))
		case *TestResult:
			said = append(said, fmt.Sprintf("tests %s: %d passed, %d failed", v.Result, v.Passed, v.Failed))
		case *chartView:
			said = append(said, v.describe(failed))
		case *Provenance:
			said = append(said, fmt.Sprintf("builder is %s, source is %s", shown(v.Builder), shown(v.Source)))
		}
	}
	return strings.Join(said, "; ")
}

// describe counts the findings by severity. With name it names the worst that nobody excuses.
func (s *scanView) describe(name bool) string {
	var counts [unknownRank + 1]int
	excused := 0
	var worst []*judged // at most maxListed, the worst first
	for _, v := range s.findings {
		f, ok := v.(*judged)
		switch {
		case !ok:
			continue
		case f.excuse != "":
			excused++
			continue
		}
		counts[f.rank]++
		if name {
			worst = insertWorst(worst, f)
		}
	}
	var parts []string
	open := 0
	for rank := unknownRank; rank >= 0; rank-- {
		if n := counts[rank]; n > 0 {
			open += n
			parts = append(parts, fmt.Sprintf("%d %s", n, slices.Concat(severities, []string{"unknown"})[rank]))
		}
	}
	if excused > 0 {
		parts = append(parts, fmt.Sprintf("%d excused", excused))
	}
	if len(parts) == 0 {
		return "no findings"
	}
	said := count(len(s.findings), "finding") + ": " + strings.Join(parts, ", ")
	if len(worst) == 0 {
		return said
	}
	var named []string
	for _, f := range worst {
		named = append(named, f.describe())
	}
	if more := open - len(named); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return said + "; not excused: " + strings.Join(named, ", ")
}

// insertWorst keeps the first maxListed in the order of compareWorst: sorting thousands for four names would cost more than the decision.
func insertWorst(worst []*judged, f *judged) []*judged {
	if len(worst) == maxListed && compareWorst(worst[maxListed-1], f) <= 0 {
		return worst
	}
	at, _ := slices.BinarySearchFunc(worst, f, compareWorst)
	worst = slices.Insert(worst, at, f)
	return worst[:min(len(worst), maxListed)]
}

func compareWorst(a, b *judged) int {
	return cmp.Or(cmp.Compare(b.rank, a.rank), strings.Compare(a.ID, b.ID), strings.Compare(a.Package, b.Package), strings.Compare(a.Version, b.Version))
}

func (f *judged) describe() string {
	where := shownBare(f.Package) + " " + shownBare(f.Version)
	if f.Package == "" {
		where = shownBare(f.Place)
	}
	said := fmt.Sprintf("%s in %s (%s", shownBare(f.ID), where, f.Severity)
	if f.fixable() {
		said += ", fixed in " + shownBare(f.Fixed[0])
	}
	if f.Suppressed {
		said += ", suppressed" // by the tool's own configuration, which a condition has to let pass
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
