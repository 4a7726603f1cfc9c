// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// maxConfig bounds what runtimes and tools read into memory as a config.
const maxConfig = 4 << 20

// contentDigest are the digests that the OCI image specification registers and
// that no two contents share. What this package hashes itself is SHA-256; of
// layers, which it never reads, either will do.
var contentDigest = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)

// foreignLayers begin the media types of layers that registries do not have.
var foreignLayers = []string{
	"application/vnd.oci.image.layer.nondistributable.",
	"application/vnd.docker.image.rootfs.foreign.",
}

// readManifest is parseManifest, checkType and checkContent: what a manifest
// must pass to be resolved. It returns the media type, too.
func readManifest(got fetched) (manifest, string, error) {
	m, err := parseManifest(got.bytes)
	if err != nil {
		return manifest{}, "", err
	}
	mediaType, err := m.checkType(got.contentType)
	if err != nil {
		return manifest{}, "", err
	}
	if err := m.checkContent(); err != nil {
		return manifest{}, "", fmt.Errorf("%w: %w", ErrBadManifest, err)
	}
	return m, mediaType, nil
}

// checkContent refuses an image whose content is not in the registry, or is not
// named by what it is. Layers with a place of their own are fetched from there
// by whoever runs the image: it is not the central registry's.
func (m manifest) checkContent() error {
	if m.isIndex {
		return nil
	}
	if err := m.config.check(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if m.config.Size > maxConfig {
		return fmt.Errorf("config: %w: %d bytes, the limit is %d", ErrTooLarge, m.config.Size, maxConfig)
	}
	for i, layer := range m.layers {
		for _, foreign := range foreignLayers {
			if strings.HasPrefix(layer.MediaType, foreign) {
				return fmt.Errorf("layer %d: foreign, of type %s (hint: push it with its layers, as an ordinary image)", i, quote(layer.MediaType))
			}
		}
		if err := layer.check(); err != nil {
			return fmt.Errorf("layer %d: %w", i, err)
		}
	}
	return nil
}

// check looks at a descriptor of something that is not read here.
func (d descriptor) check() error {
	switch {
	case !contentDigest.MatchString(d.Digest):
		return fmt.Errorf("digest %s is not a SHA-256 or SHA-512", quote(d.Digest))
	case d.Size < 0:
		return fmt.Errorf("size %d", d.Size)
	case len(d.URLs) > 0:
		return fmt.Errorf("it is at %s and not in the registry (hint: push it with its layers, as an ordinary image)", quote(d.URLs[0]))
	case d.Data == nil:
		return nil
	}
	// A copy inside the manifest is read in place of the content.
	if int64(len(d.Data)) != d.Size || !bytes.HasPrefix([]byte(d.Digest), []byte("sha256:")) || string(attest.DigestOf(d.Data)) != d.Digest {
		return errors.New("its embedded data is something else")
	}
	return nil
}
