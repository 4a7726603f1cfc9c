// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"

	"github.com/hallmark-dev/hallmark/attest"
)

// Media types of charts in registries.
// Source: https://helm.sh/docs/topics/registries/
const (
	ConfigMediaType     = "application/vnd.cncf.helm.config.v1+json"
	ChartMediaType      = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	ProvenanceMediaType = "application/vnd.cncf.helm.chart.provenance.v1.prov"
	ManifestMediaType   = "application/vnd.oci.image.manifest.v1+json"
)

// Blob is what a manifest names.
type Blob struct {
	MediaType string
	Bytes     []byte
}

// Package is a chart as a registry has it.
type Package struct {
	Manifest []byte
	Digest   attest.Digest // of the manifest
	Blobs    []Blob
}

type descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    attest.Digest `json:"digest"`
	Size      int           `json:"size"`
}

// Package makes what `helm push` would push: byte for byte, if it were told the
// creation time, which it takes from the clock. Here it is that of the newest
// file of the archive, so that the same chart has the same digest whenever and
// however often it is pushed. provenance may be nil.
func (c *Chart) Package(provenance []byte) (Package, error) {
	config, err := c.Config()
	if err != nil {
		return Package{}, err
	}
	blobs := []Blob{{ChartMediaType, c.Archive}}
	if provenance != nil {
		blobs = append(blobs, Blob{ProvenanceMediaType, provenance})
	}
	layers := make([]descriptor, len(blobs))
	for i, b := range blobs {
		layers[i] = describe(b)
	}
	slices.SortFunc(layers, func(a, b descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	configBlob := Blob{ConfigMediaType, config}
	manifest, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations,omitempty"`
	}{2, describe(configBlob), layers, annotations(c.Loaded.Metadata, c.Newest)})
	if err != nil {
		return Package{}, refuse("Chart.yaml: %w", err)
	}
	return Package{Manifest: manifest, Digest: attest.DigestOf(manifest), Blobs: append(blobs, configBlob)}, nil
}

func describe(b Blob) descriptor {
	return descriptor{b.MediaType, attest.DigestOf(b.Bytes), len(b.Bytes)}
}

// Tag is the tag of a version: a registry's tags have no plus sign.
func Tag(version string) string { return strings.ReplaceAll(version, "+", "_") }

// annotations are those of Helm (pkg/registry): some of Chart.yaml, and the
// chart's own, which may not replace title and version.
func annotations(m *chart.Metadata, created time.Time) map[string]string {
	const prefix = "org.opencontainers.image."
	out := map[string]string{}
	set := func(name, value string) {
		if strings.TrimSpace(value) != "" {
			out[prefix+name] = value
		}
	}
	set("description", m.Description)
	set("title", m.Name)
	set("version", m.Version)
	set("url", m.Home)
	set("created", created.UTC().Format(time.RFC3339))
	if len(m.Sources) > 0 {
		set("source", m.Sources[0])
	}
	var authors strings.Builder
	for i, who := range m.Maintainers {
		if who == nil {
			continue
		}
		authors.WriteString(who.Name)
		if who.Email != "" {
			authors.WriteString(" (" + who.Email + ")")
		}
		if i < len(m.Maintainers)-1 {
			authors.WriteString(", ")
		}
	}
	set("authors", authors.String())
	for name, value := range m.Annotations {
		if name != prefix+"version" && name != prefix+"title" {
			out[name] = value
		}
	}
	return out
}
