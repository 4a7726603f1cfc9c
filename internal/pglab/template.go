// SPDX-License-Identifier: Apache-2.0

package pglab

import (
	"context"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// template is what initdb made, which takes two seconds of processor time, for
// all servers of this process: 40 MB, in memory, so that nothing is left of it.
// Its servers have one password.
var template struct {
	mu       sync.Mutex // guards what follows
	password string
	files    []templateFile // nil before the first server
}

// templateFile is a file of the data directory, or a folder.
type templateFile struct {
	path    string // within the data directory
	mode    fs.FileMode
	content []byte
}

// initialize makes the data directory.
func (s *Server) initialize(ctx context.Context) error {
	template.mu.Lock()
	defer template.mu.Unlock()
	if template.files != nil {
		s.password = template.password
		return s.place(template.files)
	}
	s.password = rand.Text()
	if err := s.initdb(ctx); err != nil {
		return err
	}
	files, err := readTemplate(s.data())
	if err != nil {
		return err
	}
	template.password, template.files = s.password, files
	return nil
}

// readTemplate reads a data directory that no server has.
func readTemplate(dir string) (files []templateFile, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := templateFile{mode: info.Mode()}
		if f.path, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		if !d.IsDir() {
			if f.content, err = os.ReadFile(path); err != nil { //nolint:gosec // our own folder
				return err
			}
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// place writes the data directory.
func (s *Server) place(files []templateFile) error {
	for _, f := range files {
		path := filepath.Join(s.data(), f.path)
		var err error
		if f.mode.IsDir() {
			err = os.Mkdir(path, f.mode.Perm())
		} else {
			err = os.WriteFile(path, f.content, f.mode.Perm())
		}
		if err == nil && s.credential != nil {
			err = os.Chown(path, int(s.credential.Uid), int(s.credential.Gid))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
