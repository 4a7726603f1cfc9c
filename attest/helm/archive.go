// SPDX-License-Identifier: Apache-2.0

// Package helm reads Helm charts.
//
// A chart is a gzipped tar of one folder: Chart.yaml says its name and version,
// values.yaml its defaults, templates/ makes Kubernetes manifests of them, and
// charts/ holds other charts that it depends on. In an OCI registry it is a
// manifest whose config is Chart.yaml as JSON and whose layers are the archive
// and, optionally, its provenance. Provenance (the .prov file) is the older way
// to sign: Chart.yaml and the archive's digest, clear-signed with OpenPGP, which
// is all that `helm verify` understands.
//
// Whoever signs a chart has read it first, and an archive comes from a stranger:
// before Helm's own loader gets to see it, everything that an honest `helm
// package` never writes is refused (links, devices, paths that leave the folder,
// ten thousand files, bombs). Rendering is in package render, because Helm's
// template engine cannot be bounded from inside and links a Kubernetes client.
package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/attest"
)

// Limits on an archive. Helm's own are 100 MiB in all and 5 MiB a file, for
// each of the archives inside another.
const (
	// MaxArchiveBytes bounds the compressed archive. The largest charts in the
	// field, with all their dependencies, have about 2 MiB.
	MaxArchiveBytes = 20 << 20
	// maxExpanded bounds what is in it, that of archives inside included.
	maxExpanded = 100 << 20
	// maxFile bounds one file, as Helm does.
	maxFile = 5 << 20
	// maxFiles bounds the files, those of archives inside included.
	maxFiles = 5000
	// maxPath bounds a path inside an archive, bytes.
	maxPath = 512
	// maxNested is how deep archives may be inside each other.
	maxNested = 4
)

// ErrChart says that an archive is no chart that can be accepted.
var ErrChart = attest.ErrChart

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrChart}, args...)...)
}

// contents is what is learned of an archive before it is loaded.
type contents struct {
	folder string    // the one folder that everything is in
	newest time.Time // of the files
}

// budget is what is left to an archive and those inside it.
type budget struct{ bytes, files int64 }

// inspect refuses what no honest archive has.
func inspect(archive []byte) (contents, error) {
	if len(archive) > MaxArchiveBytes {
		return contents{}, refuse("the archive has %d bytes, the limit is %d", len(archive), MaxArchiveBytes)
	}
	return inspectWithin(archive, &budget{maxExpanded, maxFiles}, 0)
}

func inspectWithin(archive []byte, left *budget, depth int) (contents, error) {
	var c contents
	if depth > maxNested {
		return c, refuse("archives are inside each other more than %d deep", maxNested)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return c, refuse("it is not a gzipped tar archive: %w", err)
	}
	files := tar.NewReader(unzipped)
	seen := map[string]bool{}
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return c, refuse("it is not a tar archive: %w", err)
		}
		if left.files--; left.files < 0 {
			return c, refuse("it has more than %d files", maxFiles)
		}
		switch h.Typeflag {
		case tar.TypeXGlobalHeader: // git archive's comment
			continue
		case tar.TypeReg, tar.TypeDir:
		default:
			return c, refuse("%q is neither a file nor a folder but of tar type %q (hint: charts have no links)", clip(h.Name), string(h.Typeflag))
		}
		folder, name, err := splitPath(h.Name, h.Typeflag == tar.TypeDir)
		switch {
		case err != nil:
			return c, err
		case c.folder == "":
			c.folder = folder
		case c.folder != folder:
			return c, refuse("it has two folders, %q and %q", clip(c.folder), clip(folder))
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if seen[name] {
			return c, refuse("the file %q is there twice", clip(name))
		}
		seen[name] = true
		if err := c.file(files, h, name, left, depth); err != nil {
			return c, err
		}
	}
	if len(seen) == 0 {
		return c, refuse("there is no file in it")
	}
	return c, nil
}

// file reads one file, and looks into the archives of dependencies.
func (c *contents) file(r io.Reader, h *tar.Header, name string, left *budget, depth int) error {
	switch {
	case h.Size > maxFile:
		return refuse("the file %q has %d bytes, the limit is %d", clip(name), h.Size, maxFile)
	case h.Size > left.bytes:
		return refuse("it expands to more than %d bytes", maxExpanded)
	}
	left.bytes -= h.Size
	if h.ModTime.After(c.newest) {
		c.newest = h.ModTime.UTC()
	}
	isChart := strings.HasPrefix(name, "charts/") && path.Ext(name) == ".tgz"
	if !isChart {
		if n, err := io.Copy(io.Discard, r); err != nil || n != h.Size {
			return refuse("the file %q ends too early", clip(name))
		}
		return nil
	}
	inner, err := io.ReadAll(io.LimitReader(r, h.Size))
	if err != nil {
		return refuse("the file %q ends too early", clip(name))
	}
	if _, err := inspectWithin(inner, left, depth+1); err != nil {
		return fmt.Errorf("%s: %w", clip(name), err)
	}
	return nil
}

// splitPath takes a path of an archive apart: the archive's folder, and the
// place inside it.
func splitPath(p string, folderItself bool) (folder, name string, err error) {
	clean := strings.TrimSuffix(p, "/")
	if len(p) > maxPath || !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", refuse("%q is no path that is accepted (hint: UTF-8, without control characters, at most %d bytes)", clip(p), maxPath)
	}
	switch {
	case strings.ContainsAny(p, `\:`):
		return "", "", refuse("the path %q has a character of Windows' paths", clip(p))
	case path.IsAbs(clean) || path.Clean(clean) != clean || clean == ".." || strings.HasPrefix(clean, "../"):
		return "", "", refuse("the path %q leaves the chart's folder, or is not written plainly", clip(p))
	}
	folder, name, inside := strings.Cut(clean, "/")
	if !inside && !folderItself {
		return "", "", refuse("the file %q is in no folder (hint: helm package)", clip(p))
	}
	return folder, name, nil
}

// clip bounds what of an archive is repeated in an error.
func clip(s string) string {
	const enough = 120
	if len(s) > enough {
		return s[:enough] + "…"
	}
	return s
}
