// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/sha256"
	"encoding/hex"
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
// is an EvidenceKind ("sbom", "scan", "vex", "test", "check", "provenance") or
// the name of a format ("trivy", "sarif", …); "" is whatever it is. A file that
// is something else is refused. Errors are ErrEvidence and name the file.
func ReadDocumentAs(want, name string, file []byte) (Document, error) {
	d, err := ReadDocument(name, file)
	if err == nil && want != "" && want != string(d.Evidence.Kind) && want != d.Evidence.Format {
		return Document{}, &FormatError{File: name, Format: d.Evidence.Format, Want: fmt.Sprintf("is of kind %s, not %s", d.Evidence.Kind, quote(want))}
	}
	return d, err
}

// ReadFrom is ReadDocumentAs for a file of up to limit bytes (at most
// MaxStreamBytes) that is read once and not kept. SBOMs (SPDX JSON, tag-value
// and JSON-LD; CycloneDX JSON and XML) are read in constant memory; the
// document's Predicate is nil then, and Original and Evidence say what it was.
// Whatever else is read must fit into MaxEvidenceBytes. With want "sbom" or
// the name of an SBOM format nothing is buffered.
//
// r is read to its end also when the file is refused for what is in it, unless
// reading itself fails: an error of r comes back as it is, and is no
// ErrEvidence.
func ReadFrom(name, want string, r io.Reader, limit int64) (Document, error) {
	limit = min(limit, MaxStreamBytes)
	hash := sha256.New()
	raw, err := io.ReadAll(io.LimitReader(io.TeeReader(r, hash), min(limit, MaxEvidenceBytes)+1))
	if err != nil {
		return Document{}, err
	}
	d, err := ReadDocumentAs(want, name, raw)
	var wrong *FormatError
	if errors.As(err, &wrong) {
		wrong.File = name
	}
	d.Original = Original{Digest: Digest(digestPrefix + hex.EncodeToString(hash.Sum(nil))), Size: int64(len(raw))}
	return d, err
}
