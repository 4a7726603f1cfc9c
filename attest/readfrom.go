// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
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

// Document is a plain file, recognised: the predicate that it becomes, and
// what it says.
type Document struct {
	// PredicateType is "" for a file that cannot be a predicate, since it is not
	// JSON: its statement names it and does not hold it.
	PredicateType string
	// Predicate is nil for such a file, and for one that was read as a stream.
	Predicate []byte
	Evidence  Evidence
	// Reserved is a member of the file that only the service writes in predicates,
	// or "": such a file is no tool's.
	Reserved string
	// Original is the file. Whether Predicate holds it byte for byte is Embedded.
	Original Original
	Embedded bool
}

// MaxStreamBytes bounds a document that ReadFrom reads as a stream.
const MaxStreamBytes = 256 << 20

// ReadDocument recognises a file by its content: see docs/EVIDENCE.md for all
// formats. Errors are ErrEvidence and name the file.
func ReadDocument(name string, file []byte) (Document, error) { return ReadDocumentAs("", name, file) }

// ReadDocumentAs is ReadDocument for somebody who knows what the file is: want
// is an EvidenceKind or the name of a format (see CheckWanted); "" is whatever
// it is. A file that is something else is refused; one that can be several
// things, a CycloneDX document with vulnerabilities, is read as what is wanted.
// Errors are ErrEvidence and name the file.
func ReadDocumentAs(want, name string, file []byte) (Document, error) {
	d, err := readDocument(want, file)
	if err == nil && want != "" && want != string(d.Evidence.Kind) && want != d.Evidence.Format {
		err = otherKind(want, d.Evidence)
	}
	if err != nil {
		return Document{}, inFile(name, err)
	}
	d.Original.Digest, d.Original.Size = DigestOf(file), int64(len(file))
	return d, nil
}

// AskedType is the predicate type that a policy is asked about: that which the
// document has where its statement holds it. An SBOM that is no JSON is the same
// to a policy as one that is.
func (d Document) AskedType() string {
	switch sbom := d.Evidence.SBOM; {
	case d.PredicateType != "" || sbom == nil:
		return d.PredicateType
	case sbom.Format == "SPDX":
		return "https://spdx.dev/Document"
	default:
		return "https://cyclonedx.org/bom"
	}
}

func otherKind(want string, ev Evidence) error {
	if slices.Contains(formatNames(func(format) bool { return true }), want) {
		return &FormatError{Want: fmt.Sprintf("is %s, not %s", ev.Format, want)}
	}
	return &FormatError{Format: ev.Format, Want: fmt.Sprintf("is a document of kind %s, not %s", ev.Kind, quote(want))}
}

// inFile says in which file it was.
func inFile(name string, err error) error {
	var wrong *FormatError
	if errors.As(err, &wrong) {
		wrong.File = name
		return wrong
	}
	return err
}

func tooLarge(size, limit int64) error {
	return &FormatError{Want: fmt.Sprintf("%v: %d bytes, the limit is %d", ErrTooLarge, size, limit), cause: ErrTooLarge}
}

func readDocument(want string, file []byte) (Document, error) {
	if len(file) > MaxEvidenceBytes {
		return Document{}, tooLarge(int64(len(file)), MaxEvidenceBytes)
	}
	if err := CheckWanted(want); err != nil {
		return Document{}, &FormatError{Want: err.Error()}
	}
	if err := checkText(file); err != nil {
		return Document{}, err
	}
	trimmed := trimJSONSpace(file)
	switch {
	case trimmed[0] == '<':
		return readXML(want, trimmed)
	case isTagValue(trimmed):
		sbom, err := readTagValue(bytes.NewReader(trimmed))
		return streamed(tagValueName, sbom), inFormat(err, tagValueName)
	}
	if err := checkStart(trimmed); err != nil {
		return Document{}, err
	}
	top, err := open(trimmed, want)
	if err != nil {
		return Document{}, err
	}
	return recognise(top, trimmed)
}

// recognise reads a JSON document as the first format that it fits.
func recognise(top *document, file []byte) (Document, error) {
	if top.list && top.size == 0 {
		return readEmptyList(top, file)
	}
	var others []format // that it is, and that are not wanted
	for _, f := range formats() {
		if f.is == nil || !f.is(top) {
			continue
		}
		if !f.fits(top.want) {
			others = append(others, f)
			continue
		}
		ev, err := f.evidence(top)
		if err != nil {
			return Document{}, err
		}
		d, err := f.document(file, ev)
		d.Reserved = top.reserved()
		return d, err
	}
	if len(others) > 0 {
		return Document{}, otherKind(top.want, Evidence{Format: others[0].name, Kind: others[0].kind})
	}
	if c, ok, err := openEnvelope(file, top.members); ok && err == nil && !top.list {
		return Document{}, unreadable("$", "%s", c.HandIn())
	}
	return Document{}, unreadable("$", "not a document that is known here (hint: docs/EVIDENCE.md lists Trivy, Grype, SARIF, SPDX, CycloneDX, OpenVEX, JUnit and others; "+
		"--type says what a file is)")
}

// readEmptyList reads [], which several tools write when they find nothing:
// only who has called the tool knows which it was.
func readEmptyList(top *document, file []byte) (Document, error) {
	for _, f := range formats() {
		if f.name == top.want && f.emptyList {
			ev, err := f.evidence(top)
			if err != nil {
				return Document{}, err
			}
			return f.document(file, ev)
		}
	}
	names := formatNames(func(f format) bool { return f.emptyList })
	return Document{}, unreadable("$", "an empty list, which says nothing of who wrote it (hint: --type %s)", strings.Join(names, " or "))
}

