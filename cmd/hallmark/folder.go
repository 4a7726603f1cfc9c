// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
)

// isFolder refuses a flag that names none.
func isFolder(flag, path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return usage("%s: %w", flag, err)
	case !info.IsDir():
		return usage("%s: %s is a file, not a folder", flag, path)
	}
	return nil
}

// canWrite refuses a file that could not be written to, before anything is done
// for it. An empty path is stdout.
func canWrite(flag, path string) error {
	if path == "" {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return usage("%s: %s is a folder, not a file", flag, path)
	}
	return isFolder(flag, filepath.Dir(path))
}
