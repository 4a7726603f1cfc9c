// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Original names the file that a predicate was made from, byte for byte as it
// was handed in. A predicate that does not hold the file names it by these.
type Original struct {
	Digest    Digest
	Size      int64
	MediaType string // application/vnd.cyclonedx+json, application/sarif+json, …
	// Secret: the file holds secrets that a scanner found. Keep its digest, never
	// its bytes.
	Secret bool
}

// MaxStreamBytes bounds a document that ReadFrom reads as a stream.
const MaxStreamBytes = 256 << 20

// ReadDocumentAs is ReadDocument for somebody who knows what the file is: want
// is an EvidenceKind or the name of a format; "" is whatever it is.
func ReadDocumentAs(want, name string, file []byte) (Document, error) {
	d, err := ReadDocument(name, file)
	if err != nil {
		return d, err
	}
	if want != "" && want != string(d.Evidence.Kind) && want != d.Evidence.Format {
		return Document{}, &FormatError{File: name, Format: d.Evidence.Format, Want: fmt.Sprintf("is of kind %s, not %s", d.Evidence.Kind, quote(want))}
	}
	d.Original = Original{Digest: DigestOf(file), Size: int64(len(file)), MediaType: mediaTypeOf(d.Evidence)}
	d.Embedded = bytes.Contains(d.Predicate, trimJSONSpace(file))
	return d, nil
}

func mediaTypeOf(ev Evidence) string {
	switch {
	case ev.SBOM != nil && ev.SBOM.Format == "SPDX":
		return "application/spdx+json"
	case ev.SBOM != nil:
		return "application/vnd.cyclonedx+json"
	case ev.Format == "junit":
		return "application/xml"
	}
	return "application/json"
}

// ReadFrom is ReadDocumentAs for a file of up to limit bytes that is read once.
// SBOMs are read in constant memory; the document's Predicate is nil then.
func ReadFrom(name, want string, r io.Reader, limit int64) (Document, error) {
	limit = min(limit, MaxStreamBytes)
	if want != string(EvidenceSBOM) {
		raw, err := io.ReadAll(io.LimitReader(r, min(limit, MaxEvidenceBytes)+1))
		if err != nil {
			return Document{}, err
		}
		return ReadDocumentAs(want, name, raw)
	}
	hash, counter := sha256.New(), &countingWriter{}
	limited := io.LimitReader(r, limit+1)
	tee := io.TeeReader(limited, io.MultiWriter(hash, counter))
	s, err := streamSBOM(tee)
	if _, drained := io.Copy(io.Discard, tee); err == nil && drained != nil {
		return Document{}, drained
	}
	if counter.n > limit {
		err = &FormatError{cause: fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)}
	}
	var wrong *FormatError
	if errors.As(err, &wrong) {
		wrong.File = name
	}
	if err != nil {
		return Document{}, err
	}
	d := Document{PredicateType: "https://spdx.dev/Document", Evidence: Evidence{Kind: EvidenceSBOM, Format: "spdx", SBOM: &s}}
	if s.Format == "CycloneDX" {
		d.PredicateType, d.Evidence.Format = "https://cyclonedx.org/bom", "cyclonedx"
	}
	d.Original = Original{Digest: Digest(digestPrefix + hex.EncodeToString(hash.Sum(nil))), Size: counter.n, MediaType: mediaTypeOf(d.Evidence)}
	return d, nil
}

type countingWriter struct{ n int64 }

func (c *countingWriter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// streamSBOM counts the entries of the one list that matters.
func streamSBOM(r io.Reader) (s SBOM, err error) {
	dec := json.NewDecoder(r)
	fail := func(err error) (SBOM, error) { return SBOM{}, &FormatError{cause: fmt.Errorf("%w: %w", ErrJSON, err)} }
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return SBOM{}, unreadable("$", "want a JSON object")
	}
	var head struct {
		Spec, Version, Format string
		Creation              struct{ Created string }
		Metadata              struct{ Timestamp string }
	}
	listed := false
	into := map[string]any{"spdxVersion": &head.Spec, "specVersion": &head.Version, "bomFormat": &head.Format, "creationInfo": &head.Creation, "metadata": &head.Metadata}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return fail(err)
		}
		text, _ := name.(string)
		if text == "packages" || text == "components" {
			listed = true
			if err := countList(dec, &s); err != nil {
				return fail(err)
			}
			continue
		}
		v := into[text]
		if v == nil {
			v = new(json.RawMessage)
		}
		if err := dec.Decode(v); err != nil {
			return fail(err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return fail(err)
	}
	s.Format, s.Version = "SPDX", head.Spec
	created := head.Creation.Created
	if head.Format == "CycloneDX" {
		s.Format, s.Version, created = head.Format, head.Version, head.Metadata.Timestamp
	}
	if len(s.Version) > 5 && s.Version[:5] == "SPDX-" {
		s.Version = s.Version[5:]
	}
	if s.Version == "" || !listed {
		return SBOM{}, unreadable("$", "not a document that is known here (hint: SPDX or CycloneDX JSON)")
	}
	s.Created, err = timeAt("$", created)
	return s, err
}

func countList(dec *json.Decoder, s *SBOM) error {
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return errors.New("want a list")
	}
	for dec.More() {
		var one struct{ Name string }
		if err := dec.Decode(&one); err != nil {
			return err
		}
		s.Packages++
	}
	_, err := dec.Token()
	return err
}
