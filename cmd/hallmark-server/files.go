// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Files of a deployment are written once, or replaced in one step, and are on
// the disk before anything relies on them.

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}

// writeNew writes a file that must not exist yet, readable by its owner only.
func writeNew(path string, content []byte) error {
	return fillNew(path, bytes.NewReader(content))
}

// copyNew copies a file to a name that must be free.
func copyNew(from, to string) error {
	f, err := os.Open(from) //nolint:gosec // a path of the deployment or of a backup
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := fillNew(to, f); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func fillNew(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // a path of the deployment or of a backup
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, content); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// replaceFile gives a file new content in one step: readers see the old or the
// new one, also after a crash. It does nothing if the content is the same.
func replaceFile(path string, content []byte) (replaced bool, err error) {
	if old, err := readBounded(path, int64(len(content))); err == nil && bytes.Equal(old, content) {
		return false, nil
	}
	draft := path + ".new"
	if err := os.Remove(draft); err != nil && !errors.Is(err, os.ErrNotExist) { // left by a crash
		return false, fmt.Errorf("replace %s: %w", path, err)
	}
	if err := writeNew(draft, content); err != nil {
		return false, fmt.Errorf("replace %s: %w", path, err)
	}
	if err := os.Rename(draft, path); err != nil {
		return false, fmt.Errorf("replace %s: %w", path, err)
	}
	return true, syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a folder of the deployment
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // only read
	return d.Sync()
}

// exists also says yes to what cannot be looked at: it is not free.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// hashFile returns a file's size, bytes, and its SHA-256 in lower-case hex.
func hashFile(path string) (size int64, sum string, err error) {
	f, err := os.Open(path) //nolint:gosec // a path of the deployment or of a backup
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}
