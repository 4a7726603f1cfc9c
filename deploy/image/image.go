// SPDX-License-Identifier: Apache-2.0

// Package image builds Hallmark's container image without a container engine:
// an OCI index with one image per platform, each of which holds statically
// linked binaries and nothing else. The same binaries and the same creation
// time give the same digests.
package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is the user that the binaries run as: no name, no rights.
const nobody = "65532:65532"

// Platform is one member of the index. Binaries are paths of files, the first
// of which is what the image runs.
type Platform struct {
	OS, Architecture string
	Binaries         []string
}

// Build returns the index. Created is written into layers and configurations;
// give the commit's time for a reproducible image.
func Build(created time.Time, platforms ...Platform) (v1.ImageIndex, error) {
	if len(platforms) == 0 {
		return nil, errors.New("build image: no platforms")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		img, err := build(created, p)
		if err != nil {
			return nil, fmt.Errorf("build image for %s/%s: %w", p.OS, p.Architecture, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.OS, Architecture: p.Architecture}},
		})
	}
	return index, nil
}

func build(created time.Time, p Platform) (v1.Image, error) {
	if len(p.Binaries) == 0 {
		return nil, errors.New("no binaries")
	}
	layer, err := layerOf(created, p.Binaries)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "hallmark"}})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.OS, p.Architecture, v1.Time{Time: created}
	config.Config.User = nobody
	config.Config.Entrypoint = []string{inImage(p.Binaries[0])}
	return mutate.ConfigFile(img, config)
}

// layerOf makes one layer of the binaries.
func layerOf(created time.Time, binaries []string) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, path := range binaries {
		if err := addFile(w, created, path); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

func addFile(w *tar.Writer, created time.Time, path string) error {
	content, err := os.ReadFile(path) //nolint:gosec // the caller names the binaries
	if err != nil {
		return err
	}
	header := &tar.Header{Name: inImage(path)[1:], Mode: 0o755, Size: int64(len(content)), ModTime: created, Format: tar.FormatPAX}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

func inImage(path string) string { return "/usr/local/bin/" + filepath.Base(path) }
