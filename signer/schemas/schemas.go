// SPDX-License-Identifier: Apache-2.0

// Package schemas holds predicates against JSON schemas that the deployment has
// for their types.
//
// A schema describes the form of a document. Hallmark reads the predicates that it
// knows itself; of others, which an organisation may have for its own purposes, a
// schema is what there is to go by. A schema is one file: what it refers to outside
// of itself is not fetched, from a disk or a network, and is an error at start.
package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxProblems bounds what is said of a predicate that does not fit.
	maxProblems = 8
	// maxText bounds the text of one problem, bytes.
	maxText = 300
	// maxPredicate bounds a predicate that is held against a schema, bytes: taken
	// apart it is many times as large.
	maxPredicate = 1 << 20
	// maxPattern bounds a regular expression of a schema, bytes.
	maxPattern = 1000
)

// Set has a schema for each of some predicate types. It is safe for concurrent
// use.
type Set struct{ byType map[string]*jsonschema.Schema }

// New compiles schemas, by predicate type.
func New(files map[string][]byte) (*Set, error) {
	set := &Set{byType: map[string]*jsonschema.Schema{}}
	for name, raw := range files {
		predicateType, err := attest.CanonicalPredicateType(name)
		if err != nil {
			return nil, err
		}
		if err := attest.CheckJSON(raw, attest.MaxDepth, len(raw)); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", predicateType, err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", predicateType, err)
		}
		c := jsonschema.NewCompiler()
		c.UseLoader(nothing{})
		c.UseRegexpEngine(linear)
		const place = "https://schema.invalid/predicate.json" // nobody has it
		if err := c.AddResource(place, document); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", predicateType, err)
		}
		if set.byType[predicateType], err = c.Compile(place); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", predicateType, err)
		}
	}
	return set, nil
}

// Check holds a predicate against the schema of its type, if there is one. An
// error names the places that do not fit.
func (s *Set) Check(predicateType string, predicate []byte) error {
	schema := s.byType[predicateType]
	if schema == nil {
		return nil
	}
	if len(predicate) > maxPredicate {
		return fmt.Errorf("predicate of type %s: %w: %d bytes, of one with a schema at most %d", predicateType, attest.ErrTooLarge, len(predicate), maxPredicate)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(predicate))
	if err != nil {
		return fmt.Errorf("predicate of type %s: %w", predicateType, err)
	}
	if err := (&bounds{}).check(document); err != nil {
		return fmt.Errorf("predicate of type %s: %w", predicateType, err)
	}
	err = validate(schema, document)
	var wrong *jsonschema.ValidationError
	if errors.As(err, &wrong) {
		return fmt.Errorf("predicate of type %s does not fit its schema: %s", predicateType, strings.Join(problems(wrong), "; "))
	}
	return err
}

// problems are the innermost errors: those behind them only say that something in
// them is wrong.
func problems(e *jsonschema.ValidationError) []string {
	var found []string
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(found) == maxProblems {
			return
		}
		if len(e.Causes) == 0 {
			found = append(found, bounded("$"+pathOf(e.InstanceLocation)+": "+e.ErrorKind.LocalizedString(printer)))
			return
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(e)
	return found
}

func pathOf(steps []string) string {
	var path strings.Builder
	for _, step := range steps {
		path.WriteString("." + step)
	}
	return path.String()
}

func bounded(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}

// nothing loads nothing.
type nothing struct{}

// Load implements jsonschema.URLLoader.
func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %.200q, and nothing outside of a schema's file is read", url)
}

// linear are regular expressions that take linear time.
func linear(pattern string) (jsonschema.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern of %d bytes, at most %d", len(pattern), maxPattern)
	}
	return regexp.Compile(pattern)
}
