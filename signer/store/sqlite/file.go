// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hallmark-dev/hallmark/signer/store"
)

// place makes a file under another name and gives it its own when it is
// complete and durable, or not at all. store.ErrExists if the name is taken.
func place(path string, fill func(draft string) error) error {
	if _, err := os.Lstat(path); err == nil {
		return store.ErrExists
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".hallmark-init-*") // mode 0600
	if err != nil {
		return err
	}
	draft := f.Name()
	defer removeDatabase(draft)
	if err := errors.Join(f.Close(), fill(draft)); err != nil {
		return err
	}
	if err := syncFile(draft); err != nil {
		return err
	}
	// Link, unlike rename, does not replace what somebody made meanwhile.
	if err := os.Link(draft, path); errors.Is(err, fs.ErrExist) {
		return store.ErrExists
	} else if err != nil {
		return err
	}
	return syncFile(filepath.Dir(path))
}

// removeDatabase removes a file and what SQLite puts beside it.
func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix) // best effort: the draft has a name of its own
	}
}

// syncFile makes a file or folder durable.
func syncFile(path string) error {
	f, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
