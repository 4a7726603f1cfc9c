// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"
)

// Which document of several counts, and whether it will do.

// pick returns the newest document of a kind about a digest, if it will do, and what to say of it. Newest is by the log's time. One
// that cannot be read counts for nothing: it neither helps nor harms.
func (g *gate) pick(kind, tool, target string, documents []Document, now time.Time) (*Document, string) {
	var best *Document
	var ignored []string
	for i := range documents {
		d := &documents[i]
		if d.Kind != kind || d.Digest != target {
			continue
		}
		switch why := g.unusable(d, now); {
		case why != "":
			ignored = append(ignored, describeDocument(d)+": "+why)
		case tool != "" && d.Scan.Tool != tool:
			ignored = append(ignored, describeDocument(d)+": by "+shown(d.Scan.Tool))
		case best == nil || d.compareAge(best) > 0:
			best = d
		}
	}
	if best == nil {
		return nil, noEvidence(kind, tool, ignored)
	}
	if why := g.insufficient(best, now); why != "" {
		return nil, joinDetails(best.summary(now)+", "+describeDocument(best), why)
	}
	return best, best.summary(now) + ", " + describeDocument(best)
}

// noEvidence says what is missing and how to bring it.
func noEvidence(kind, tool string, ignored []string) string {
	what := kindWords[kind]
	if tool != "" {
		what += " by " + tool
	}
	said := "none"
	if len(ignored) > 0 {
		slices.Sort(ignored) // not the order of the evidence: it decides nothing
		said = "none that counts: " + listed(ignored, "; ")
	}
	hint := fmt.Sprintf("attest %s of this digest, or sign with --%s FILE", what, kind)
	if kind == EvidenceProvenance {
		hint = "the service makes it; sign through the service"
	}
	if kind == EvidenceChartImages {
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
	case (d.Kind == EvidenceProvenance || d.Kind == EvidenceChartImages) && (d.Author != d.Signer || d.Signer == ""):
		return "made for " + shown(d.Author) + ", not by the service itself"
	case !d.hasContent():
		return "holds nothing of its kind"
	}
	return ""
}

func (d *Document) hasContent() bool {
	switch d.Kind {
	case EvidenceSBOM:
		return d.SBOM != nil
	case EvidenceScan:
		return d.Scan != nil
	case EvidenceTest:
		return d.Test != nil
	case EvidenceProvenance:
		return d.Provenance != nil
	case EvidenceChartImages:
		return d.ChartImages != nil
	}
	return false
}

// insufficient returns what the newest document lacks, or "".
func (g *gate) insufficient(d *Document, now time.Time) string {
	switch d.Kind {
	case EvidenceSBOM:
		if d.SBOM.Packages == 0 {
			return "it lists no package; make the SBOM of the image itself"
		}
	case EvidenceTest:
		if d.Test.Result != "PASSED" && d.Test.Result != "WARNED" {
			return "repair the tests"
		}
	case EvidenceScan:
		return g.insufficientScan(d, now)
	case EvidenceChartImages:
		return g.insufficientImages(d.ChartImages)
	}
	return ""
}

func (g *gate) insufficientScan(d *Document, now time.Time) string {
	switch age, s := d.scanAge(now), d.Scan; {
	case s.Nothing != "":
		return "nothing was scanned: " + shown(s.Nothing) + "; scan the image itself"
	case s.FinishedAt.IsZero():
		return "the report does not say when it was made; use a version of the scanner that does"
	case s.FinishedAt.After(d.At.Add(clockTolerance)):
		return "the report is dated after it was logged; check the scanner's clock"
	case age > g.maxAge:
		return fmt.Sprintf("older than %s; scan again", g.spec.Scan.MaxAge)
	case g.maxDatabase > 0 && s.DatabaseAt.IsZero():
		return "the report does not say how old the scanner's database is"
	case g.maxDatabase > 0 && now.Sub(s.DatabaseAt) > g.maxDatabase:
		return fmt.Sprintf("the scanner's database is of %s, older than %s; update it and scan again", s.DatabaseAt.Format(time.RFC3339), g.spec.Scan.MaxDatabaseAge)
	}
	return ""
}

// scanAge is the age by the log, or by the report if that is older: attesting last month's report again does not make it new.
func (d *Document) scanAge(now time.Time) time.Duration {
	at := d.At
	if f := d.Scan.FinishedAt; !f.IsZero() && f.Before(at) {
		at = f
	}
	return max(now.Sub(at), 0)
}
