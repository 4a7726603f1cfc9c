// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// FindingKind is what a tool has found.
type FindingKind string

// The kinds of findings. Only a vulnerability has a package and can be excused
// by VEX.
const (
	FindingVulnerability    FindingKind = "vulnerability"
	FindingMisconfiguration FindingKind = "misconfiguration"
	FindingSecret           FindingKind = "secret"
	FindingLicense          FindingKind = "license"
	FindingCheck            FindingKind = "check" // of a linter or code scanner
)

func isFindingKind(kind FindingKind) bool {
	switch kind {
	case FindingVulnerability, FindingMisconfiguration, FindingSecret, FindingLicense, FindingCheck:
		return true
	}
	return false
}

// The states of a fix. A fix is never inferred from a missing field.
const (
	FixUnknown  = "unknown"
	FixFixed    = "fixed"
	FixNotFixed = "not_fixed"
	FixWontFix  = "wont_fix"
	FixDeferred = "deferred"
)

// Finding is one thing that a tool found, in the terms of all tools. A finding
// holds no secret: of one that was found it says where, and by which rule.
type Finding struct {
	Kind FindingKind
	// ID is the CVE if there is one, else a GHSA, else the tool's own id or rule.
	// Aliases are the others.
	ID      string
	Aliases []string
	Title   string // one line for people, or ""
	Package string
	Version string
	// PURL is the package URL as the tool writes it, or "". Where the tool has
	// none and it can be told from the rest, it is made, and Derived says so. One
	// that does not parse is kept: it equals no other.
	PURL          string
	Derived       bool
	FixedVersions []string
	FixState      string
	// Severity is normalised; SaidSeverity is the tool's word. Ratings are what
	// others say of it.
	Severity     Severity
	SaidSeverity string
	Ratings      []Rating
	CVSS         []CVSS
	// Score is the highest CVSS base score, or 0.
	Score float64
	// Tool found it, by the knowledge of Source (nvd, ghsa, debian:12, …).
	Tool   string
	Source string
	// Locations are files, with a line if there is one.
	Locations []string
	// Suppressed says who took it out of the tool's result, and why. It counts
	// all the same where findings are judged: a tool's own ignore file excuses
	// nothing.
	Suppressed *Suppression
	// Coarse: read from a format that says less than the tool knows.
	Coarse bool
}

// Rating is somebody's word for the severity.
type Rating struct {
	Source   string
	Said     string
	Severity Severity
}

// Suppression says who has hidden a finding, and why.
type Suppression struct{ By, Reason string }

// moreNotes is in place of the notes that are too many.
const moreNotes = "and more: not all notes are shown"

// Limits on what is kept of one finding.
const (
	maxLocations = 20
	maxAliases   = 64
	maxRatings   = 32
	maxFixes     = 64
	// maxNotes bounds the notes of a scan: each is held against all others.
	maxNotes = 32
	// maxTitle bounds a title, bytes.
	maxTitle = 200
)

// ScanState is what a scan says, before anybody judges what it found.
type ScanState string

// The states of a scan. Only clean satisfies "no findings".
const (
	ScanClean   ScanState = "clean"
	ScanFound   ScanState = "findings"
	ScanNothing ScanState = "nothing_scanned"
)

// Scan is what one run of a scanner says.
type Scan struct {
	Tool, ToolVersion string
	// StartedAt and FinishedAt are when the scan ran, DatabaseAt is of when the
	// scanner's knowledge is; as the report says, zero if it does not.
	StartedAt, FinishedAt, DatabaseAt time.Time
	// Nothing says why the scanner has looked at nothing. Then the absence of
	// findings means nothing.
	Nothing  string
	Findings []Finding
	// Packages is how many the scanner has looked at, 0 if the report does not
	// say.
	Packages int
	// Target is what was scanned, by the scanner's own word: a label.
	Target string
	// Digests are the registry digests that the report names. Of several nobody
	// can say which one it is: the artifact is one of them.
	Digests []string
	// Looked are the kinds of findings that the program has looked for, as far as
	// the report says so, in the order of their names. What is not among them it
	// may have looked for, or not: that nothing is listed says nothing then.
	Looked []FindingKind
	// Notes are what somebody who relies on the report should know: what it may
	// hide, and what was not looked at.
	Notes []string
}

// State is what the scan says.
func (s *Scan) State() ScanState {
	switch {
	case s.Nothing != "":
		return ScanNothing
	case len(s.Findings) > 0:
		return ScanFound
	}
	return ScanClean
}

// add keeps a finding that was read at place.
func (s *Scan) add(place func() string, f Finding) error {
	if f.ID == "" { // nobody could say anything of it
		return unreadable(place(), "a finding without an id")
	}
	if f.Tool == "" {
		f.Tool = s.Tool
	}
	f.settle()
	return s.addSettled(place, f)
}

