// SPDX-License-Identifier: Apache-2.0

package tlog

import "errors"

var (
	// ErrLogExists is returned by Create for a name that is taken.
	ErrLogExists = errors.New("log exists already")
	// ErrNoLog is returned for a log that was never created. Nothing creates
	// one as a side effect.
	ErrNoLog = errors.New("no such log")
	// ErrWrongKey says that the log was created with another key or origin.
	ErrWrongKey = errors.New("log belongs to another key or origin")
	// ErrCorrupt says that storage contradicts a signed checkpoint.
	ErrCorrupt = errors.New("log storage is corrupt")
	// ErrForked says that storage holds another history than the one this
	// process has published. The log takes no entry in that state.
	ErrForked = errors.New("log storage disagrees with what was published")

	// ErrFrozen says that a log takes no new entry, for good. Those it has are
	// read and answered as ever.
	ErrFrozen = errors.New("log is frozen")
	// ErrBadKeys says that a leaf has too many index keys, or too long ones, or
	// that a query does.
	ErrBadKeys = errors.New("bad index keys")

	// ErrPoolFull is back-pressure: too many entries are waiting. Retry later.
	ErrPoolFull = errors.New("too many entries are waiting to be logged")
	// ErrTooLarge says that a leaf exceeds MaxLeaf.
	ErrTooLarge = errors.New("log entry is too large")
	// ErrEmptyLeaf says that a leaf has no bytes.
	ErrEmptyLeaf = errors.New("log entry is empty")
	// ErrUnavailable says that an entry could not be committed now. It may
	// or may not be in the log; appending it again finds out.
	ErrUnavailable = errors.New("log is not available")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log is closed")

	// ErrNotFound says that an index, tile or bundle is beyond the published
	// checkpoint.
	ErrNotFound = errors.New("not in the published log")
)
