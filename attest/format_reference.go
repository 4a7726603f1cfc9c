// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A document that is too large for a statement is kept in the registry, and the
// statement names it by its digest, with what a gate needs to know of it. So does
// a statement that holds a document's findings in other words. The service has
// read the document itself: what such a statement says was not written by a job.
//
// An SBOM by reference has a type of its own. Its predicate begins as in-toto's
// reference v0.1 (attester, references), so that readers of that find the
// document, and adds what the SBOM says. Every other statement names its
// original in the member hallmark_document.
// Source: github.com/in-toto/attestation/spec/predicates/reference.md

const (
	// PredicateSummary is the type of SLSA verification summaries.
	PredicateSummary = "https://slsa.dev/verification_summary/v1"
	// PredicateSBOMReference is the type of a statement about an SBOM that is kept
	// elsewhere. Only the service makes such.
	PredicateSBOMReference = "https://hallmark.dev/attestation/sbom-reference/v1"
	// originalMember names the original in every other predicate.
	originalMember = "hallmark_document"
	// ownPrefix begins the members of predicates that only the service writes.
	ownPrefix = "hallmark_"
)

// Kept says where an original is: labels, of which nothing is believed. What
// names it is its digest.
type Kept struct {
	Name string // as its owner calls it
	// URI is that of the OCI artifact, DownloadLocation of the bytes.
	URI, DownloadLocation string
}

// resourceJSON is in-toto's ResourceDescriptor, with what it has no members for
// beside it.
type resourceJSON struct {
	Name             string            `json:"name,omitempty"`
	URI              string            `json:"uri,omitempty"`
	Digest           map[string]string `json:"digest"`
	DownloadLocation string            `json:"downloadLocation,omitempty"`
	MediaType        string            `json:"mediaType"`
	Annotations      struct {
		Size   int64 `json:"size"`
		Secret bool  `json:"secret,omitempty"`
	} `json:"annotations"`
}

func (o Original) resource(k Kept) resourceJSON {
	r := resourceJSON{
		Name: k.Name, URI: k.URI, Digest: map[string]string{algSHA256: o.Digest.Hex()}, DownloadLocation: k.DownloadLocation, MediaType: o.MediaType,
	}
	r.Annotations.Size, r.Annotations.Secret = o.Size, o.Secret
	return r
}

// original is what the resource names.
func (r resourceJSON) original() (Original, error) {
	digest, err := ParseDigest(digestPrefix + r.Digest[algSHA256])
	return Original{Digest: digest, Size: r.Annotations.Size, MediaType: keep(r.MediaType), Secret: r.Annotations.Secret}, err
}

// Named are the documents that a predicate names by digest, of whatever type it
// is. What names none is left out: anybody may write a predicate.
func Named(predicate []byte) []Original {
	var names struct {
		Document   *resourceJSON  `json:"hallmark_document"`
		References []resourceJSON `json:"references"`
	}
	if json.Unmarshal(predicate, &names) != nil {
		return nil
	}
	if names.Document != nil {
		names.References = append(names.References, *names.Document)
	}
	var all []Original
	for _, r := range names.References {
		if o, err := r.original(); err == nil {
			all = append(all, o)
		}
	}
	return all
}

// SBOMReference is the predicate for an SBOM that is kept elsewhere.
func SBOMReference(attester string, o Original, k Kept, s SBOM) ([]byte, error) {
	type summary struct {
		Format   string `json:"format"`
		Version  string `json:"version"`
		Packages int    `json:"packages"`
		Created  string `json:"created,omitempty"`
		// Digests are those of which the artifact must be one.
		Digests []string `json:"digests,omitempty"`
		Serial  string   `json:"serial,omitempty"`
	}
	said := summary{Format: s.Format, Version: s.Version, Packages: s.Packages, Digests: s.Digests, Serial: s.Serial}
	if !s.Created.IsZero() {
		said.Created = s.Created.UTC().Format(time.RFC3339)
	}
	type id struct {
		ID string `json:"id"`
	}
	return encodeJSON(struct {
		Attester   id             `json:"attester"`
		References []resourceJSON `json:"references"`
		SBOM       summary        `json:"sbom"`
	}{id{attester}, []resourceJSON{o.resource(k)}, said})
}

