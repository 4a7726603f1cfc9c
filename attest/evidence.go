// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Evidence is a statement's predicate, read: what a gate can judge. Reading
// decides nothing: "nothing was found", "nothing was scanned" and "this cannot
// be read" are three different answers, and only a reader can tell them apart.
//
// A format is one file with one entry in formats: how its documents are
// recognised, how they are read, and which predicate a plain file becomes.
// Everything is recognised by content; names of files and annotations decide
// nothing.

// EvidenceKind is what a document is evidence of.
type EvidenceKind string

const (
	// EvidenceSBOM lists what is in an artifact.
	EvidenceSBOM EvidenceKind = "sbom"
	// EvidenceScan lists what a scanner found.
	EvidenceScan EvidenceKind = "scan"
	// EvidenceVEX says which vulnerabilities matter.
	EvidenceVEX EvidenceKind = "vex"
	// EvidenceTest is the result of tests.
	EvidenceTest EvidenceKind = "test"
	// EvidenceCheck is what linters and code, configuration and secret scanners
	// found: not a scan of packages for vulnerabilities, and no test of the
	// program either.
	EvidenceCheck EvidenceKind = "check"
	// EvidenceProvenance says where an artifact comes from.
	EvidenceProvenance EvidenceKind = "provenance"
)

// Evidence is what one document says. Exactly the members of its Kind are set.
type Evidence struct {
	Kind EvidenceKind
	// Format is what the document is: trivy, grype, spdx, …
	Format     string
	SBOM       *SBOM
	Scan       *Scan
	VEX        *VEX
	Test       *TestResult
	Provenance *Provenance
	// Named is the document that was read, if the predicate names it and does not
	// hold it. Only the service makes such predicates.
	Named *Original
}

// SBOM is what a gate asks of a bill of materials.
type SBOM struct {
	Format   string // "SPDX" or "CycloneDX"
	Version  string // of the format
	Packages int
	Created  time.Time // as the document says; zero if it does not
}

// TestResult is what a gate asks of a test run.
type TestResult struct {
	Result                 string // PASSED, WARNED or FAILED
	Passed, Warned, Failed int
}

// Provenance is what a gate asks of SLSA provenance v1.
type Provenance struct {
	BuilderID, BuildType string
	// Source and Commit are the first resolved dependency's URI and gitCommit.
	Source, Commit string
	Invocation     string
}

// ErrEvidence says that a document cannot be read as evidence. It is always a
// *FormatError.
var ErrEvidence = errors.New("unreadable evidence")

// FormatError says what is wrong with a document, where, and what belongs
// there. It is an ErrEvidence.
type FormatError struct {
	File   string // as its owner calls it; "" if it has no name
	Format string // what it was read as; "" if it was not recognised
	Place  string // JSON path, or line
	Want   string
	cause  error
}

// Error implements error.
func (e *FormatError) Error() string {
	var parts []string
	for _, part := range []string{e.File, e.Format, e.Place} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	text := e.Want
	if e.cause != nil {
		text = e.cause.Error()
	}
	return strings.Join(append(parts, text), ": ")
}

// Unwrap makes it an ErrEvidence, and whatever caused it.
func (e *FormatError) Unwrap() []error {
	if e.cause != nil {
		return []error{ErrEvidence, e.cause}
	}
	return []error{ErrEvidence}
}

func unreadable(place, want string, args ...any) *FormatError {
	return &FormatError{Place: place, Want: fmt.Sprintf(want, args...)}
}

// Limits on evidence.
const (
	// MaxEvidenceBytes bounds one document. SBOMs of the largest images have a
	// few MiB.
	MaxEvidenceBytes = 16 << 20
	// maxItems bounds the entries of one list: findings, packages, statements.
	// More is an error, never a silent cut.
	maxItems = 100_000
	// maxText bounds what is kept of one text of a document, bytes.
	maxText = 1024
)

// format is one kind of document.
type format struct {
	name string
	kind EvidenceKind
	// types are the predicate types under which it is attested; the first is
	// the one that is written.
	types []string
	// is recognises a document by its top-level members.
	is func(top members) bool
	// read reads a predicate, or a plain file.
	read func(top members) (Evidence, error)
	// wrap makes the predicate of a plain file. Nil: the file is the predicate.
	wrap func(file []byte, read Evidence) ([]byte, error)
}

// formats are all that can be read, in the order in which they are tried. To
// add one, write its file and name it here.
func formats() []format {
	return []format{
		cosignVulnFormat(), vulnsFormat(), trivyFormat(), grypeFormat(),
		spdxFormat(), cyclonedxFormat(), openvexFormat(), testResultFormat(), provenanceFormat(),
		sbomReferenceFormat(),
	}
}

// IsEvidence tells whether statements of a predicate type are evidence that
// ReadEvidence knows.
func IsEvidence(predicateType string) bool {
	return slices.ContainsFunc(formats(), func(f format) bool { return f.has(predicateType) })
}

