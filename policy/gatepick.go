// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Which documents of several count, and whether they will do.
//
// The newest decides, by the log's time, or by a report's own if that is earlier: attesting an old report again does not make it news. Of
// reports, it does so among those of one tool: what one scanner does not find takes nothing
// away from what another has found. And it speaks with those that were attested for the same run, so that of two results that a job brings the
// good one does not hide the bad one. One that is not sufficient takes nothing back of what was found before. A newer run makes good what an older one left.

// asked is what evidence is looked for.
type asked struct{ kind, tool, target, platform string } // platform: of an image of an index, what the index says that it is for

// counted is a document that counts. One that does not prove enough by itself still brings its bad news.
type counted struct {
	*Document
	enough bool
	// newest is the one of the same run that does not replace it; nil for others.
	newest *Document
}

// picked is what was found; what counts, also if it is not enough.
type picked struct {
	documents []counted
	enough    bool
	detail    string
}

// pick returns the documents about a digest that count. One that cannot be read counts for nothing: it neither helps nor harms.
func (g *gate) pick(a asked, documents []Document, now time.Time) picked {
	usable, ignored := g.usable(a, documents, now)
	if len(usable) == 0 {
		unreadable := slices.ContainsFunc(documents, func(d Document) bool { return d.Kind == a.kind && d.Digest == a.target && d.Problem != "" })
		return picked{detail: noEvidence(a, ignored, unreadable)}
	}
	var p picked
	var good, bad []string
	for _, newest := range newestOfTools(usable) {
		said := newest.summary(now) + ", " + describeDocument(newest)
		why := g.insufficient(newest, now)
		if why == "" {
			good = append(good, said)
		} else {
			bad = append(bad, joinDetails(said, why))
		}
		if g.isStale(newest, now) {
			continue
		}
		p.documents = append(p.documents, counted{Document: newest, enough: why == ""})
		if why != "" {
			p.documents = append(p.documents, g.stillKnown(newest, usable, now)...)
		}
		for _, d := range usable {
			if d != newest && d.Run != "" && d.Run == newest.Run && d.tool() == newest.tool() && kindOf(d.Kind).badNews && !g.isStale(d, now) {
				p.documents = append(p.documents, counted{Document: d, newest: newest})
			}
		}
	}
	p.enough = len(good) > 0
	p.detail = listed(append(good, bad...), "; ")
	return p
}

// stillKnown are the older reports of a tool whose newest is not sufficient: who has looked at nothing, or cannot say when, takes nothing
// back of what was found before. The first that is sufficient ends the search.
func (g *gate) stillKnown(newest *Document, usable []*Document, now time.Time) []counted {
	if newest.Scan == nil {
		return nil
	}
	var known []counted
	for _, d := range usable {
		if d.tool() != newest.tool() || newest.compareNews(d) <= 0 || (d.Run != "" && d.Run == newest.Run) || g.isStale(d, now) {
			continue
		}
		known = append(known, counted{Document: d})
		if g.insufficient(d, now) == "" {
			break
		}
	}
	return known
}

// usable are the documents that can count, the newest first, and why others do not.
func (g *gate) usable(a asked, documents []Document, now time.Time) (usable []*Document, ignored []string) {
	for i := range documents {
		d := &documents[i]
		if d.Kind != a.kind || d.Digest != a.target {
			continue
		}
		switch why := g.unusable(d, now); {
		case why != "":
			ignored = append(ignored, describeDocument(d)+": "+why)
		case a.tool != "" && d.Scan.Tool != a.tool:
			ignored = append(ignored, describeDocument(d)+": by "+shown(d.Scan.Tool))
		default:
			usable = append(usable, d)
		}
	}
	slices.SortFunc(usable, func(a, b *Document) int { return cmp.Or(b.compareNews(a), strings.Compare(a.tool(), b.tool())) })
	return usable, ignored
}

// tool is who made a report. Documents that are no reports have nobody.
func (d *Document) tool() string {
	if d.Scan == nil {
		return ""
	}
	return d.Scan.Tool
}

// newestOfTools takes the first of each tool.
func newestOfTools(newestFirst []*Document) []*Document {
	var kept []*Document
	for _, d := range newestFirst {
		if !slices.ContainsFunc(kept, func(k *Document) bool { return k.tool() == d.tool() }) {
			kept = append(kept, d)
		}
	}
	return kept
}

// badNews returns the first result of tests that failed, among documents that count. Findings are for conditions to judge.
func badNews(documents []counted) *counted {
	for i := range documents {
		if d := &documents[i]; d.Kind == EvidenceTest && !d.Test.passed() {
			return d
		}
	}
	return nil
}

// newsOfPlatforms are the documents about an index's images that are newer than all that count of the index itself: what has become known
// of an image since is not hidden by what was said of the whole.
func (g *gate) newsOfPlatforms(kind string, s gateSubject, known []counted, documents []Document, now time.Time) []counted {
	if !kindOf(kind).badNews {
		return nil
	}
	var news []counted
	images, _ := g.asked(s)
	for _, platform := range images {
		for _, tool := range g.tools(kind) {
			for _, d := range g.pick(asked{kind: kind, tool: tool, target: platform}, documents, now).documents {
				if !slices.ContainsFunc(known, func(k counted) bool { return k.enough && k.tool() == d.tool() && k.compareNews(d.Document) >= 0 }) {
					news = append(news, counted{Document: d.Document, newest: d.newest})
				}
			}
		}
	}
	return news
}

