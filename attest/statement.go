// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// StatementV1 is the statement type that is written.
	StatementV1 = "https://in-toto.io/Statement/v1"
	// StatementV01 is still written by `cosign attest`; it is read.
	StatementV01 = "https://in-toto.io/Statement/v0.1"

	// MaxSubjects is what other verifiers read (sigstore-go, GitHub).
	MaxSubjects = 1024
	// maxDigests bounds the digests of one subject; there are not that many
	// algorithms.
	maxDigests = 32
	// maxLabel bounds a subject's name, in bytes.
	maxLabel = 4096
)

// Subject is what a statement speaks about. Digests maps an algorithm to
// lower-case hex digits, as in the statement. Name is a label: it is never
// compared with anything.
type Subject struct {
	Name    string
	Digests map[string]string
}

// Statement is an in-toto statement. A statement has no time of its own: its
// time is that of its log entry or timestamp.
// Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
type Statement struct {
	Type          string // StatementV1 or StatementV01
	Subjects      []Subject
	PredicateType string
	// Predicate is a JSON object, as its author wrote it.
	Predicate json.RawMessage
}

// NewStatement makes a v1 statement about one digest. The predicate, a JSON
// object, is kept byte for byte except for white space around it; nil means
// {}. Errors are those of Encode.
func NewStatement(subject Digest, predicateType string, predicate []byte) (Statement, error) {
	if _, err := ParseDigest(string(subject)); err != nil {
		return Statement{}, err
	}
	if predicate == nil {
		predicate = []byte("{}")
	}
	s := Statement{
		Type:          StatementV1,
		Subjects:      []Subject{{Digests: map[string]string{algSHA256: subject.Hex()}}},
		PredicateType: predicateType,
		Predicate:     bytes.Clone(trimJSONSpace(predicate)),
	}
	return s, s.check()
}

// Encode returns the bytes to be signed. Equal statements give equal bytes:
// members in a fixed order, digests sorted by algorithm, no white space, the
// predicate as it is. Never build these bytes a second time from a parsed
// statement; keep them. Errors are ErrStatement, ErrPredicateType, ErrJSON or
// ErrTooLarge.
func (s Statement) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(len(s.Predicate) + 512)
	b.WriteString(`{"_type":`)
	b.Write(jsonString(s.Type))
	b.WriteString(`,"subject":[`)
	for i, subject := range s.Subjects {
		if i > 0 {
			b.WriteByte(',')
		}
		subject.encode(&b)
	}
	b.WriteString(`],"predicateType":`)
	b.Write(jsonString(s.PredicateType))
	b.WriteString(`,"predicate":`)
	b.Write(trimJSONSpace(s.Predicate))
	b.WriteByte('}')
	if b.Len() > MaxStatementBytes {
		return nil, fmt.Errorf("%w: statement of %d bytes, the limit is %d", ErrTooLarge, b.Len(), MaxStatementBytes)
	}
	return b.Bytes(), nil
}

func (s Subject) encode(b *bytes.Buffer) {
	b.WriteByte('{')
	if s.Name != "" {
		b.WriteString(`"name":`)
		b.Write(jsonString(s.Name))
		b.WriteByte(',')
	}
	b.WriteString(`"digest":{`)
	for i, alg := range slices.Sorted(maps.Keys(s.Digests)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(jsonString(alg))
		b.WriteByte(':')
		b.Write(jsonString(s.Digests[alg]))
	}
	b.WriteString("}}")
}

// Binds tells whether the statement speaks about d: one of its subjects has
// this very SHA-256. Names, locations and weak or unknown algorithms do not
// bind, and a subject that could be read in two ways (a malformed strong
// digest, an algorithm spelled in another way beside its usual one) binds to
// nothing.
func (s Statement) Binds(d Digest) bool {
	want := d.Hex()
	if want == "" {
		return false
	}
	return slices.ContainsFunc(s.Subjects, func(subject Subject) bool {
		return checkDigests(subject.Digests) == nil && subject.Digests[algSHA256] == want
	})
}

// errNoObject: null, arrays and scalars have no members to decide by.
var errNoObject = fmt.Errorf("%w: the predicate is not a JSON object", ErrStatement)

// check holds for everything that Encode writes and ParseStatement returns.
func (s Statement) check() error {
	if err := s.checkHeader(); err != nil {
		return err
	}
	if err := CheckJSON(s.Predicate, MaxDepth-1, MaxStatementBytes); err != nil {
		return fmt.Errorf("%w: predicate: %w", ErrStatement, err)
	}
	if trimJSONSpace(s.Predicate)[0] != '{' {
		return errNoObject
	}
	return nil
}

// checkHeader is check without the predicate.
func (s Statement) checkHeader() error {
	if s.Type != StatementV1 && s.Type != StatementV01 {
		return fmt.Errorf("%w: _type is %s, not %s", ErrStatement, quote(s.Type), StatementV1)
	}
	if err := checkPredicateType(s.PredicateType); err != nil {
		return fmt.Errorf("%w: predicateType: %w", ErrStatement, err)
	}
	if n := len(s.Subjects); n == 0 || n > MaxSubjects {
		return fmt.Errorf("%w: %d subjects, not 1 to %d", ErrStatement, n, MaxSubjects)
	}
	for i, subject := range s.Subjects {
		if len(subject.Name) > maxLabel {
			return fmt.Errorf("%w: subject %d: name of %d bytes, the limit is %d", ErrStatement, i, len(subject.Name), maxLabel)
		}
		if strings.ToValidUTF8(subject.Name, "") != subject.Name {
			return fmt.Errorf("%w: subject %d: name is not UTF-8", ErrStatement, i)
		}
		if err := checkDigests(subject.Digests); err != nil {
			return fmt.Errorf("%w: subject %d: %w", ErrStatement, i, err)
		}
	}
	return nil
}

// trimJSONSpace removes the white space that JSON allows around a value.
func trimJSONSpace(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// jsonString quotes s without the escaping for HTML that json.Marshal adds.
func jsonString(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always has a JSON form
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
