// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// maxPlatforms bounds the images of one index. Go itself has some 50 platforms.
const maxPlatforms = 64

// platformEntry is an entry of an index with what tells images from others.
type platformEntry struct {
	descriptor
	os, architecture, variant string
	features                  []string
}

// PlatformImage is an image of an index and the platform that the index says it
// is for, os/architecture[/variant].
type PlatformImage struct {
	Artifact
	Platform string
	// Others are what else the index says that the same image is for: it may list
	// it more than once.
	Others []string
}

// Platforms are all that the index says that the image is for.
func (p PlatformImage) Platforms() []string { return append([]string{p.Platform}, p.Others...) }

// UnmarshalJSON implements json.Unmarshaler.
func (e *platformEntry) UnmarshalJSON(b []byte) error {
	if err := e.descriptor.UnmarshalJSON(b); err != nil {
		return err
	}
	var rest struct {
		Platform struct {
			OS           string   `json:"os"`
			Architecture string   `json:"architecture"`
			Variant      string   `json:"variant"`
			Features     []string `json:"os.features"`
		} `json:"platform"`
	}
	if err := json.Unmarshal(b, &rest); err != nil {
		return err
	}
	e.os, e.architecture, e.variant, e.features = rest.Platform.OS, rest.Platform.Architecture, rest.Platform.Variant, rest.Platform.Features
	return nil
}

// Images returns the images of an index, in its order, each once. Entries
// for an unknown platform run nowhere (attestations of a build tool) and are
// left out. Nothing else is, whatever it says of itself: runtimes pick by
// platform alone, not by annotations, and some not by media type. So an index in
// an index, and entries of another type, are refused: nobody can say what runs. The images' manifests are not read: their digests are the
// index's, whose bytes were hashed. Errors are those of Resolve, and
// ErrTooMany.
func (c *Client) Images(ctx context.Context, index Artifact) ([]PlatformImage, error) {
	if index.Kind != KindIndex {
		return nil, nil
	}
	t, err := c.subjectTarget(index, pull)
	if err != nil {
		return nil, fmt.Errorf("platforms: %w", err)
	}
	return c.images(ctx, t, index)
}

// images is Images of something that may be no index.
func (c *Client) images(ctx context.Context, t target, index Artifact) ([]PlatformImage, error) {
	ctx, cancel := c.operation(ctx)
	defer cancel()
	got, err := c.manifest(ctx, t, string(index.Digest), ociIndex, dockerList)
	if err != nil {
		return nil, fmt.Errorf("platforms: %w", err)
	}
	defer got.release()
	if _, err := parseManifest(got.bytes); err != nil {
		return nil, fmt.Errorf("platforms of %s: %w", index, err)
	}
	var list struct {
		Manifests []platformEntry `json:"manifests"`
	}
	if err := json.Unmarshal(got.bytes, &list); err != nil {
		return nil, fmt.Errorf("platforms of %s: %w: %w", index, ErrBadManifest, err)
	}
	var images []PlatformImage
	seen := make(map[string]bool)
	for _, e := range list.Manifests {
		switch {
		case isIndexType(e.MediaType):
			return nil, fmt.Errorf("platforms of %s: %w: it holds another index (hint: push one index with all images)", index, ErrBadManifest)
		case e.os == "unknown":
			continue
		case !slices.Contains([]string{ociManifest, dockerManifest}, e.MediaType):
			return nil, fmt.Errorf("platforms of %s: %w: it holds %s, which some runtimes would take for an image (hint: push an index of images only)", index, ErrBadManifest, quote(e.MediaType))
		case !e.isNamed():
			return nil, fmt.Errorf("platforms of %s: %w: %s is no platform", index, ErrBadManifest, quote(e.platform()))
		case seen[e.Digest]:
			again := &images[slices.IndexFunc(images, func(i PlatformImage) bool { return string(i.Digest) == e.Digest })]
			if named := e.platform(); !slices.Contains(again.Platforms(), named) {
				if again.Others = append(again.Others, named); len(again.Others) > maxPlatforms {
					return nil, fmt.Errorf("platforms of %s: %w: more than %d of one image", index, ErrTooMany, maxPlatforms)
				}
			}
			continue
		}
		digest, err := attest.ParseDigest(e.Digest)
		if err != nil {
			return nil, fmt.Errorf("platforms of %s: %w: %w", index, ErrBadManifest, err)
		}
		if seen[e.Digest] = true; len(seen) > maxPlatforms {
			return nil, fmt.Errorf("platforms of %s: %w: more than %d", index, ErrTooMany, maxPlatforms)
		}
		images = append(images, PlatformImage{Platform: e.platform(), Artifact: Artifact{
			Registry: index.Registry, Repository: index.Repository, Digest: digest, MediaType: e.MediaType, Size: e.Size, Kind: KindImage,
		}})
	}
	return images, nil
}

// maxPlatformWord bounds each word of a platform, bytes.
const maxPlatformWord = 64

// isNamed reports whether the words of a platform are such. They are shown to
// people, in logs of CI systems too, which take commands from them.
func (e *platformEntry) isNamed() bool {
	return !slices.ContainsFunc(append([]string{e.os, e.architecture, e.variant}, e.features...), func(word string) bool {
		return len(word) > maxPlatformWord || strings.ContainsFunc(word, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
		})
	})
}

// platform is os/architecture[/variant]. Features of a system that not every
// machine has are written as container runtimes write them, "linux(+x)/amd64".
// Those of Windows' images mean nothing.
func (e *platformEntry) platform() string {
	name := e.os
	if len(e.features) > 0 && e.os != "windows" {
		name += "(+" + strings.Join(e.features, "+") + ")"
	}
	name += "/" + e.architecture
	if e.variant != "" {
		name += "/" + e.variant
	}
	return name
}