// document makes what a file becomes that was read.
func (f format) document(file []byte, ev Evidence) (Document, error) {
	d := Document{Predicate: file, Evidence: ev, Embedded: true}
	d.Original.MediaType, d.Original.Secret = cmp.Or(f.media, "application/json"), ev.secret
	if f.wrap == nil {
		d.PredicateType = f.types[0]
		return d, nil
	}
	d.Evidence.Named = nil // what a report says of itself is not the service's word
	predicateType, predicate, err := f.wrap(file, d)
	if err == nil && len(predicate) > MaxEvidenceBytes {
		err = errWritten()
	}
	if err != nil {
		return Document{}, inFormat(err, f.name)
	}
	d.PredicateType, d.Predicate = predicateType, predicate
	d.Embedded = predicateType == cosignVulnType || bytes.Equal(predicate, file)
	return d, nil
}

// ReadFrom is ReadDocumentAs for a file of up to limit bytes (at most
// MaxStreamBytes) that is read once and not kept. SBOMs (SPDX JSON, JSON-LD and
// tag-value; CycloneDX JSON and XML; syft JSON) are read in constant memory; the
// document's Predicate is nil then, and Original and Evidence say what it was.
// Whatever else is read must fit into MaxEvidenceBytes. With want "sbom" or the
// name of an SBOM format nothing is buffered.
//
// Errors are ErrEvidence and name the file, but for an error of r, which comes
// back as it is.
func ReadFrom(name, want string, r io.Reader, limit int64) (Document, error) {
	limit = min(limit, MaxStreamBytes)
	s := &source{r: r, limit: limit, hash: sha256.New()}
	d, err := s.read(want)
	switch {
	case s.err != nil:
		return Document{}, s.err
	case s.size > limit:
		return Document{}, inFile(name, &FormatError{Want: fmt.Sprintf("%v: more than %d bytes", ErrTooLarge, limit), cause: ErrTooLarge})
	case err != nil:
		return Document{}, inFile(name, err)
	}
	d.Original.Digest, d.Original.Size = Digest(digestPrefix+hex.EncodeToString(s.hash.Sum(nil))), s.size
	return d, nil
}

// source counts and hashes what is read of a stream.
type source struct {
	r     io.Reader
	limit int64
	size  int64
	hash  hash.Hash
	err   error // of r
}

// Read implements io.Reader. Beyond the limit the stream ends.
func (s *source) Read(p []byte) (int, error) {
	if s.size > s.limit {
		return 0, io.EOF
	}
	n, err := s.r.Read(p)
	s.size += int64(n)
	_, _ = s.hash.Write(p[:n]) // a hash never fails
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// read reads a document: as a stream if it is to be an SBOM, or if it is too
// large for anything else.
func (s *source) read(want string) (Document, error) {
	if err := CheckWanted(want); err != nil {
		return Document{}, &FormatError{Want: err.Error()}
	}
	if isSBOM(want) {
		return readStream(want, s)
	}
	head, err := io.ReadAll(io.LimitReader(s, MaxEvidenceBytes+1))
	if err != nil {
		return Document{}, err
	}
	if len(head) <= MaxEvidenceBytes {
		return ReadDocumentAs(want, "", head)
	}
	if want != "" {
		return Document{}, tooLargeForAllButSBOMs()
	}
	d, err := readStream(want, io.MultiReader(bytes.NewReader(head), s))
	if errors.Is(err, errNoSBOM) {
		err = tooLargeForAllButSBOMs()
	}
	return d, err
}

func tooLargeForAllButSBOMs() error {
	return &FormatError{Want: fmt.Sprintf("%v: more than %d bytes, which is the limit for all but SBOMs", ErrTooLarge, MaxEvidenceBytes), cause: ErrTooLarge}
}

// isSBOM tells whether a kind or format is an SBOM and nothing else.
func isSBOM(want string) bool {
	return want == string(EvidenceSBOM) || slices.ContainsFunc(formats(), func(f format) bool { return f.name == want && f.stream })
}

// readStream reads an SBOM.
func readStream(want string, src io.Reader) (Document, error) {
	head, err := peekStream(src)
	if err != nil {
		return Document{}, err
	}
	if err := checkText(head); err != nil {
		return Document{}, err
	}
	src = io.MultiReader(bytes.NewReader(head), src)
	d, err := readStreamed(trimJSONSpace(head), src)
	if err == nil && want != "" && want != string(EvidenceSBOM) && want != d.Evidence.Format {
		err = otherKind(want, d.Evidence)
	}
	return d, err
}

// peekStream reads the beginning.
func peekStream(src io.Reader) ([]byte, error) {
	head := make([]byte, streamBuffer)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
}

func readStreamed(head []byte, src io.Reader) (Document, error) {
	switch {
	case len(head) > 0 && head[0] == '<':
		sbom, err := readCycloneDXXML(src)
		return streamed(cyclonedxXMLName, sbom), inFormat(err, cyclonedxXMLName)
	case isTagValue(head):
		sbom, err := readTagValue(src)
		return streamed(tagValueName, sbom), inFormat(err, tagValueName)
	}
	if err := checkStart(head); err != nil {
		return Document{}, err
	}
	r := streamJSON(src)
	s, err := readSBOM(r)
	if err == nil {
		err = endOf(r)
	}
	if err != nil {
		return Document{}, err
	}
	d := streamed(s.formatName(), &s.sbom)
	d.Reserved = s.reserved
	return d, nil
}

// streamed is the document of an SBOM that was read as a stream.
func streamed(name string, s *SBOM) Document {
	f := formatNamed(name)
	d := Document{Evidence: Evidence{Kind: EvidenceSBOM, Format: name, SBOM: s}, Original: Original{MediaType: f.media}}
	if len(f.types) > 0 { // or it is no JSON, and no predicate
		d.PredicateType = f.types[0]
	}
	return d
}