// addSettled is add for a finding that is complete.
func (s *Scan) addSettled(place func() string, f Finding) error {
	if len(s.Findings) == maxItems {
		return unreadable(place(), "more than %d findings", maxItems)
	}
	if n := len(s.Findings); n == cap(s.Findings) { // append copies five times as much in all
		s.Findings = slices.Grow(s.Findings, max(n, 16))
	}
	s.Findings = append(s.Findings, f)
	return nil
}

// addOf keeps a finding of a vulnerability that is settled already, in a package.
// Where a report names a vulnerability once and many packages beside it, what is
// said of the one must not be read again for each of the others. Findings of one
// vulnerability share their lists.
func (s *Scan) addOf(place func() string, settled Finding, name, version, purl string) error {
	settled.Package, settled.Version, settled.PURL = keep(name), keep(version), keep(purl)
	settled.Tool = cmp.Or(settled.Tool, s.Tool)
	return s.addSettled(place, settled)
}

// looked notes a kind of findings once.
func (s *Scan) looked(kind FindingKind) {
	if at, known := slices.BinarySearch(s.Looked, kind); !known {
		s.Looked = slices.Insert(s.Looked, at, kind)
	}
}

// note adds a note once. The last that there is room for says that it is.
func (s *Scan) note(text string) {
	if len(s.Notes) == maxNotes || slices.Contains(s.Notes, text) {
		return
	}
	if len(s.Notes) == maxNotes-1 && !slices.Contains(s.Notes, moreNotes) {
		text = moreNotes
	}
	s.Notes = append(s.Notes, text)
}

// settle completes what was read of a finding, the same way for all tools.
func (f *Finding) settle() {
	f.Kind = cmp.Or(f.Kind, FindingVulnerability)
	f.FixState = cmp.Or(f.FixState, FixUnknown)
	f.ID, f.Package, f.Version, f.PURL = keep(f.ID), keep(f.Package), keep(f.Version), keep(f.PURL)
	f.SaidSeverity, f.Source, f.Title = keep(f.SaidSeverity), keep(f.Source), oneLine(f.Title)
	f.Aliases = keepUnique(f.Aliases, f.ID, maxAliases)
	f.FixedVersions = keepUnique(f.FixedVersions, "", maxFixes)
	f.Locations = keepUnique(f.Locations, "", maxLocations)
	if f.Kind == FindingVulnerability {
		f.preferCVE()
	}
	f.settleSeverity()
}

// settleSeverity takes the tool's word, then a rating of the newest CVSS there
// is. What is unknown then stays so.
func (f *Finding) settleSeverity() {
	for i := range f.CVSS {
		f.CVSS[i].settle()
		f.Score = max(f.Score, f.CVSS[i].Score)
	}
	if len(f.Ratings) > maxRatings {
		f.Ratings = slices.Clone(f.Ratings[:maxRatings]) // the rest is given back
	}
	if len(f.CVSS) > maxRatings {
		f.CVSS = slices.Clone(f.CVSS[:maxRatings])
	}
	f.Severity = cmp.Or(f.Severity, SeverityUnknown)
	if f.Severity != SeverityUnknown {
		return
	}
	best := CVSS{}
	for _, c := range f.CVSS {
		if c.isScored() && (cvssVersions[c.Version] > cvssVersions[best.Version] || !best.isScored() || c.Version == best.Version && c.Score > best.Score) {
			best = c
		}
	}
	if f.Severity = scoredSeverity(best.Score); best.Computed && best.Score == 0 {
		f.Severity = SeverityNone
	}
}

// preferCVE makes the first CVE among id and aliases the id, or else the first
// GHSA. Ids are the same in any case.
func (f *Finding) preferCVE() {
	for _, prefix := range []string{"CVE-", "GHSA-"} {
		if hasPrefixFold(f.ID, prefix) {
			return
		}
		for i, alias := range f.Aliases {
			if hasPrefixFold(alias, prefix) {
				f.ID, f.Aliases[i] = alias, f.ID
				return
			}
		}
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// keepUnique bounds a list and its texts, without empty ones, repetitions, and
// what is the same as except.
func keepUnique(list []string, except string, limit int) []string {
	kept := list[:0]
	for _, s := range list {
		if s = keepTrimmed(s, maxText); s == "" || s == except || len(kept) == limit || slices.Contains(kept, s) {
			continue
		}
		kept = append(kept, s)
	}
	switch {
	case len(kept) == 0:
		return nil
	case len(list) > limit: // the rest is given back
		return slices.Clone(kept)
	}
	return kept
}

// keepTrimmed is keepBytes without white space at the ends. Done twice, it
// changes nothing more.
func keepTrimmed(s string, limit int) string {
	return strings.TrimSpace(keepBytes(strings.TrimSpace(s), limit))
}

// oneLine makes a title of the first line of a text.
func oneLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return keepTrimmed(s, maxTitle)
}

// splitVersions splits a comma list.
func splitVersions(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
