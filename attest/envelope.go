// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Opened is a statement as a file carries it: bare, in a DSSE envelope or in a
// Sigstore bundle. It is for looking at: nothing of it is verified, and what
// ParseStatement would refuse is in Problem, not an error.
type Opened struct {
	// In is where the statement was: "statement", "dsse envelope" or "bundle".
	In         string
	Signatures int
	Type       string
	// Subjects are at most MaxSubjects of all there are, which Count says.
	Subjects      []Subject
	Count         int
	PredicateType string
	Predicate     []byte
	// Problem says why no verifier would take it, or is "".
	Problem string
}

const (
	// maxEnvelopes bounds the envelopes of one file, one a line.
	maxEnvelopes = 64
	// statementPrefix is how the types of statements begin.
	statementPrefix = "https://in-toto.io/Statement/"
	// bundlePrefix is how the media types of bundles begin.
	bundlePrefix = "application/vnd.dev.sigstore.bundle"
)

// OpenEnvelopes returns the statements that a file carries: one document, or
// several, one after the other (JSON lines). It returns none if the file is
// something else. Errors are ErrEvidence.
func OpenEnvelopes(file []byte) ([]Opened, error) {
	if len(file) > MaxBundleBytes {
		return nil, tooLarge(int64(len(file)), MaxBundleBytes)
	}
	r := readJSON(file)
	var all []Opened
	for n := 0; r.peek() == '{'; n++ {
		raw, err := r.raw()
		if err != nil {
			return nil, ifEnvelope(err, all)
		}
		d, err := openInner(raw, "")
		if err != nil {
			return nil, ifEnvelope(err, all)
		}
		c, ok, err := openEnvelope(raw, d.members)
		switch {
		case err != nil:
			return nil, err
		case !ok && n == 0:
			return nil, nil // some other document
		case !ok:
			return nil, r.wrong("neither a statement nor an envelope nor a bundle, and those before it are")
		case n == maxEnvelopes:
			return nil, r.wrong("more than %d envelopes", maxEnvelopes)
		}
		all = append(all, c)
	}
	if len(all) > 0 {
		if err := r.end(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// ifEnvelope: what is wrong with a document that may be another one is said by
// its reader.
func ifEnvelope(err error, before []Opened) error {
	if len(before) > 0 {
		return err
	}
	return nil
}

func openEnvelope(raw []byte, top members) (Opened, bool, error) {
	switch {
	case strings.HasPrefix(top.text("_type"), statementPrefix):
		c := Opened{In: "statement"}
		return c, true, c.statement(raw)
	case mentions(top, "payloadType") && mentions(top, "payload"):
		c := Opened{In: "dsse envelope"}
		return c, true, c.envelope("$", top)
	case strings.HasPrefix(top.text("mediaType"), bundlePrefix):
		c := Opened{In: "bundle"}
		if !top.has("dsseEnvelope") {
			return c, true, unreadable("$.dsseEnvelope", "missing: the bundle is of a message, and carries no statement")
		}
		var inner members
		if err := top.into("dsseEnvelope", &inner); err != nil {
			return c, true, err
		}
		return c, true, c.envelope("$.dsseEnvelope", inner)
	}
	return Opened{}, false, nil
}

// envelope opens a DSSE envelope. Its base64 may be of either alphabet.
func (c *Opened) envelope(place string, top members) error {
	if kind := top.text("payloadType"); kind != PayloadType {
		return unreadable(place+".payloadType", "%s, want %s", quote(kind), PayloadType)
	}
	var signatures []json.RawMessage
	if err := top.into("signatures", &signatures); err != nil {
		return err
	}
	c.Signatures = len(signatures)
	var text string
	if err := top.into("payload", &text); err != nil {
		return err
	}
	payload, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		payload, err = base64.URLEncoding.DecodeString(text)
	}
	if err != nil {
		return unreadable(place+".payload", "want base64")
	}
	r := readJSON(payload)
	if err := r.skip(); err != nil {
		return within(err, place+".payload$")
	}
	if err := r.end(); err != nil {
		return within(err, place+".payload$")
	}
	return c.statement(payload)
}

// statement reads a statement that has been checked as JSON.
func (c *Opened) statement(raw []byte) error {
	if _, err := ParseStatement(raw); err != nil {
		c.Problem = err.Error()
	}
	d, err := openInner(raw, "")
	if err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		to   any
	}{{"_type", &c.Type}, {"predicateType", &c.PredicateType}} {
		if err := d.into(m.name, m.to); err != nil {
			return err
		}
	}
	c.Type, c.PredicateType = keep(c.Type), keep(c.PredicateType)
	if !strings.HasPrefix(c.Type, statementPrefix) {
		return unreadable("$._type", "%s, want %s or %s", quote(c.Type), StatementV1, StatementV01)
	}
	if d.kindOf("predicate") != '{' {
		return unreadable("$.predicate", "missing: the statement says nothing")
	}
	c.Predicate = d.members["predicate"]
	_, err = each("$.subject", d.members["subject"], func(_ string, s struct {
		Name, URI string
		Digest    map[string]string
	},
	) error {
		if c.Count++; c.Count <= MaxSubjects {
			name := s.Name
			if name == "" {
				name = s.URI
			}
			c.Subjects = append(c.Subjects, Subject{Name: keep(name), Digests: s.Digest})
		}
		return nil
	})
	return err
}

// HandIn says why what is carried is no evidence as it is: only the service signs
// statements that count, so it takes documents.
func (c Opened) HandIn() string {
	carrier := map[string]string{"statement": "a statement", "dsse envelope": "a DSSE envelope", "bundle": "a Sigstore bundle"}[c.In]
	return fmt.Sprintf("is %s of %s; hand in the document inside it", carrier, keep(c.PredicateType))
}

// Read reads the predicate, with types that are looked at and not judged:
// SLSA provenance 0.2. Of a type that is not known the Evidence has no Kind.
func (c Opened) Read() (Evidence, error) {
	if c.PredicateType == provenance02Type {
		return readProvenance02(c.Predicate)
	}
	if !IsEvidence(c.PredicateType) {
		return Evidence{}, nil
	}
	ev, err := ReadEvidence(c.PredicateType, c.Predicate)
	return ev, within(err, "$.predicate")
}

// provenance02Type is the type of SLSA provenance before 1.0.
const provenance02Type = "https://slsa.dev/provenance/v0.2"

// readProvenance02 reads SLSA provenance 0.2. No gate looks at it: the service
// makes version 1.
// Source: https://slsa.dev/spec/v0.2/provenance
func readProvenance02(predicate []byte) (Evidence, error) {
	const name = "slsa-provenance-0.2"
	var p struct {
		Builder    struct{ ID string }
		BuildType  string
		Invocation struct {
			ConfigSource struct {
				URI string
			}
		}
		Metadata  struct{ BuildInvocationID string }
		Materials []struct {
			URI    string
			Digest map[string]string
		}
	}
	if err := decodeAt("$.predicate", predicate, &p); err != nil {
		return Evidence{}, inFormat(err, name)
	}
	if p.Builder.ID == "" {
		return Evidence{}, inFormat(unreadable("$.predicate.builder.id", "missing"), name)
	}
	out := &Provenance{
		BuilderID: keep(p.Builder.ID), BuildType: keep(p.BuildType), Source: keep(p.Invocation.ConfigSource.URI), Invocation: keep(p.Metadata.BuildInvocationID),
	}
	if len(p.Materials) > 0 {
		first := p.Materials[0]
		out.Source, out.Commit = keep(first.URI), keep(first.Digest["gitCommit"]+first.Digest["sha1"])
	}
	return Evidence{Kind: EvidenceProvenance, Format: name, Provenance: out}, nil
}
