// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// manifestName is the file of a backup that lists all others.
	manifestName = "manifest.json"
	// manifestFormat is the version of its format.
	manifestFormat = 1
	// backupDatabaseName is the copy of the database in a backup.
	backupDatabaseName = "database"
	// maxManifest bounds it, bytes.
	maxManifest = 4 << 20
)

// manifest says what a backup is and holds. It is written last: a folder
// without one is no backup.
type manifest struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	// Version is that of the program that wrote it.
	Version string `json:"version"`
	Origin  string `json:"origin"`
	// Engine is that of the database: sqlite or postgres. Their copies differ.
	Engine string         `json:"engine"`
	Logs   []backedUpLog  `json:"logs"`
	Files  []backedUpFile `json:"files"`
}

// backedUpLog is a log as it was right before the copy was begun: the copy has
// this much of it, or more.
type backedUpLog struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	State      string `json:"state"`
	Origin     string `json:"origin"`
	Size       int64  `json:"size"`
	Checkpoint string `json:"checkpoint"`
	// AtMost is the log's size when the copy was complete: the copy has no more.
	AtMost int64 `json:"atMost"`
}

// backedUpFile is a file of the backup.
type backedUpFile struct {
	// Path is relative to the backup, with slashes; a restored deployment has
	// the file under the same path.
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// addFile describes a file of the backup in folder.
func (m *manifest) addFile(folder, path string) error {
	size, sum, err := hashFile(filepath.Join(folder, filepath.FromSlash(path)))
	if err != nil {
		return err
	}
	m.Files = append(m.Files, backedUpFile{Path: path, Size: size, SHA256: sum})
	return nil
}

func (m *manifest) write(folder string) error {
	doc, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeNew(filepath.Join(folder, manifestName), append(doc, '\n'))
}

// readManifest reads the manifest of a backup and checks that every file is the
// one that it names. What is wrong with the backup is an answer: noError.
func readManifest(folder string) (*manifest, error) {
	raw, err := readBounded(filepath.Join(folder, manifestName), maxManifest)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usageError{fmt.Errorf("%s is no backup: it has no %s (hint: hallmark-server backup writes one)", folder, manifestName)}
	}
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	m := &manifest{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(m); err != nil {
		return nil, noError{fmt.Errorf("backup %s: %s cannot be read: %w", folder, manifestName, err)}
	}
	if m.Format != manifestFormat {
		return nil, noError{fmt.Errorf("backup %s has format %d, this program reads %d", folder, m.Format, manifestFormat)}
	}
	if !slices.ContainsFunc(m.Files, func(f backedUpFile) bool { return f.Path == backupDatabaseName }) {
		return nil, noError{fmt.Errorf("backup %s has no copy of the database", folder)}
	}
	for _, f := range m.Files {
		if err := f.check(folder); err != nil {
			return nil, noError{fmt.Errorf("backup %s: %w", folder, err)}
		}
	}
	return m, nil
}

// check says whether the file is what it was when the backup was made.
func (f backedUpFile) check(folder string) error {
	if !filepath.IsLocal(filepath.FromSlash(f.Path)) || strings.Contains(f.Path, `\`) || path.Clean(f.Path) != f.Path {
		return fmt.Errorf("file %q is not inside it", f.Path)
	}
	// The database comes from its copy and nowhere else.
	if strings.HasPrefix(f.Path, databaseName) || strings.HasPrefix(f.Path, restoringName) {
		return fmt.Errorf("file %q would become part of the database", f.Path)
	}
	size, sum, err := hashFile(filepath.Join(folder, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	if size != f.Size || sum != f.SHA256 {
		return fmt.Errorf("file %s has changed since the backup was made", f.Path)
	}
	return nil
}
