// SPDX-License-Identifier: Apache-2.0

package tuf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

const (
	targetsFolder = "targets"
	timestampName = "timestamp.json"
	// draftSuffix marks files that are being written. They are not served.
	draftSuffix = ".new"
	// settled is how long a timestamp must have been there before what it does
	// not lead to is removed: a client may have read the one before, and comes
	// for the rest.
	settled = time.Hour
)

// current is a role as clients see it now: found from the timestamp on. nil if
// there is none that can be read: it is made again, with a version that depends
// on the clock and so is higher.
func current[T metadata.Roles](w *writing, md *metadata.Metadata[T], role Role) *metadata.Metadata[T] {
	name := timestampName
	if role != RoleTimestamp {
		timestamp := current(w, metadata.Timestamp(), RoleTimestamp)
		if timestamp == nil {
			return nil
		}
		version := versionOf(timestamp.Signed.Meta, "snapshot.json")
		if role == RoleTargets {
			snapshot := current(w, metadata.Snapshot(), RoleSnapshot)
			if snapshot == nil {
				return nil
			}
			version = versionOf(snapshot.Signed.Meta, "targets.json")
		}
		name = fmt.Sprintf("%d.%s.json", version, role)
	}
	doc, err := readBounded(filepath.Join(w.r.cfg.Dir, name))
	if err != nil {
		return nil
	}
	parsed, err := parse(md, doc)
	if err != nil {
		return nil
	}
	return parsed
}

func versionOf(meta map[string]*metadata.MetaFiles, name string) int64 {
	if m := meta[name]; m != nil {
		return m.Version
	}
	return 0
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // a file of the repository
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	doc, err := io.ReadAll(io.LimitReader(f, maxMetadata+1))
	if err == nil && len(doc) > maxMetadata {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxMetadata)
	}
	return doc, err
}

// write gives a file its content in one step and on disk. It does nothing if
// the file has it.
func (w *writing) write(name string, content []byte) error {
	path := filepath.Join(w.r.cfg.Dir, name)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) { //nolint:gosec // a file of the repository
		return nil
	}
	draft := path + draftSuffix
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // a file of the repository
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(draft, path); err != nil {
		return err
	}
	w.status.Changed = true
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path) //nolint:gosec // a folder of the repository
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // only read
	return d.Sync()
}

// prune removes files that nothing refers to any more. Roots stay: the first
// client has version 1.
func (r *Repository) prune(now time.Time) error {
	info, err := os.Stat(filepath.Join(r.cfg.Dir, timestampName))
	if err != nil || now.Sub(info.ModTime()) < settled {
		return nil //nolint:nilerr // there is nothing yet
	}
	w := &writing{r: r, now: now}
	used := map[string]bool{timestampName: true}
	if snapshot := current(w, metadata.Snapshot(), RoleSnapshot); snapshot != nil {
		used[fmt.Sprintf("%d.snapshot.json", snapshot.Signed.Version)] = true
	}
	targets := current(w, metadata.Targets(), RoleTargets)
	if targets == nil {
		return nil
	}
	used[fmt.Sprintf("%d.targets.json", targets.Signed.Version)] = true
	for name, t := range targets.Signed.Targets {
		used[targetsFolder+"/"+t.Hashes["sha256"].String()+"."+name] = true
	}
	for _, folder := range []string{"", targetsFolder + "/"} {
		entries, err := os.ReadDir(filepath.Join(r.cfg.Dir, folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := folder + e.Name()
			if e.IsDir() || used[name] || rootFile.MatchString(name) {
				continue
			}
			if err := os.Remove(filepath.Join(r.cfg.Dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
