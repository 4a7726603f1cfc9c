// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
)

const downloadMode = 0o644

// save writes the documents of verified statements into a folder, each once,
// under its digest. What the registry has is hashed on the way.
func (g *gatherer) save(ctx context.Context, artifact oci.Artifact, t *subjectTree, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // what is saved is what anybody may read in the registry
		return usage("--download: %w", err)
	}
	subject := artifact
	if t.Digest != artifact.Digest {
		subject.Digest = t.Digest // only its repository matters here
	}
	for i := range t.Attached {
		a := &t.Attached[i]
		if !a.Verified || a.What != isAttestation {
			continue
		}
		for j := range a.Documents {
			d := &a.Documents[j]
			if d.Secret {
				continue // nobody has it
			}
			content := d.content
			if !d.Held {
				var err error
				if content, err = g.registry.Blob(ctx, subject, d.Digest, d.Size, oci.MaxDocument); err != nil {
					return fmt.Errorf("download document %s: %w", d.Digest, err)
				}
			}
			path, err := saveFile(folder, d.Digest, content)
			if err != nil {
				return err
			}
			d.Saved = path
		}
	}
	for i := range t.Platforms {
		if err := g.save(ctx, artifact, &t.Platforms[i], folder); err != nil {
			return err
		}
	}
	return nil
}

// saved says to a person what is in the folder now, and what nobody can save.
func (t *subjectTree) saved(folder string) string {
	files, secret := map[string]int64{}, map[attest.Digest]bool{}
	t.count(files, secret)
	var size int64
	for _, n := range files {
		size += n
	}
	said := fmt.Sprintf("saved %s, %d bytes, in %s", plural(len(files), "document"), size, program.Printable(folder))
	if len(files) == 0 {
		said = "saved nothing: no verified statement holds or names a document"
	}
	if len(secret) > 0 {
		said += fmt.Sprintf("; nobody keeps %s with secrets in it", plural(len(secret), "document"))
	}
	return said
}

// count counts the documents of a digest and of its platforms, each once.
func (t *subjectTree) count(files map[string]int64, secret map[attest.Digest]bool) {
	for _, a := range t.Attached {
		for _, d := range a.Documents {
			switch {
			case d.Saved != "":
				files[d.Saved] = d.Size
			case d.Secret && a.Verified:
				secret[d.Digest] = true
			}
		}
	}
	for i := range t.Platforms {
		t.Platforms[i].count(files, secret)
	}
}

// saveFile writes content as sha256-<hex>.<ending>. A file that is there already must be it.
func saveFile(folder string, digest attest.Digest, content []byte) (string, error) {
	path := filepath.Join(folder, "sha256-"+digest.Hex()+endingOf(content))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, downloadMode) //nolint:gosec // the user names the folder
	if errors.Is(err, fs.ErrExist) {
		there, err := os.ReadFile(path) //nolint:gosec // as above
		if err != nil {
			return "", err
		}
		if !bytes.Equal(there, content) {
			return "", fmt.Errorf("save %s: another file has that name", path)
		}
		return path, nil
	}
	if err != nil {
		return "", fmt.Errorf("save document: %w", err)
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("save document: %w", err), os.Remove(path))
	}
	return path, nil
}

// endingOf is for people and their programs; the digest is the name.
func endingOf(content []byte) string {
	switch trimmed := bytes.TrimSpace(content); {
	case bytes.HasPrefix(trimmed, []byte("{")), bytes.HasPrefix(trimmed, []byte("[")):
		return ".json"
	case bytes.HasPrefix(trimmed, []byte("<")):
		return ".xml"
	}
	return ".txt"
}
