// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Documents come as files that tools wrote, and become statements. A small
// document is embedded: the statement holds it byte for byte, and stock clients
// read it there. A large one is read once, as a stream, and pushed to the registry
// as an artifact of its own; the statement names it by digest and holds what it
// says, so that nothing large goes through log and journal. A document that is
// turned into other words (a JUnit file, a report in a format without a predicate)
// is kept in the registry, too, whatever its size: what was signed is then our
// reading, and somebody may want to read again.

const (
	// DefaultEmbed is up to how many bytes a document is embedded.
	DefaultEmbed = 4 << 20
	// HighestEmbed is what fits a statement.
	HighestEmbed = attest.MaxEvidenceBytes
	// MaxDocument bounds a document, bytes.
	MaxDocument = oci.MaxDocument
	// maxTitle bounds what an artifact is called after its file, bytes.
	maxTitle = 128
)

// Document is evidence that a request brings: a file as a scanner, an SBOM
// generator or a test runner writes it. It is recognised by its content.
type Document struct {
	// Name is for messages, and for the title of its artifact.
	Name string
	// Kind is what the caller takes it for: an evidence kind or the name of a
	// format. A document of another kind is refused. "" for whatever it is.
	Kind attest.EvidenceKind
	// Platform is in place of the request's, for this document: an index has an
	// SBOM for each of its images. "" for the request's.
	Platform string
	Content  []byte
	// Stored is in place of Content for a document that is not in memory.
	Stored *Stored
}

// Stored is a document that was received and hashed. It stays as long as the
// request that brought it.
type Stored struct {
	From   io.ReaderAt
	Size   int64
	Digest attest.Digest
}

// bytes is how large the document is.
func (d Document) bytes() int64 {
	if d.Stored != nil {
		return d.Stored.Size
	}
	return int64(len(d.Content))
}

// reader reads the document, wherever it is.
func (d Document) reader() io.ReaderAt {
	if d.Stored != nil {
		return d.Stored.From
	}
	return bytes.NewReader(d.Content)
}

// carried is a document of the request, recognised.
type carried struct {
	name     string
	platform string // of this document; "" for the request's
	attest.Document
	// original is what is pushed to the registry beside the statement; nil: the
	// statement holds it.
	original *oci.DocumentBlob
	// asked is the type that the document has where it is embedded; "" where it
	// is. What a job may attest does not depend on how large it is.
	asked string
	// kin are the relatives of its subject that it names in the subject's place.
	kin []attest.Digest
}

// permitted is the predicate type that policy is asked about.
func (c carried) permitted() string {
	if c.asked != "" {
		return c.asked
	}
	return c.PredicateType
}

// isVEX reports whether gates read the statement as VEX: policy is asked about
// that, too, since a CycloneDX statement may be an SBOM or excuse findings.
func (c carried) isVEX() bool {
	ev := c.Evidence
	if ev.Kind == "" { // a predicate as it was handed in
		ev = evidenceIn(c.PredicateType, c.Predicate)
	}
	return ev.Kind == attest.EvidenceVEX
}

// recognise reads all documents before anything is done with the first of them.
// a is the artifact in whose repository originals are kept.
func (s *Service) recognise(a oci.Artifact, documents []Document) ([]carried, error) {
	if len(documents) > maxDocuments {
		return nil, fmt.Errorf("%w: %d documents, at most %d in one request (hint: attest them one by one)", ErrBadRequest, len(documents), maxDocuments)
	}
	var all []carried
	for _, d := range documents {
		c, err := s.recogniseOne(a, d)
		if err != nil {
			return nil, badDocument(err)
		}
		c.platform = d.Platform
		all = append(all, c)
	}
	return all, nil
}

// badDocument says that an error is of who sent the document. What cannot be read
// again of what was received is the service's own fault, and so is all else.
func badDocument(err error) error {
	for _, theirs := range []error{attest.ErrEvidence, attest.ErrTooLarge, attest.ErrStatement, attest.ErrPredicateType, attest.ErrJSON} {
		if errors.Is(err, theirs) {
			return fmt.Errorf("%w: %w", ErrBadRequest, err)
		}
	}
	return err
}

func (s *Service) recogniseOne(a oci.Artifact, d Document) (carried, error) {
	name := clip(d.Name)
	if d.bytes() > s.embed() {
		return s.recogniseLarge(a, name, d)
	}
	content := d.Content
	if d.Stored != nil {
		content = make([]byte, d.Stored.Size)
		if _, err := d.Stored.From.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
			return carried{}, fmt.Errorf("%s: read what was received: %w", name, err)
		}
	}
	read, err := attest.ReadDocumentAs(string(d.Kind), name, content)
	if err != nil {
		return carried{}, err
	}
	if err := read.CheckForeign(); err != nil {
		return carried{}, fmt.Errorf("%s: %w", name, err)
	}
	if read, err = asItsKind(name, read); err != nil {
		return carried{}, err
	}
	if read.Embedded {
		return carried{name: name, Document: read}, nil
	}
	return s.besides(a, name, read, bytes.NewReader(content))
}

