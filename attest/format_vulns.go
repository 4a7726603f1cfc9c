// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// The two predicates of scans. cosign's wraps a scanner's report as it is,
// in-toto's has a list of its own. In both a missing result is not an empty
// one.
// Sources: github.com/sigstore/cosign/specs/COSIGN_VULN_ATTESTATION_SPEC.md,
// github.com/in-toto/attestation/spec/predicates/vuln.md

const (
	cosignVulnType = "https://cosign.sigstore.dev/attestation/vuln/v1"
	vulnsType      = "https://in-toto.io/attestation/vulns/v0.2"
)

type scanMetadata struct{ ScanStartedOn, ScanFinishedOn string }

// finished is when the scan ended by the predicate's own word.
func (m scanMetadata) finished() (time.Time, error) {
	return timeAt("$.metadata.scanFinishedOn", m.ScanFinishedOn)
}

type scannerJSON struct {
	URI, Version string
	DB           struct{ URI, Version, LastUpdate string }
	Result       json.RawMessage
}

func cosignVulnFormat() format {
	return format{
		name: "cosign vuln", kind: EvidenceScan, types: []string{cosignVulnType},
		is: func(top members) bool {
			return top.has("scanner") && top.has("invocation") || resultIsObject(top)
		},
		read: readCosignVuln,
	}
}

func resultIsObject(top members) bool {
	var s struct{ Result json.RawMessage }
	return json.Unmarshal(top["scanner"], &s) == nil && bytes.HasPrefix(bytes.TrimSpace(s.Result), []byte("{"))
}

func readCosignVuln(top members) (Evidence, error) {
	var scanner scannerJSON
	var metadata scanMetadata
	if err := top.into("scanner", &scanner); err != nil {
		return Evidence{}, err
	}
	if err := top.into("metadata", &metadata); err != nil {
		return Evidence{}, err
	}
	if len(scanner.Result) == 0 || isNull(scanner.Result) {
		return Evidence{}, unreadable("$.scanner.result", "missing: the statement has no result")
	}
	var inner members
	if json.Unmarshal(scanner.Result, &inner) != nil || inner == nil {
		return Evidence{}, unreadable("$.scanner.result", "want the scanner's report, a JSON object")
	}
	for _, f := range []format{trivyFormat(), grypeFormat()} {
		if !f.is(inner) {
			continue
		}
		ev, err := f.evidence(inner)
		if err != nil {
			return Evidence{}, within(err, "$.scanner.result")
		}
		finished, err := metadata.finished()
		if err != nil {
			return Evidence{}, err
		}
		updated, err := timeAt("$.scanner.db.lastUpdate", scanner.DB.LastUpdate)
		if err != nil {
			return Evidence{}, err
		}
		ev.Scan.FinishedAt = older(ev.Scan.FinishedAt, finished)
		ev.Scan.DatabaseAt = older(ev.Scan.DatabaseAt, updated)
		return ev, nil
	}
	return Evidence{}, unreadable("$.scanner.result", "not a report that is known here (hint: Trivy or Grype JSON)")
}

// within says that a place is inside of another.
func within(err error, outer string) error {
	wrong, ok := err.(*FormatError) //nolint:errorlint // ours, from format.evidence
	if ok {
		wrong.Place = outer + strings.TrimPrefix(wrong.Place, "$")
	}
	return err
}

