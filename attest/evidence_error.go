// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"errors"
	"fmt"
	"strings"
)

// ErrEvidence says that a document cannot be read as evidence. It is always a
// *FormatError.
var ErrEvidence = errors.New("unreadable evidence")

// ErrOtherArtifact says that a document is about another artifact than the one
// it is handed in for. It is an ErrEvidence.
var ErrOtherArtifact = errors.New("about another artifact")

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
	if text == "" && e.cause != nil {
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

// errNoSBOM is the cause of an error of the readers of SBOMs about a document
// that is none.
var errNoSBOM = errors.New("no SBOM")

// noSBOM says of an error that the document is none.
func noSBOM(err error) error {
	var wrong *FormatError
	if errors.As(err, &wrong) && wrong.cause == nil {
		wrong.cause = errNoSBOM
	}
	return err
}

func unreadable(place, want string, args ...any) *FormatError {
	return &FormatError{Place: place, Want: fmt.Sprintf(want, args...)}
}

// inFormat says as what the document was read.
func inFormat(err error, format string) error {
	if err == nil {
		return nil
	}
	var wrong *FormatError
	if !errors.As(err, &wrong) {
		return &FormatError{Format: format, cause: err}
	}
	if wrong.Format == "" {
		wrong.Format = format
	}
	return wrong
}

// within says that a place is inside of another.
func within(err error, outer string) error {
	var wrong *FormatError
	if errors.As(err, &wrong) {
		wrong.Place = outer + strings.TrimPrefix(wrong.Place, "$")
	}
	return err
}
