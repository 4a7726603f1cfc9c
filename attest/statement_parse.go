// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
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
	Subject       []subjectJSON   `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subjectJSON struct {
	Name             string                     `json:"name"`
	URI              string                     `json:"uri"`
	Digest           map[string]string          `json:"digest"`
	Content          string                     `json:"content"`
	DownloadLocation string                     `json:"downloadLocation"`
	MediaType        string                     `json:"mediaType"`
	Annotations      map[string]json.RawMessage `json:"annotations"`
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
		Predicate:     bytes.Clone(wire.Predicate),
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
func allowedInStatement(path jsonPath, name string) error {
	allowed := statementMembers
	switch {
	case len(path) == 0:
	case len(path) == 2 && path[0] == "subject":
		allowed = subjectMembers
	default:
		return nil
	}
	if !slices.Contains(allowed, name) {
		return fmt.Errorf("%w: %s: unknown member %s", ErrJSON, path, quote(name))
	}
	return nil
}