// EvidenceKindOf is the kind of statements of a predicate type, or "".
func EvidenceKindOf(predicateType string) EvidenceKind {
	for _, f := range formats() {
		if f.has(predicateType) {
			return f.kind
		}
	}
	return ""
}

// has compares exactly; only SPDX and CycloneDX put a version behind their
// type, and only numbers count as one.
func (f format) has(predicateType string) bool {
	for _, t := range f.types {
		if predicateType == t {
			return true
		}
		version, ok := strings.CutPrefix(predicateType, t+"/v")
		if ok && f.kind == EvidenceSBOM && version != "" && strings.Trim(version, "0123456789.") == "" {
			return true
		}
	}
	return false
}

// ReadEvidence reads a predicate of a type that IsEvidence knows. Errors are
// ErrEvidence.
func ReadEvidence(predicateType string, predicate []byte) (Evidence, error) {
	top, err := readTop(predicate)
	if err != nil {
		return Evidence{}, err
	}
	var candidates []string
	for _, f := range formats() {
		if !f.has(predicateType) {
			continue
		}
		if f.is(top) {
			return f.evidence(top)
		}
		candidates = append(candidates, f.name)
	}
	if len(candidates) == 0 {
		return Evidence{}, unreadable("", "predicate type %s is not evidence that is read here", quote(predicateType))
	}
	return Evidence{}, unreadable("$", "not a document of %s", strings.Join(candidates, " or "))
}

func (f format) evidence(top members) (Evidence, error) {
	ev, err := f.read(top)
	if err != nil {
		return Evidence{}, named(err, f.name)
	}
	if ev.Named == nil {
		if ev.Named, err = namedOriginal(top); err != nil {
			return Evidence{}, named(err, f.name)
		}
	}
	ev.Kind = f.kind
	if ev.Format == "" {
		ev.Format = f.name
	}
	return ev, nil
}

// named says as what the document was read.
func named(err error, format string) error {
	var wrong *FormatError
	if !errors.As(err, &wrong) {
		return &FormatError{Format: format, cause: err}
	}
	if wrong.Format == "" {
		wrong.Format = format
	}
	return wrong
}

// Document is a plain file, recognised: the predicate that it becomes, and
// what it says.
type Document struct {
	PredicateType string
	// Predicate is nil if the file was read as a stream: then it is the file
	// itself that would be the predicate.
	Predicate []byte
	Evidence  Evidence
	// Original is the file. Whether Predicate holds it byte for byte is Embedded.
	Original Original
	Embedded bool
}

// ReadDocument recognises a file by its content: Trivy and Grype JSON, SPDX
// and CycloneDX JSON, OpenVEX, JUnit XML, or the predicates that these become.
// Errors are ErrEvidence and name the file.
func ReadDocument(name string, file []byte) (Document, error) {
	d, err := readDocument(file)
	var wrong *FormatError
	if errors.As(err, &wrong) {
		wrong.File = name
	}
	return d, err
}

func readDocument(file []byte) (Document, error) {
	if len(file) > MaxEvidenceBytes {
		return Document{}, &FormatError{cause: fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(file), MaxEvidenceBytes)}
	}
	trimmed := trimJSONSpace(file)
	if len(trimmed) > 0 && trimmed[0] == '<' {
		return readJUnit(trimmed)
	}
	top, err := readTop(trimmed)
	if err != nil {
		return Document{}, err
	}
	for _, f := range formats() {
		if !f.is(top) {
			continue
		}
		ev, err := f.evidence(top)
		if err != nil {
			return Document{}, err
		}
		d := Document{PredicateType: f.types[0], Predicate: trimmed, Evidence: ev}
		if f.wrap != nil {
			if d.Predicate, err = f.wrap(trimmed, ev); err != nil {
				return Document{}, named(err, f.name)
			}
		}
		return d, nil
	}
	return Document{}, unreadable("$", "not a document that is known here (hint: Trivy or Grype JSON, SPDX or CycloneDX JSON, OpenVEX, "+
		"in-toto vulns or test-result, JUnit XML)")
}

// members are the members of one JSON object.
type members map[string]json.RawMessage

// readTop checks the whole document and takes its top apart.
func readTop(document []byte) (members, error) {
	if err := CheckJSON(document, MaxDepth, MaxEvidenceBytes); err != nil {
		return nil, &FormatError{cause: err}
	}
	var top members
	if err := json.Unmarshal(document, &top); err != nil || top == nil {
		return nil, unreadable("$", "want a JSON object")
	}
	return top, nil
}

// PredicateTypesOf are the types of statements that documents of a kind become;
// "" is every kind.
func PredicateTypesOf(kind EvidenceKind) []string {
	var types []string
	for _, f := range formats() {
		if (kind == "" || f.kind == kind) && !slices.Contains(types, f.types[0]) {
			types = append(types, f.types[0])
		}
	}
	return types
}
