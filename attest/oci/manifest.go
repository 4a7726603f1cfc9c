// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// Media types of manifests that are read. Docker's and OCI's differ in name
// only. Docker schema 1 is not among them: its digest does not cover its
// signatures, and it has no media type inside.
const (
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Media types of configs, which tell what a manifest is.
const (
	ociImageConfig    = "application/vnd.oci.image.config.v1+json"
	dockerImageConfig = "application/vnd.docker.container.image.v1+json"
	helmConfig        = "application/vnd.cncf.helm.config.v1+json"
	emptyConfig       = "application/vnd.oci.empty.v1+json"
)

// maxManifest is what registries accept (distribution: 4 MiB).
const maxManifest = 4 << 20

var manifestTypes = []string{ociManifest, ociIndex, dockerManifest, dockerList}

// Kind is what an artifact is to the people who deploy it.
type Kind string

const (
	// KindImage is a container image for one platform.
	KindImage Kind = "image"
	// KindIndex is a list of manifests, usually one image for each platform.
	KindIndex Kind = "index"
	// KindChart is a Helm chart.
	KindChart Kind = "chart"
	// KindArtifact is anything else.
	KindArtifact Kind = "artifact"
)

// Artifact is a manifest whose bytes were read and hashed.
type Artifact struct {
	Registry   string
	Repository string
	Tag        string // as asked for, or ""
	Digest     attest.Digest
	MediaType  string
	Size       int64 // of the manifest, in bytes
	Kind       Kind
}

// String returns registry/repository@digest.
func (a Artifact) String() string {
	return Reference{Registry: a.Registry, Repository: a.Repository, Digest: a.Digest}.String()
}

// manifest is what this package reads of a manifest or index.
type manifest struct {
	mediaType    string
	artifactType string
	config       *descriptor
	layers       []descriptor
	manifests    []descriptor
	subject      *descriptor
	annotations  map[string]string
	isIndex      bool // it has manifests; otherwise it has config and layers
}

// descriptor points to content. Its digest is what the document says, checked
// where it is used.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	URLs         []string          `json:"urls,omitempty"`
	Data         []byte            `json:"data,omitempty"`
}

// UnmarshalJSON takes members by their exact names only, unlike encoding/json
// by itself, and refuses variants of them.
func (d *descriptor) UnmarshalJSON(b []byte) error {
	m, err := membersOf(b)
	if err != nil {
		return err
	}
	return m.decodeExactly(map[string]any{
		"mediaType": &d.MediaType, "digest": &d.Digest, "size": &d.Size,
		"artifactType": &d.ArtifactType, "annotations": &d.Annotations, "urls": &d.URLs, "data": &d.Data,
	})
}

// members are those of one JSON object, by exact name.
type members map[string]json.RawMessage

func membersOf(b []byte) (members, error) {
	var m members
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("null instead of an object")
	}
	return m, nil
}

// decode fills the pointers from the members of those names that exist.
func (m members) decode(into map[string]any) error {
	for name, p := range into {
		raw, ok := m[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, p); err != nil {
			return fmt.Errorf("member %q: %w", name, err)
		}
	}
	return nil
}

// decodeExactly is decode for documents that other programs act upon: a member
// that differs from a known one in case only would be the known one to many of
// them (encoding/json is lenient), so it is refused.
func (m members) decodeExactly(into map[string]any) error {
	for name := range m {
		for known := range into {
			if name != known && strings.EqualFold(name, known) {
				return fmt.Errorf("member %s is not spelled %q", quote(name), known)
			}
		}
	}
	return m.decode(into)
}

// has tells whether one of the names is there, even as null.
func (m members) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { _, ok := m[name]; return ok })
}

// parseManifest reads a manifest or an index, and nothing that could be taken
// for both: a registry and a runtime that disagree about what a digest is, is
// how one thing gets verified and another one runs (CVE-2021-41190).
func parseManifest(b []byte) (manifest, error) {
	fail := func(err error) (manifest, error) { return manifest{}, fmt.Errorf("%w: %w", ErrBadManifest, err) }
	if err := attest.CheckJSON(b, attest.MaxDepth, maxManifest); err != nil {
		return fail(err)
	}
	top, err := membersOf(b)
	if err != nil {
		return fail(err)
	}
	var m manifest
	var schema int
	if err := top.decodeExactly(map[string]any{
		"schemaVersion": &schema, "mediaType": &m.mediaType, "artifactType": &m.artifactType, "config": &m.config,
		"layers": &m.layers, "manifests": &m.manifests, "subject": &m.subject, "annotations": &m.annotations,
	}); err != nil {
		return fail(err)
	}
	if schema == 1 || top.has("fsLayers", "history") {
		return fail(fmt.Errorf("docker schema 1 (hint: push the image again with a current tool)"))
	}
	if schema != 2 {
		return fail(fmt.Errorf("schemaVersion is %d, not 2", schema))
	}
	m.isIndex = top.has("manifests")
	switch {
	case m.isIndex && top.has("layers", "config"):
		return fail(fmt.Errorf("it has both manifests and layers or config, so it can be taken for an image and for an index"))
	case !m.isIndex && (m.config == nil || !top.has("layers")):
		return fail(fmt.Errorf("it is neither an image (config, layers) nor an index (manifests)"))
	}
	return m, nil
}

// checkType holds the three things that say what a manifest is against each
// other: the header it came with, its own mediaType (optional in OCI), and its
// shape. It returns the media type.
func (m manifest) checkType(contentType string) (string, error) {
	header, _, err := mime.ParseMediaType(contentType)
	if err != nil || !slices.Contains(manifestTypes, header) {
		return "", fmt.Errorf("%w: media type %s is not supported (hint: OCI or Docker schema 2 images, indexes and artifacts are)", ErrBadManifest, quote(contentType))
	}
	if m.mediaType != "" && m.mediaType != header {
		return "", fmt.Errorf("%w: served as %s, but it says %s", ErrBadManifest, header, quote(m.mediaType))
	}
	if isIndexType(header) != m.isIndex {
		return "", fmt.Errorf("%w: served as %s, but it has another shape", ErrBadManifest, header)
	}
	return header, nil
}

func isIndexType(mediaType string) bool { return mediaType == ociIndex || mediaType == dockerList }

func (m manifest) kind() Kind {
	if m.isIndex {
		return KindIndex
	}
	// Helm goes by the config, and others, such as Flux, by the layer: what anybody
	// takes for a chart must not be signed as something else.
	isChart := func(l descriptor) bool { return l.MediaType == chartLayer }
	if m.config.MediaType == helmConfig || slices.ContainsFunc(m.layers, isChart) {
		return KindChart
	}
	switch m.config.MediaType {
	case ociImageConfig, dockerImageConfig:
		return KindImage
	default:
		return KindArtifact
	}
}
