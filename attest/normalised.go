// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Findings in the terms of all tools, as predicates hold them: what a statement
// says of a report that is not a predicate itself. What is written is read back
// as it was. Members are in the order of their names and numbers are texts, so
// that the bytes are the same whoever writes them.

// findingJSON is a finding as an annotation of in-toto vulns, and as an entry
// of a check.
type findingJSON struct {
	Aliases       []string     `json:"aliases,omitempty"`
	Coarse        bool         `json:"coarse,omitempty"`
	CVSS          []cvssJSON   `json:"cvss,omitempty"`
	Derived       bool         `json:"derived,omitempty"`
	FixedVersions []string     `json:"fixedVersions,omitempty"`
	FixState      string       `json:"fixState"`
	ID            string       `json:"id,omitempty"` // of a check; vulns has it elsewhere
	Kind          FindingKind  `json:"kind"`
	Locations     []string     `json:"locations,omitempty"`
	Package       string       `json:"package,omitempty"`
	PURL          string       `json:"purl,omitempty"`
	Ratings       []ratingJSON `json:"ratings,omitempty"`
	SaidSeverity  string       `json:"severityAsSaid"`
	Score         string       `json:"score,omitempty"`
	Severity      Severity     `json:"severity"`
	Source        string       `json:"source,omitempty"`
	Suppressed    *suppression `json:"suppressed,omitempty"`
	Title         string       `json:"title,omitempty"`
	Tool          string       `json:"tool"`
	Version       string       `json:"version,omitempty"`
}

type (
	cvssJSON struct {
		Computed bool   `json:"computed,omitempty"`
		Score    string `json:"score,omitempty"`
		Source   string `json:"source,omitempty"`
		Vector   string `json:"vector,omitempty"`
		Version  string `json:"version,omitempty"`
	}
	ratingJSON struct {
		Said     string   `json:"said"`
		Severity Severity `json:"severity"`
		Source   string   `json:"source,omitempty"`
	}
	suppression struct {
		By     string `json:"by"`
		Reason string `json:"reason"`
	}
)

