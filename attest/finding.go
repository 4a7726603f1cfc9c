// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"strconv"
	"strings"
	"time"
)

// Severity is a normalised severity. Unknown stands outside the order: nobody
// has said that it is low.
type Severity string

// The severities, from none to the worst.
const (
	SeverityUnknown    Severity = "unknown"
	SeverityNone       Severity = "none"
	SeverityNegligible Severity = "negligible"
	SeverityLow        Severity = "low"
	SeverityMedium     Severity = "medium"
	SeverityHigh       Severity = "high"
	SeverityCritical   Severity = "critical"
)

// NormalSeverity turns a scanner's word into a Severity. What it does not know
// is unknown.
func NormalSeverity(word string) Severity {
	switch s := Severity(strings.ToLower(strings.TrimSpace(word))); s {
	case SeverityNone, SeverityNegligible, SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical:
		return s
	case "info", "informational":
		return SeverityNone
	case "moderate":
		return SeverityMedium
	case "important":
		return SeverityHigh
	}
	return SeverityUnknown
}

// scoredSeverity is the band of a CVSS base score (CVSS 3.1, section 5); zero
// is no score, since scanners write it for "not rated".
func scoredSeverity(score float64) Severity {
	switch {
	case score >= 9:
		return SeverityCritical
	case score >= 7:
		return SeverityHigh
	case score >= 4:
		return SeverityMedium
	case score > 0:
		return SeverityLow
	}
	return SeverityUnknown
}

// The states of a fix. A fix is never inferred from a missing field.
const (
	FixUnknown  = "unknown"
	FixFixed    = "fixed"
	FixNotFixed = "not_fixed"
	FixWontFix  = "wont_fix"
	FixDeferred = "deferred"
)

// Finding is one vulnerability of one package, in the terms of all scanners.
type Finding struct {
	// ID is the CVE if there is one, else the scanner's own id. Aliases are the
	// others.
	ID      string
	Aliases []string
	Package string
	Version string
	// PURL is the package URL as the scanner writes it, or "".
	PURL          string
	FixedVersions []string
	FixState      string
	// Severity is normalised; SaidSeverity is the scanner's word.
	Severity     Severity
	SaidSeverity string
	// Score is the highest CVSS base score, or 0.
	Score float64
	// Tool found it.
	Tool string
}

// Scan is what one run of a scanner says.
type Scan struct {
	Tool, ToolVersion string
	// FinishedAt is when the scan ended, DatabaseAt of when the scanner's
	// knowledge is; as the report says, zero if it does not.
	FinishedAt, DatabaseAt time.Time
	// Nothing says why the scanner has looked at nothing. Then the absence of
	// findings means nothing.
	Nothing  string
	Findings []Finding
	// Digest is the registry digest that the report names, or "".
	Digest string
}

// preferCVE makes the first CVE among id and aliases the id.
func (f *Finding) preferCVE() {
	if strings.HasPrefix(f.ID, "CVE-") {
		return
	}
	for i, alias := range f.Aliases {
		if strings.HasPrefix(alias, "CVE-") {
			f.ID, f.Aliases[i] = alias, f.ID
			return
		}
	}
}

// check holds for every finding: without an id nobody can say anything of it.
func (f *Finding) check(place string) error {
	if f.ID == "" {
		return unreadable(place, "a finding without an id")
	}
	return nil
}

// splitVersions splits Trivy's comma list.
func splitVersions(list string) []string {
	return keepAll(strings.Split(list, ","), "")
}

// scoreOf reads a score that is written as text.
func scoreOf(text string) float64 {
	score, err := strconv.ParseFloat(text, 64)
	if err != nil || score < 0 || score > 10 {
		return 0
	}
	return score
}
