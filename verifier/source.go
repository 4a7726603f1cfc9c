// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Bounds of what is gathered for one artifact, over all sources. Reaching one is an error, "could not decide": judging the first half of
// the evidence could miss the newer half.
const (
	// MaxBundles: signature, SBOM, provenance and scans of a year fit; a flood of junk does not.
	MaxBundles = 64
	// maxEvidenceBytes keeps the memory of one verification below that of a few large SBOMs.
	maxEvidenceBytes = 128 << 20
)

// ErrTooMuchEvidence is wrapped when a bound on the evidence of one artifact is reached.
var ErrTooMuchEvidence = errors.New("too much evidence")

// Evidence is one bundle as it was found. Nothing about it is believed, neither its origin nor its content.
type Evidence struct {
	Origin string // where it was found, for people: a referrer's digest, a file name
	Bundle []byte
}

// Source finds bundles for an artifact.
//
// Bundles returns all bundles it has for the artifact, in any order, bounded; it may return bundles about other artifacts and broken ones.
// An empty list means "there are none". If it cannot tell, or would have to leave some out, it returns an error. It must end with
// the context and be safe for concurrent use.
type Source interface {
	Bundles(ctx context.Context, artifact oci.Artifact) ([]Evidence, error)
}

// Registry is what the verifier needs of a registry client; *oci.Client is one.
type Registry interface {
	Resolve(ctx context.Context, ref string) (oci.Artifact, error)
	Bundles(ctx context.Context, subject oci.Artifact) ([]oci.StoredBundle, error)
}

// Referrers is the Source of bundles that are attached to the artifact in its registry.
func Referrers(r Registry) Source { return referrers{r} }

type referrers struct{ registry Registry }

// Bundles returns every bundle that the registry client found for the artifact, in its order.
func (s referrers) Bundles(ctx context.Context, artifact oci.Artifact) ([]Evidence, error) {
	stored, err := s.registry.Bundles(ctx, artifact)
	if err != nil {
		return nil, err
	}
	found := make([]Evidence, len(stored))
	for i, b := range stored {
		found[i] = Evidence{Origin: "referrer " + string(b.Manifest), Bundle: b.Bytes}
	}
	return found, nil
}

// Directory is the Source of bundles in the files of one directory, without its sub-directories. Every file is taken for a bundle; those
// about other artifacts are refused one by one. It is for evidence that was carried to where no registry is.
func Directory(path string) Source { return directory{path} }

type directory struct{ path string }

// Bundles returns the directory's files in the order of their names, whatever artifact they are about. Too many, or too much, is
// ErrTooMuchEvidence.
func (s directory) Bundles(ctx context.Context, _ oci.Artifact) ([]Evidence, error) {
	files, err := os.ReadDir(s.path) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read evidence directory: %w", err)
	}
	if len(files) > MaxBundles {
		return nil, fmt.Errorf("%w: %s has %d files, at most %d are read (hint: one directory per artifact)", ErrTooMuchEvidence, s.path, len(files), MaxBundles)
	}
	var found []Evidence
	var total int64
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if file.IsDir() {
			continue
		}
		b, err := readRegular(filepath.Join(s.path, file.Name()))
		if err != nil {
			return nil, fmt.Errorf("read evidence: %w", err)
		}
		if total += int64(len(b)); total > maxEvidenceBytes {
			return nil, fmt.Errorf("%w: %s holds more than %d bytes", ErrTooMuchEvidence, s.path, maxEvidenceBytes)
		}
		found = append(found, Evidence{Origin: file.Name(), Bundle: b})
	}
	return found, nil
}

// readRegular reads one regular file; a pipe or device would block for ever. One byte more than the limit is read, so that a file that
// is too large is refused as such and not parsed cut.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	f, err := os.Open(path) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return io.ReadAll(io.LimitReader(f, MaxBundleBytes+1))
}