// scanJSON is what a predicate keeps of a scan beside its findings.
type scanJSON struct {
	Digests  []string      `json:"digests,omitempty"`
	Looked   []FindingKind `json:"looked,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
	Packages int           `json:"packages,omitempty"`
	Target   string        `json:"target,omitempty"`
	Tool     string        `json:"tool"`
}

// scanMember is ours, in predicates that the service writes.
const scanMember = "hallmark_scan"

func writeFinding(f *Finding) findingJSON {
	out := findingJSON{
		Aliases: f.Aliases, Coarse: f.Coarse, Derived: f.Derived, FixedVersions: f.FixedVersions, FixState: f.FixState, ID: f.ID, Kind: f.Kind,
		Locations: f.Locations, Package: f.Package, PURL: f.PURL, SaidSeverity: f.SaidSeverity, Score: writeScore(f.Score), Severity: f.Severity,
		Source: f.Source, Title: f.Title, Tool: f.Tool, Version: f.Version,
	}
	for _, c := range f.CVSS {
		out.CVSS = append(out.CVSS, cvssJSON{c.Computed, writeScore(c.Score), c.Source, c.Vector, c.Version})
	}
	for _, r := range f.Ratings {
		out.Ratings = append(out.Ratings, ratingJSON{r.Said, r.Severity, r.Source})
	}
	if f.Suppressed != nil {
		out.Suppressed = &suppression{f.Suppressed.By, f.Suppressed.Reason}
	}
	return out
}

// checkWritten refuses findings that no statement could hold, before they are
// written: a report of a megabyte may say the same of a hundred thousand packages.
func checkWritten(findings []Finding) error {
	const around = 256 // names of members, and what is short
	size := 0
	for i := range findings {
		f := &findings[i]
		size += around + len(f.ID) + len(f.Package) + len(f.PURL) + len(f.SaidSeverity) + len(f.Source) + len(f.Title) + len(f.Tool) + len(f.Version)
		for _, list := range [][]string{f.Aliases, f.FixedVersions, f.Locations} {
			for _, text := range list {
				size += len(text)
			}
		}
		for _, c := range f.CVSS { // the vector is there twice
			size += around + 2*len(c.Vector) + len(c.Source)
		}
		for _, r := range f.Ratings {
			size += around/4 + len(r.Said) + len(r.Source)
		}
		if f.Suppressed != nil {
			size += len(f.Suppressed.By) + len(f.Suppressed.Reason)
		}
		if size > MaxStatementBytes {
			return fmt.Errorf("%w: a statement of its findings would have more than %d bytes", ErrTooLarge, MaxStatementBytes)
		}
	}
	return nil
}

// writeScore writes a score without a binary fraction; "" for none.
func writeScore(score float64) string {
	if score == 0 {
		return ""
	}
	return strconv.FormatFloat(score, 'f', -1, 64)
}

// finding is what was written.
func (j *findingJSON) finding() Finding {
	f := Finding{
		Aliases: j.Aliases, Coarse: j.Coarse, Derived: j.Derived, FixedVersions: j.FixedVersions, FixState: j.FixState, ID: j.ID, Kind: j.Kind,
		Locations: j.Locations, Package: j.Package, PURL: j.PURL, SaidSeverity: j.SaidSeverity, Score: scoreOf(j.Score), Severity: j.Severity,
		Source: j.Source, Title: j.Title, Tool: keep(j.Tool), Version: j.Version,
	}
	for _, c := range j.CVSS {
		f.CVSS = append(f.CVSS, CVSS{keep(c.Version), keep(c.Vector), scoreOf(c.Score), c.Computed, keep(c.Source)})
	}
	for _, r := range j.Ratings {
		f.Ratings = append(f.Ratings, Rating{keep(r.Source), keep(r.Said), NormalSeverity(string(r.Severity))})
	}
	if j.Suppressed != nil {
		f.Suppressed = &Suppression{keep(j.Suppressed.By), keep(j.Suppressed.Reason)}
	}
	return f
}

// check refuses words that only we write, if they are not ours.
func (j *findingJSON) check(place string) error {
	if !isFindingKind(j.Kind) {
		return unreadable(place+".kind", "%s is no kind of finding", quote(string(j.Kind)))
	}
	if j.Severity != SeverityUnknown && NormalSeverity(string(j.Severity)) != j.Severity {
		return unreadable(place+".severity", "%s is no severity", quote(string(j.Severity)))
	}
	switch j.FixState {
	case FixUnknown, FixFixed, FixNotFixed, FixWontFix, FixDeferred:
	default:
		return unreadable(place+".fixState", "%s is no state of a fix", quote(j.FixState))
	}
	return nil
}

// NormalisedScan is the in-toto vulns v0.2 predicate with a scan's findings in
// the terms of all scanners: what a statement holds of a report that is kept
// elsewhere. The first severity of a result is ours, normalised; the rest of the
// finding stands in one annotation. A scan of nothing has no such form: an empty
// list would say that it is clean.
func NormalisedScan(s Scan) (predicateType string, predicate []byte, err error) {
	if s.Nothing != "" {
		return "", nil, &FormatError{Want: "nothing was scanned: " + s.Nothing + " (hint: scan the image itself)"}
	}
	if err := checkWritten(s.Findings); err != nil {
		return "", nil, err
	}
	type rating struct {
		Method string `json:"method"`
		Score  string `json:"score"`
	}
	type result struct {
		Annotations []findingJSON `json:"annotations"`
		ID          string        `json:"id"`
		Severity    []rating      `json:"severity"`
	}
	type db struct {
		LastUpdate string `json:"lastUpdate,omitempty"`
	}
	out := struct {
		Hallmark scanJSON `json:"hallmark_scan"`
		Metadata struct {
			Finished string `json:"scanFinishedOn,omitempty"`
			Started  string `json:"scanStartedOn,omitempty"`
		} `json:"metadata"`
		Scanner struct {
			DB      db              `json:"db"`
			Result  json.RawMessage `json:"result"`
			URI     string          `json:"uri"`
			Version string          `json:"version,omitempty"`
		} `json:"scanner"`
	}{Hallmark: s.written()}
	out.Metadata.Finished, out.Metadata.Started = stamp(s.FinishedAt), stamp(s.StartedAt)
	out.Scanner.URI, out.Scanner.Version, out.Scanner.DB.LastUpdate = scannerURI(s.Tool), s.ToolVersion, stamp(s.DatabaseAt)
	out.Scanner.Result = empty
	list, err := encodeList(s.Findings, func(f *Finding) result {
		annotation := writeFinding(f)
		annotation.ID = ""
		severity := []rating{{"hallmark", string(f.Severity)}}
		for _, c := range f.CVSS {
			if c.Vector != "" {
				severity = append(severity, rating{"CVSSv" + strings.ReplaceAll(c.Version, ".", ""), c.Vector})
			}
		}
		return result{[]findingJSON{annotation}, f.ID, severity}
	})
	if err != nil {
		return "", nil, err
	}
	predicate, err = withList(out, "result", list)
	return vulnsType, predicate, err
}

// written is what is kept of the scan beside its findings.
func (s *Scan) written() scanJSON {
	return scanJSON{Digests: s.Digests, Looked: s.Looked, Notes: s.Notes, Packages: s.Packages, Target: s.Target, Tool: s.Tool}
}

// restore sets what written has kept.
func (s *Scan) restore(place string, j scanJSON) error {
	if j.Packages < 0 {
		return unreadable(place+".packages", "%d packages", j.Packages)
	}
	s.Packages, s.Target, s.Tool = j.Packages, keep(j.Target), keep(j.Tool)
	s.Digests = keepUnique(j.Digests, "", maxDigests)
	for _, kind := range j.Looked {
		if !isFindingKind(kind) {
			return unreadable(place+".looked", "%s is no kind of finding", quote(string(kind)))
		}
		s.looked(kind)
	}
	for _, note := range j.Notes {
		s.note(keep(note))
	}
	return nil
}

// encodeJSON is json.Marshal without the escaping for HTML.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode a predicate: %w", err)
	}
	if b.Len() > maxWritten {
		return nil, errWritten()
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// stamp writes a time that is known.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// wrapVulns states what was found, and not the report.
func wrapVulns(_ []byte, d Document) (string, []byte, error) {
	return NormalisedScan(*d.Evidence.Scan)
}

var scannerURIs = map[string]string{
	"trivy": "pkg:github/aquasecurity/trivy", "grype": "pkg:github/anchore/grype", "clair": "pkg:github/quay/clair", "snyk": "https://snyk.io",
}

// scannerURI names a scanner; one that is not known, by its own name.
func scannerURI(tool string) string {
	if uri := scannerURIs[tool]; uri != "" {
		return uri
	}
	return tool
}