// besides makes the statement of a document that it names and does not hold.
func (s *Service) besides(a oci.Artifact, name string, read attest.Document, from io.ReaderAt) (carried, error) {
	c := carried{name: name, asked: read.AskedType()}
	blob, kept := original(a, name, read.Original, from)
	if !read.Original.Secret { // which is named, and never kept
		c.original = blob
	}
	ev, err := read.Evidence, error(nil)
	switch {
	case ev.SBOM != nil:
		read.PredicateType = attest.PredicateSBOMReference
		read.Predicate, err = attest.SBOMReference(AttestorSAN(s.cfg.Origin), read.Original, kept, *ev.SBOM)
	case ev.Scan != nil && read.Embedded: // as the report is, it would hold it
		if read.PredicateType, read.Predicate, err = attest.NormalisedScan(*ev.Scan); err == nil {
			read.Predicate, err = attest.NameOriginal(read.Predicate, read.Original, kept)
		}
	default:
		read.Predicate, err = attest.NameOriginal(read.Predicate, read.Original, kept)
	}
	if err != nil {
		return carried{}, fmt.Errorf("%s: %w", name, err)
	}
	c.Document = read
	return c, nil
}

// recogniseLarge reads a document as a stream and makes the statement that names
// it.
func (s *Service) recogniseLarge(a oci.Artifact, name string, d Document) (carried, error) {
	if d.bytes() > MaxDocument {
		return carried{}, fmt.Errorf("%s: %w: %d bytes, the limit is %d", name, attest.ErrTooLarge, d.bytes(), MaxDocument)
	}
	from := d.reader()
	read, err := attest.ReadFrom(name, string(d.Kind), io.NewSectionReader(from, 0, d.bytes()), MaxDocument)
	if err != nil {
		return carried{}, err
	}
	if d.Stored != nil && read.Original.Digest != d.Stored.Digest {
		return carried{}, fmt.Errorf("%s: it changed while it was read", name)
	}
	if err := read.CheckForeign(); err != nil {
		return carried{}, fmt.Errorf("%s: %w", name, err)
	}
	if read, err = asItsKind(name, read); err != nil {
		return carried{}, err
	}
	// A kind that is its own statement and fits one (VEX, tests), and a scan of
	// nothing, which has no findings to list.
	if ev := read.Evidence; read.Embedded && ev.SBOM == nil && (ev.Scan == nil || ev.Scan.Nothing != "") {
		return carried{name: name, Document: read}, nil
	}
	return s.besides(a, name, read, from)
}

// asItsKind makes sure that the statement of a document says what the document
// was read as. A CycloneDX document is an SBOM to whoever reads its statement:
// one that was handed in as a scan is stated as the findings in it.
func asItsKind(name string, read attest.Document) (attest.Document, error) {
	kind := read.Evidence.Kind
	if !read.Embedded || attest.EvidenceKindOf(read.PredicateType) == kind {
		return read, nil
	}
	if said, err := attest.ReadEvidence(read.PredicateType, read.Predicate); err == nil && said.Kind == kind {
		return read, nil
	}
	if scan := read.Evidence.Scan; scan != nil && scan.Nothing == "" {
		var err error
		read.PredicateType, read.Predicate, err = attest.NormalisedScan(*scan)
		read.Embedded = false
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return read, err
	}
	return read, &attest.FormatError{File: name, Want: fmt.Sprintf("a statement of type %s is not read as %s (hint: hand it in as OpenVEX)", read.PredicateType, kind)}
}

// original is where a document is kept beside an artifact.
func original(a oci.Artifact, name string, o attest.Original, from io.ReaderAt) (*oci.DocumentBlob, attest.Kept) {
	title := name
	if len(title) > maxTitle {
		title = clip(title[:maxTitle])
	}
	blob := &oci.DocumentBlob{From: from, Size: o.Size, Digest: o.Digest, MediaType: o.MediaType, Title: title}
	kept := attest.Kept{Name: title}
	if !o.Secret {
		place := a.Registry + "/" + a.Repository
		kept.URI = "oci://" + place + "@" + string(o.Digest)
		kept.DownloadLocation = "https://" + a.Registry + "/v2/" + a.Repository + "/blobs/" + string(o.Digest)
	}
	return blob, kept
}

// embed is up to how many bytes documents are embedded.
func (s *Service) embed() int64 {
	if s.cfg.Embed == 0 {
		return DefaultEmbed
	}
	return s.cfg.Embed
}
