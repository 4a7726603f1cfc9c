// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"errors"
	"slices"
	"strings"
	"sync"
)

// Limits on evidence.
const (
	// MaxEvidenceBytes bounds a document that is read in memory: everything but
	// the SBOMs that ReadFrom streams.
	MaxEvidenceBytes = 16 << 20
	// maxItems bounds the entries of one list: findings, statements. More is an
	// error, never a silent cut.
	maxItems = 100_000
	// maxPackages bounds what an SBOM lists: of packages only a count is kept.
	maxPackages = 4_000_000
	// maxText bounds what is kept of one text of a document, bytes.
	maxText = 1024
)

// format is one kind of document.
type format struct {
	name string
	kind EvidenceKind
	// kinds are others that its documents can be, if somebody asks for them:
	// read decides.
	kinds []EvidenceKind
	// types are the predicate types whose predicates it is; the first is the one
	// that is written. Without any it is no predicate itself: see wrap.
	types []string
	// media is the media type of a plain file.
	media string
	// others are the types of what documents of kinds become that are not the
	// first of types: a CycloneDX document can be VEX as it is.
	others map[EvidenceKind]string
	// stream: an SBOM that is read in constant memory.
	stream bool
	// emptyList: its tool writes [] if it finds nothing.
	emptyList bool
	// is recognises a JSON document by its top. Nil: the format is no JSON, and is
	// read where its syntax is recognised (readXML, isTagValue).
	is func(d *document) bool
	// read reads a predicate, or a plain file. Nil if is is.
	read func(d *document) (Evidence, error)
	// wrap makes the predicate of a plain file. Nil: the file is one itself.
	wrap wrapper
}

// wrapper makes the predicate of a plain file that was read.
type wrapper func(file []byte, d Document) (predicateType string, predicate []byte, err error)

// table is made when it is first needed: formats read documents in documents,
// and so need it themselves.
var table struct {
	once    sync.Once
	formats []format
}

// formats are all, those that are JSON in the order in which they are tried. To
// add one, write its file and name it here.
func formats() []format {
	table.once.Do(func() {
		table.formats = []format{
			cosignVulnFormat(), vulnsFormat(), trivyFormat(), grypeFormat(),
			spdxFormat(), spdx3Format(), cyclonedxFormat(), syftFormat(), openvexFormat(),
			sarifFormat(), clairFormat(), gitlabFormat(), snykFormat(),
			hadolintFormat(), dockleFormat(), kubebenchFormat(), gitleaksFormat(),
			testResultFormat(), provenanceFormat(), chartImagesFormat(), sbomReferenceFormat(),
			tagValueFormat(), cyclonedxXMLFormat(), junitFormat(),
		}
	})
	return table.formats
}

// formatNamed is the format of this name, which there is.
func formatNamed(name string) format {
	all := formats()
	return all[slices.IndexFunc(all, func(f format) bool { return f.name == name })]
}

// document is a JSON document that has been checked, with its top taken apart.
type document struct {
	// members are those of an object, or of the first object of a list.
	members
	list bool
	size int // of the list
	raw  []byte
	// want is the kind or format that somebody takes it for, or "".
	want string
}

