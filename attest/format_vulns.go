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
// one. in-toto's v0.1 says three things in three places (prose, example,
// protobuf): all are read.
// Sources: github.com/sigstore/cosign/specs/COSIGN_VULN_ATTESTATION_SPEC.md,
// github.com/in-toto/attestation/spec/predicates/vuln.md and vulns_02.md

const (
	cosignVulnType = "https://cosign.sigstore.dev/attestation/vuln/v1"
	vulnsType      = "https://in-toto.io/attestation/vulns/v0.2"
	vulns01Type    = "https://in-toto.io/attestation/vulns/v0.1"
)

type scanMetadata struct{ ScanStartedOn, ScanFinishedOn string }

// times are when the scan ran by the predicate's own word.
func (m scanMetadata) times(place string) (started, finished time.Time, err error) {
	if started, err = timeAt(place+".scanStartedOn", m.ScanStartedOn); err != nil {
		return started, finished, err
	}
	finished, err = timeAt(place+".scanFinishedOn", m.ScanFinishedOn)
	return started, finished, err
}

type databaseJSON struct{ URI, Version, LastUpdate string }

type scannerJSON struct {
	URI, Version string
	DB           databaseJSON
	Database     databaseJSON // in the protobuf of v0.1
	Result       json.RawMessage
}

func cosignVulnFormat() format {
	return format{
		name: "cosign-vuln", kind: EvidenceScan, kinds: []EvidenceKind{EvidenceCheck}, types: []string{cosignVulnType},
		is: func(d *document) bool {
			return !d.list && (d.has("scanner") && d.has("invocation") || resultIsObject(d.members))
		},
		read: readCosignVuln,
	}
}

func resultIsObject(top members) bool {
	if top.kindOf("scanner") != '{' {
		return false
	}
	object := false
	r := top.reader("scanner")
	err := r.object(func(name []byte) error {
		object = object || string(name) == "result" && r.peek() == '{'
		return nil
	})
	if !object || err != nil {
		return false
	}
	var s struct {
		Result struct{ Vulnerabilities json.RawMessage }
	}
	_ = json.Unmarshal(top["scanner"], &s) // in-toto v0.1's has this member only
	return s.Result.Vulnerabilities == nil
}

func readCosignVuln(d *document) (Evidence, error) {
	var scanner scannerJSON
	var metadata scanMetadata
	if err := d.into("scanner", &scanner); err != nil {
		return Evidence{}, err
	}
	if err := d.into("metadata", &metadata); err != nil {
		return Evidence{}, err
	}
	started, finished, err := metadata.times("$.metadata")
	if err != nil {
		return Evidence{}, err
	}
	updated, err := timeAt("$.scanner.db.lastUpdate", scanner.DB.LastUpdate)
	if err != nil {
		return Evidence{}, err
	}
	if len(scanner.Result) == 0 || isNull(scanner.Result) {
		return Evidence{}, unreadable("$.scanner.result", "missing: the statement has no result")
	}
	inner, err := openInner(scanner.Result, d.want)
	if err != nil {
		return Evidence{}, unreadable("$.scanner.result", "want the scanner's report, a JSON object")
	}
	for _, f := range []format{trivyFormat(), grypeFormat(), sarifFormat(), snykFormat(), clairFormat(), gitlabFormat()} {
		if !f.is(inner) {
			continue
		}
		ev, err := f.evidence(inner)
		if err != nil {
			return Evidence{}, within(err, "$.scanner.result")
		}
		ev.Named = nil // what a report says of itself is not the service's word
		ev.Within = "$.scanner.result"
		s := ev.Scan
		if ev.Check != nil {
			s = &ev.Check.Scan
		}
		if s == nil {
			break
		}
		if s.StartedAt.IsZero() && !started.Equal(finished) { // equal: nobody knew
			s.StartedAt = started
		}
		s.FinishedAt, s.DatabaseAt = older(s.FinishedAt, finished), older(s.DatabaseAt, updated)
		return ev, nil
	}
	return Evidence{}, unreadable("$.scanner.result", "not a report that is known here (hint: Trivy or Grype JSON)")
}