// NameOriginal adds the original to a predicate, and changes nothing else in it.
func NameOriginal(predicate []byte, o Original, k Kept) ([]byte, error) {
	named, err := encodeJSON(o.resource(k))
	if err != nil {
		return nil, err
	}
	if len(predicate)+len(named) > MaxEvidenceBytes-len(originalMember)-len(`,"":`) {
		return nil, errWritten()
	}
	return addMember(predicate, originalMember, named)
}

// addMember adds a member to a JSON object that has none of that name.
func addMember(object []byte, name string, value []byte) ([]byte, error) {
	trimmed := trimJSONSpace(object)
	if len(trimmed) < 2 || trimmed[0] != '{' || trimmed[len(trimmed)-1] != '}' {
		return nil, errNoObject
	}
	var out bytes.Buffer
	out.Grow(len(trimmed) + len(name) + len(value) + 4)
	body := bytes.TrimRight(trimmed[:len(trimmed)-1], " \t\r\n")
	out.Write(body)
	if len(body) > 1 {
		out.WriteByte(',')
	}
	out.Write(jsonString(name))
	out.WriteByte(':')
	out.Write(value)
	out.WriteByte('}')
	return out.Bytes(), nil
}

// CheckForeign refuses a predicate that somebody else wrote and that has members
// which only the service writes. The predicate is one that CheckJSON accepts.
func CheckForeign(predicateType string, predicate []byte) error {
	switch predicateType {
	case PredicateSummary, "https://slsa.dev/verification_summary/v0.2":
		return fmt.Errorf("%w: the service makes statements of type %s itself, when a gate is passed", ErrPredicateType, predicateType)
	case PredicateSBOMReference:
		return fmt.Errorf("%w: the service makes statements of type %s itself, of the document (hint: hand in the SBOM)", ErrPredicateType, predicateType)
	}
	// Most documents have no such text anywhere, and no escape that could hide it.
	if !bytes.Contains(predicate, []byte(ownPrefix)) && !bytes.Contains(predicate, []byte(`\u`)) {
		return nil
	}
	return checkJSON(predicate, MaxDepth, len(predicate), func(path jsonPath, name []byte) error {
		if len(path) == 0 && isReserved(name) {
			return errReserved(string(name))
		}
		return nil
	})
}

func sbomReferenceFormat() format {
	return format{
		name: "sbom-reference", kind: EvidenceSBOM, types: []string{PredicateSBOMReference},
		is: func(d *document) bool { return !d.list && d.has("references", "sbom") }, read: readSBOMReference,
	}
}

func readSBOMReference(d *document) (Evidence, error) {
	var references []json.RawMessage
	var said struct {
		Format, Version, Created, Serial string
		Packages                         int
		Digests                          []string
	}
	if err := d.into("references", &references); err != nil {
		return Evidence{}, err
	}
	if len(references) != 1 {
		return Evidence{}, unreadable("$.references", "%d entries, want the one document", len(references))
	}
	if err := d.into("sbom", &said); err != nil {
		return Evidence{}, err
	}
	original, err := readOriginal("$.references[0]", references[0])
	if err != nil {
		return Evidence{}, err
	}
	if !slices.Contains(sbomFormats, said.Format) || said.Packages < 0 {
		return Evidence{}, unreadable("$.sbom", "want the format, one of %s, and the number of packages", strings.Join(sbomFormats, ", "))
	}
	s := &SBOM{
		Format: said.Format, Version: keep(said.Version), Packages: said.Packages, Digests: keepUnique(said.Digests, "", maxDigests), Serial: keep(said.Serial),
	}
	if s.Created, err = timeAt("$.sbom.created", said.Created); err != nil {
		return Evidence{}, err
	}
	return Evidence{SBOM: s, Named: original}, nil
}

// namedOriginal is the original that a predicate names; nil: none.
func namedOriginal(top members) (*Original, error) {
	raw, ok := top[originalMember]
	if !ok {
		return nil, nil //nolint:nilnil // a document that holds all that it says
	}
	return readOriginal("$."+originalMember, raw)
}

func readOriginal(place string, raw json.RawMessage) (*Original, error) {
	var r resourceJSON
	if err := decodeAt(place, raw, &r); err != nil {
		return nil, err
	}
	o, err := r.original()
	if err != nil {
		return nil, unreadable(place+".digest.sha256", "%v", err)
	}
	return &o, nil
}