// open checks a JSON document and takes its top apart, without copying it.
func open(raw []byte, want string) (*document, error) {
	if len(raw) > MaxEvidenceBytes {
		return nil, tooLarge(int64(len(raw)), MaxEvidenceBytes)
	}
	if err := checkText(raw); err != nil {
		return nil, err
	}
	r := readJSON(raw)
	d := &document{members: members{}, raw: raw, want: want}
	top := func() error {
		return r.object(func(name []byte) error {
			value, err := r.raw()
			if err == nil {
				d.members[string(name)] = value
			}
			return err
		})
	}
	var err error
	switch r.peek() {
	case '{':
		err = top()
	case '[':
		d.list = true
		_, err = r.list(func() error {
			if d.size++; d.size == 1 && r.peek() == '{' {
				return top()
			}
			return nil
		})
	default:
		if err = r.skip(); err == nil {
			err = unreadable("$", "want a JSON object or list")
		}
	}
	if err == nil {
		err = endOf(r)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// IsEvidence tells whether statements of a predicate type are evidence that
// ReadEvidence knows.
func IsEvidence(predicateType string) bool {
	return slices.ContainsFunc(formats(), func(f format) bool { return f.has(predicateType) })
}

// EvidenceKindOf is the kind of most statements of a predicate type, or "".
// What one of them is, ReadEvidence says: a test-result may be a Check.
func EvidenceKindOf(predicateType string) EvidenceKind {
	for _, f := range formats() {
		if f.has(predicateType) {
			return f.kind
		}
	}
	return ""
}

// EvidenceKindsOf are all kinds that statements of a predicate type can be:
// CycloneDX is an SBOM, and may be a scan or VEX. None if it is no evidence.
func EvidenceKindsOf(predicateType string) []EvidenceKind {
	var all []EvidenceKind
	for _, f := range formats() {
		if f.has(predicateType) {
			all = append(append(all, f.kind), f.kinds...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// PredicateTypesOf are the types of statements that documents of a kind can
// become; "" is every kind.
func PredicateTypesOf(kind EvidenceKind) []string {
	var types []string
	add := func(t string) {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	for _, f := range formats() {
		if len(f.types) > 0 && (kind == "" || f.kind == kind) {
			add(f.types[0])
		}
	}
	for _, f := range formats() {
		if other := f.others[kind]; other != "" {
			add(other)
		}
	}
	return types
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
	d, err := open(predicate, "")
	if err != nil {
		return Evidence{}, err
	}
	var candidates []string
	for _, f := range formats() {
		if !f.has(predicateType) {
			continue
		}
		if f.is(d) {
			return f.evidence(d)
		}
		if !slices.Contains(candidates, f.name) {
			candidates = append(candidates, f.name)
		}
	}
	if len(candidates) == 0 {
		return Evidence{}, unreadable("", "predicate type %s is not evidence that is read here", quote(predicateType))
	}
	return Evidence{}, unreadable("$", "not a document of %s", strings.Join(candidates, " or "))
}

func (f format) evidence(d *document) (Evidence, error) {
	ev, err := f.read(d)
	if err != nil {
		return Evidence{}, inFormat(err, f.name)
	}
	if ev.Named == nil {
		if ev.Named, err = namedOriginal(d.members); err != nil {
			return Evidence{}, inFormat(err, f.name)
		}
	}
	if ev.Kind == "" {
		ev.Kind = f.kind
	}
	if ev.Format == "" {
		ev.Format = f.name
	}
	return ev, nil
}

// fits tells whether a document of the format can be what somebody takes it
// for.
func (f format) fits(want string) bool {
	return want == "" || want == f.name || want == string(f.kind) || slices.Contains(f.kinds, EvidenceKind(want))
}

// formatNames are the names of the formats that belong here.
func formatNames(belongs func(f format) bool) []string {
	var names []string
	for _, f := range formats() {
		if belongs(f) {
			names = append(names, f.name)
		}
	}
	return names
}

// CheckWanted tells whether ReadDocumentAs knows a kind or format by this
// name, and which there are if it does not.
func CheckWanted(want string) error {
	var kinds []string
	for _, f := range formats() {
		if f.name == want || string(f.kind) == want || slices.Contains(f.kinds, EvidenceKind(want)) || want == "" {
			return nil
		}
		if !slices.Contains(kinds, string(f.kind)) {
			kinds = append(kinds, string(f.kind))
		}
	}
	names := formatNames(func(format) bool { return true })
	return errors.New("no kind or format of evidence is called " + quote(want) + " (kinds: " + strings.Join(kinds, ", ") + "; formats: " + strings.Join(names, ", ") + ")")
}