// openInner takes the top of a document apart that is a member of another one,
// and so has been checked.
func openInner(raw []byte, want string) (*document, error) {
	d := &document{members: members{}, raw: raw, want: want}
	r := readChecked("", raw)
	err := r.element(func(name []byte) error {
		value, err := r.raw()
		d.members[string(name)] = value
		return err
	})
	return d, err
}

// wrapScan makes the predicate of a scanner's report: the report byte for byte,
// with the times that it states and nothing that it does not.
func wrapScan(file []byte, d Document) (string, []byte, error) {
	type db struct {
		LastUpdate string `json:"lastUpdate,omitempty"`
	}
	s := d.Evidence.Scan
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
	head.Scanner.URI, head.Scanner.Version = scannerURI(s.Tool), s.ToolVersion
	head.Metadata.Finished, head.Scanner.DB.LastUpdate = stamp(s.FinishedAt), stamp(s.DatabaseAt)
	if head.Metadata.Started = stamp(s.StartedAt); head.Metadata.Started == "" {
		head.Metadata.Started = head.Metadata.Finished
	}
	out, err := encodeJSON(head)
	if err != nil {
		return "", nil, err
	}
	out = append(out[:len(out)-2], `,"result":`...) // scanner is the last member
	out = append(out, file...)
	return cosignVulnType, append(out, "}}"...), nil
}

func vulnsFormat() format {
	return format{
		name: "in-toto-vulns", kind: EvidenceScan, kinds: []EvidenceKind{EvidenceCheck}, types: []string{vulnsType, vulns01Type},
		is: func(d *document) bool {
			return !d.list && d.has("scanner") && !d.has("invocation") && !resultIsObject(d.members)
		},
		read: readVulns,
	}
}

func readVulns(d *document) (Evidence, error) {
	var scanner scannerJSON
	var metadata scanMetadata
	if err := d.into("scanner", &scanner); err != nil {
		return Evidence{}, err
	}
	place := "$.metadata"
	if !d.has("metadata") { // the protobuf of v0.1
		place = "$.scanMetadata"
	}
	if err := d.into(strings.TrimPrefix(place, "$."), &metadata); err != nil {
		return Evidence{}, err
	}
	s := &Scan{Tool: toolOf(scanner.URI), ToolVersion: keep(scanner.Version)}
	if own := d.members[scanMember]; own != nil {
		var j scanJSON
		if err := d.into(scanMember, &j); err != nil {
			return Evidence{}, err
		}
		if err := s.restore("$."+scanMember, j); err != nil {
			return Evidence{}, err
		}
	}
	var err error
	if s.StartedAt, s.FinishedAt, err = metadata.times(place); err != nil {
		return Evidence{}, err
	}
	updated := scanner.DB.LastUpdate
	if updated == "" {
		updated = scanner.Database.LastUpdate
	}
	if s.DatabaseAt, err = timeAt("$.scanner.db.lastUpdate", updated); err != nil {
		return Evidence{}, err
	}
	result := vulnsResultOf(scanner.Result, d)
	there, err := result.list(func() error { return readVulnsResult(result, s) })
	if err == nil && !there {
		err = unreadable("$.scanner.result", "missing: the statement has no result")
	}
	return Evidence{Scan: s}, err
}

// vulnsResultOf finds the list: in the scanner, or in v0.1 also beside it.
func vulnsResultOf(result json.RawMessage, d *document) *jsonReader {
	var inner struct{ Vulnerabilities json.RawMessage }
	switch {
	case len(result) > 0 && bytes.HasPrefix(bytes.TrimSpace(result), []byte("{")):
		if json.Unmarshal(result, &inner) == nil && inner.Vulnerabilities != nil {
			return readChecked("$.scanner.result.vulnerabilities", inner.Vulnerabilities)
		}
	case len(result) == 0 && d.has("result"):
		return d.reader("result")
	case len(result) == 0:
		return readChecked("$.scanner.result", []byte("null"))
	}
	return readChecked("$.scanner.result", result)
}