// wrapScan makes the predicate of a scanner's report: the report byte for byte,
// with the times that it states and nothing that it does not.
func wrapScan(file []byte, read Evidence) ([]byte, error) {
	type db struct {
		LastUpdate string `json:"lastUpdate,omitempty"`
	}
	s := read.Scan
	head := struct {
		Invocation struct{} `json:"invocation"`
		Metadata   struct {
			Started  string `json:"scanStartedOn,omitempty"`
			Finished string `json:"scanFinishedOn,omitempty"`
		} `json:"metadata"`
		Scanner struct {
			URI     string `json:"uri"`
			Version string `json:"version,omitempty"`
			DB      db     `json:"db"`
		} `json:"scanner"`
	}{}
	head.Scanner.URI, head.Scanner.Version = scannerURIs[s.Tool], s.ToolVersion
	if !s.FinishedAt.IsZero() {
		head.Metadata.Finished = s.FinishedAt.Format(time.RFC3339)
		head.Metadata.Started = head.Metadata.Finished
	}
	if !s.DatabaseAt.IsZero() {
		head.Scanner.DB.LastUpdate = s.DatabaseAt.Format(time.RFC3339)
	}
	out, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	out = append(out[:len(out)-2], `,"result":`...) // scanner is the last member
	out = append(out, file...)
	return append(out, "}}"...), nil
}

var scannerURIs = map[string]string{
	"trivy": "pkg:github/aquasecurity/trivy", "grype": "pkg:github/anchore/grype",
}

func vulnsFormat() format {
	return format{
		name: "in-toto vulns", kind: EvidenceScan, types: []string{vulnsType, "https://in-toto.io/attestation/vulns/v0.1"},
		is:   func(top members) bool { return top.has("scanner") && !top.has("invocation") && !resultIsObject(top) },
		read: readVulns,
	}
}

type vulnsResult struct {
	ID       string          `json:"id"`
	Severity json.RawMessage `json:"severity"` // a list since v0.2
	// Annotations is a list of objects; one with a purl is the package.
	Annotations []map[string]any
}

func readVulns(top members) (Evidence, error) {
	var scanner scannerJSON
	var metadata scanMetadata
	if err := top.into("scanner", &scanner); err != nil {
		return Evidence{}, err
	}
	if err := top.into("metadata", &metadata); err != nil {
		return Evidence{}, err
	}
	s := &Scan{Tool: toolOf(scanner.URI), ToolVersion: keep(scanner.Version)}
	var err error
	if s.FinishedAt, err = metadata.finished(); err != nil {
		return Evidence{}, err
	}
	if s.DatabaseAt, err = timeAt("$.scanner.db.lastUpdate", scanner.DB.LastUpdate); err != nil {
		return Evidence{}, err
	}
	there, err := each("$.scanner.result", scanner.Result, func(place string, r vulnsResult) error {
		f, err := r.finding(place, s.Tool)
		if err != nil {
			return err
		}
		s.Findings = append(s.Findings, f)
		return f.check(place)
	})
	if err == nil && !there {
		err = unreadable("$.scanner.result", "missing: the statement has no result")
	}
	return Evidence{Scan: s}, err
}

// toolOf is a scanner's name: the last part of its URI.
func toolOf(uri string) string {
	uri, _, _ = strings.Cut(uri, "@")
	uri = strings.TrimRight(uri, "/")
	return keep(strings.ToLower(uri[strings.LastIndexByte(uri, '/')+1:]))
}

func (r vulnsResult) finding(place, tool string) (Finding, error) {
	f := Finding{ID: keep(r.ID), FixState: FixUnknown, Severity: SeverityUnknown, Tool: tool}
	_, err := each(place+".severity", r.Severity, func(_ string, rating struct{ Method, Score string }) error {
		word := NormalSeverity(rating.Score)
		f.Score = max(f.Score, scoreOf(rating.Score))
		if word != SeverityUnknown && f.Severity == SeverityUnknown {
			f.Severity, f.SaidSeverity = word, keep(rating.Score)
		}
		return nil
	})
	if f.Severity == SeverityUnknown {
		f.Severity = scoredSeverity(f.Score)
	}
	for _, a := range r.Annotations {
		for name, to := range map[string]*string{"purl": &f.PURL, "package": &f.Package, "version": &f.Version} {
			if text, ok := a[name].(string); ok && *to == "" {
				*to = keep(text)
			}
		}
		f.readNormalised(a)
	}
	return f, err
}
