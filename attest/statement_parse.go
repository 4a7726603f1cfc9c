// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Members that a statement and its subjects may have. The second list is
// in-toto's ResourceDescriptor; of it only name and digest are kept, since
// nothing else says what a statement is about.
var (
	statementMembers = []string{"_type", "subject", "predicateType", "predicate"}
	subjectMembers   = []string{"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}
)

type statementJSON struct {
	Type          string          `json:"_type"`
	Subject       subjectList     `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subjectJSON struct {
	Name             string          `json:"name"`
	URI              string          `json:"uri"`
	Digest           digestSet       `json:"digest"`
	Content          string          `json:"content"`
	DownloadLocation string          `json:"downloadLocation"`
	MediaType        string          `json:"mediaType"`
	Annotations      annotationsJSON `json:"annotations"`
}

// subjectList, digestSet and annotationsJSON decode what a statement may hold
// many of, and stop at the limit: `{},` is three bytes in a statement and a
// hundred when decoded.
type (
	subjectList     []subjectJSON
	digestSet       map[string]string
	annotationsJSON struct{}
)

// UnmarshalJSON implements json.Unmarshaler.
func (l *subjectList) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if first, err := dec.Token(); err != nil || first != json.Delim('[') {
		return errors.New("subject is not a list")
	}
	for dec.More() {
		if len(*l) == MaxSubjects {
			return fmt.Errorf("more than %d subjects", MaxSubjects)
		}
		var one subjectJSON
		if err := dec.Decode(&one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *digestSet) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return errors.New("digest is not an object")
	}
	*d = digestSet{}
	for dec.More() {
		if len(*d) == maxDigests {
			return fmt.Errorf("more than %d digests of one subject", maxDigests)
		}
		name, err := dec.Token()
		if err != nil {
			return err
		}
		value, err := dec.Token()
		if err != nil {
			return err
		}
		algorithm, named := name.(string)
		text, ok := value.(string)
		if !named || !ok {
			return errors.New("a digest is not a string")
		}
		(*d)[algorithm] = text
	}
	return nil
}

// UnmarshalJSON implements json.Unmarshaler. Nothing is kept.
func (annotationsJSON) UnmarshalJSON(b []byte) error {
	if b[0] != '{' && string(b) != "null" {
		return errors.New("annotations is not an object")
	}
	return nil
}

// ParseStatement reads a statement, v1 or v0.1, as strictly as CheckJSON and
// more: every top-level and subject member must be known and spelled exactly,
// every subject must have a digest, and the predicate, if there is one, must
// be an object. A missing predicate is the same as {} (in-toto specification,
// "Unset is treated the same as set-but-empty").
//
// The predicate is returned as the bytes of b hold it. Errors are ErrStatement
// together with the reason: ErrJSON, ErrTooLarge or ErrPredicateType.
func ParseStatement(b []byte) (Statement, error) {
	if err := checkJSON(b, MaxDepth, MaxStatementBytes, allowedInStatement); err != nil {
		return Statement{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	var wire statementJSON
	if err := json.Unmarshal(b, &wire); err != nil {
		return Statement{}, fmt.Errorf("%w: %w: %w", ErrStatement, ErrJSON, err)
	}
	s := Statement{
		Type:          wire.Type,
		PredicateType: wire.PredicateType,
		Predicate:     wire.Predicate, // a copy already
	}
	if wire.Predicate == nil {
		s.Predicate = json.RawMessage("{}")
	}
	for _, subject := range wire.Subject {
		s.Subjects = append(s.Subjects, Subject{Name: subject.Name, Digests: subject.Digest})
	}
	if err := s.checkHeader(); err != nil {
		return Statement{}, err
	}
	if s.Predicate[0] != '{' {
		return Statement{}, errNoObject
	}
	return s, nil
}

// allowedInStatement refuses unknown members where a verifier decides by
// them. The check is exact: encoding/json, which decodes afterwards, would
// take "Subject" for "subject".
func allowedInStatement(path jsonPath, name []byte) error {
	switch {
	case len(path) == 0:
		return known(path, statementMembers, name)
	case len(path) == 2 && path[0].is("subject"):
		return known(path, subjectMembers, name)
	}
	return nil
}

// known refuses a member that is not in the list.
func known(path jsonPath, allowed []string, name []byte) error {
	if !slices.Contains(allowed, string(name)) {
		return fmt.Errorf("%w: %s: unknown member %s", ErrJSON, path, quote(string(name)))
	}
	return nil
}