// toolOf is a scanner's name: the last part of its URI.
func toolOf(uri string) string {
	uri, _, _ = strings.Cut(uri, "@")
	uri = strings.TrimRight(uri, "/")
	return toolName(uri[strings.LastIndexByte(uri, '/')+1:])
}

// readVulnsResult reads one vulnerability. One that we have written is as it
// was; of others vectors and numbers are scores, words are severities, and the
// rest is unknown.
func readVulnsResult(r *jsonReader, s *Scan) error {
	f := Finding{}
	var written *findingJSON
	err := r.element(func(name []byte) error {
		switch string(name) {
		case "id":
			return r.string(&f.ID)
		case "vulnerability": // the prose of v0.1
			return r.object(func(name []byte) error {
				if string(name) == "id" && f.ID == "" {
					return r.string(&f.ID)
				}
				return nil
			})
		case "severity":
			if r.peek() == '{' { // v0.1
				return readVulnsRating(r, &f)
			}
			_, err := r.list(func() error { return readVulnsRating(r, &f) })
			return err
		case "annotations":
			_, err := r.list(func() error { return readVulnsAnnotation(r, &f, &written) })
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if written != nil {
		id := f.ID
		f = written.finding()
		f.ID = id
	}
	return s.add(r.place, f)
}

// vulnsMethods are the scales that name themselves.
var vulnsMethods = map[string]string{
	"cvssv2": "2.0", "cvssv20": "2.0", "cvssv3": "3.0", "cvssv30": "3.0", "cvssv31": "3.1", "cvssv4": "4.0", "cvssv40": "4.0",
}

func readVulnsRating(r *jsonReader, f *Finding) error {
	var method, said string
	err := r.object(func(name []byte) error {
		switch string(name) {
		case "method":
			return r.string(&method)
		case "score":
			if c := r.peek(); c == '-' || c >= '0' && c <= '9' { // v0.1 has numbers in its example
				var n float64
				err := r.number(&n)
				said = writeScore(n)
				return err
			}
			return r.string(&said)
		}
		return nil
	})
	if err != nil || said == "" {
		return err
	}
	version := vulnsMethods[strings.ToLower(method)]
	switch word, score := NormalSeverity(said), scoreOf(said); {
	case score > 0:
		f.CVSS = append(f.CVSS, CVSS{Version: version, Score: score, Source: keep(method)})
	case strings.Contains(said, ":") && strings.Contains(said, "/"):
		f.CVSS = append(f.CVSS, CVSS{Version: version, Vector: said, Source: keep(method)})
	default:
		f.Ratings = append(f.Ratings, Rating{Source: keep(method), Said: keep(said), Severity: word})
		if word != SeverityUnknown && f.Severity == "" || f.SaidSeverity == "" {
			f.Severity, f.SaidSeverity = word, said
		}
	}
	return nil
}

// readVulnsAnnotation reads an annotation: of ours all of the finding, of
// others what names a package.
func readVulnsAnnotation(r *jsonReader, f *Finding, written **findingJSON) error {
	if r.peek() != '{' {
		return nil
	}
	raw, err := r.raw()
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return unreadable(r.place(), "%v", err)
	}
	if mentions(all, "kind") && mentions(all, "fixState") && mentions(all, "severityAsSaid") {
		var one findingJSON
		if err := decodeAt(r.place(), raw, &one); err != nil {
			return err
		}
		*written = &one
		return one.check(r.place())
	}
	for name, to := range map[string]*string{"purl": &f.PURL, "package": &f.Package, "version": &f.Version} {
		var text string
		if json.Unmarshal(all[name], &text) == nil && *to == "" {
			*to = text
		}
	}
	return nil
}
