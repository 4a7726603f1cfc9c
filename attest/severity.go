// SPDX-License-Identifier: Apache-2.0

package attest

import "strings"

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

// Severities are all of them, the worst first and unknown before it, since a
// gate counts it as the worst that it names.
func Severities() []Severity {
	return []Severity{SeverityUnknown, SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityNegligible, SeverityNone}
}

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

// levelSeverity is what linters and code scanners mean by a level. Only the
// first is a failure.
func levelSeverity(level string) Severity {
	switch strings.ToLower(strings.TrimSpace(level)) {
	case "error", "fatal", "fail":
		return SeverityHigh
	case "warning", "warn":
		return SeverityMedium
	case "note", "info":
		return SeverityLow
	case "style", "none":
		return SeverityNegligible
	}
	return NormalSeverity(level)
}