// noEvidence says what is missing and how to bring it. Who has brought what cannot be read, or another image's, knows how to bring it.
func noEvidence(a asked, ignored []string, unreadable bool) string {
	what := kindOf(a.kind).word
	if a.tool != "" {
		what += " by " + a.tool
	}
	said := "none"
	if len(ignored) > 0 {
		slices.Sort(ignored) // not the order of the evidence: it decides nothing
		said = "none that counts: " + listed(ignored, "; ")
	}
	file := "FILE"
	if a.platform != "" {
		file = shownBare(a.platform) + "=FILE"
	}
	hint := fmt.Sprintf("attest %s of this digest, or sign with --%s %s", what, flag(a.kind), file)
	if unreadable {
		hint = fmt.Sprintf("bring %s that can be read and is about this very digest", what)
	}
	if a.kind == EvidenceProvenance {
		hint = "the service makes it; sign through the service"
	}
	if a.kind == EvidenceChartImages {
		hint = "the service makes it: hallmark chart images, or sign through the service"
	}
	return said + " (hint: " + hint + ")"
}

// unusable returns why a document counts for nothing, or "".
func (g *gate) unusable(d *Document, now time.Time) string {
	switch {
	case d.Problem != "":
		return shown(d.Problem)
	case d.At.IsZero():
		return "without a proven time"
	case d.At.After(now.Add(clockTolerance)):
		return "dated in the future; check the clock"
	case kindOf(d.Kind).ownWord && (d.Author != d.Signer || d.Signer == ""):
		return "made for " + shown(d.Author) + ", not by the service itself"
	case !kindOf(d.Kind).has(d):
		return "holds nothing of its kind"
	}
	return ""
}

// insufficient returns what the newest document lacks, or "".
func (g *gate) insufficient(d *Document, now time.Time) string {
	switch d.Kind {
	case EvidenceSBOM:
		if d.SBOM.Packages == 0 {
			return "it lists no package; make the SBOM of the image itself"
		}
	case EvidenceTest:
		if !d.Test.passed() {
			return "repair the tests"
		}
	case EvidenceProvenance:
	case EvidenceChartImages:
		return g.insufficientImages(d.ChartImages)
	default:
		return g.insufficientReport(d, now)
	}
	return ""
}

func (t *TestResult) passed() bool { return t.Result == "PASSED" || t.Result == "WARNED" }

// insufficientReport looks at how a report was made, not at what it found. A report that must have an age needs a time of its own.
func (g *gate) insufficientReport(d *Document, now time.Time) string {
	limits := g.report(d.Kind)
	switch s := d.Scan; {
	case s.Nothing != "":
		return fmt.Sprintf("nothing was %s: %s; %s the image itself", verbs(d.Kind)[0], shown(s.Nothing), verbs(d.Kind)[1])
	case s.FinishedAt.IsZero() && limits.maxAge > 0:
		return "the report does not say when it was made; use a version of the scanner that does"
	case s.FinishedAt.After(d.At.Add(clockTolerance)):
		return "the report is dated after it was logged; check the scanner's clock"
	case g.isStale(d, now):
		return fmt.Sprintf("older than %s; scan again", limits.MaxAge)
	case limits.maxDatabase > 0 && s.DatabaseAt.IsZero():
		return "the report does not say how old the scanner's database is"
	case limits.maxDatabase > 0 && s.DatabaseAt.After(d.At.Add(clockTolerance)):
		return "the scanner's database is dated after the report was logged; check the scanner's clock"
	case limits.maxDatabase > 0 && now.Sub(s.DatabaseAt) > limits.maxDatabase:
		return fmt.Sprintf("the scanner's database is of %s, older than %s; update it and scan again", s.DatabaseAt.Format(time.RFC3339), limits.MaxDatabaseAge)
	}
	return ""
}

// verbs say what was not done, and what to do.
func verbs(kind string) [2]string {
	if kind == EvidenceScan || strings.HasSuffix(kind, "s") { // secrets, too, are scanned for
		return [2]string{"scanned", "scan"}
	}
	return [2]string{"checked", "check"}
}

// isStale reports whether a report is older than any that counts: then it says nothing, good or bad.
func (g *gate) isStale(d *Document, now time.Time) bool {
	limits := g.report(d.Kind)
	return limits != nil && limits.maxAge > 0 && d.scanAge(now) > limits.maxAge
}

// news is the time of what a document says: the log's, or the report's if that is earlier.
func (d *Document) news() time.Time {
	if d.Scan != nil && !d.Scan.FinishedAt.IsZero() && d.Scan.FinishedAt.Before(d.At) {
		return d.Scan.FinishedAt
	}
	return d.At
}

// compareNews orders documents by it.
func (d *Document) compareNews(than *Document) int {
	return cmp.Or(d.news().Compare(than.news()), d.compareAge(than), strings.Compare(d.tool(), than.tool()))
}

// scanAge is the age of what a report says.
func (d *Document) scanAge(now time.Time) time.Duration { return max(now.Sub(d.news()), 0) }
