// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
)

// chartLayer is the media type of a Helm chart's archive.
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// scheme is what Helm writes before references to charts.
const scheme = "oci://"

// WithoutScheme takes Helm's oci:// from a reference: people copy it from there.
// Everything else about it stays as it was.
func WithoutScheme(ref string) string { return strings.TrimPrefix(ref, scheme) }

// Central reports whether a registry is one of the configured ones:
// ErrForeignRegistry if not.
func (c *Client) Central(host string) error {
	_, err := c.registry(host)
	return err
}

// ChartArchive reads the archive of a chart, at most limit bytes. Errors are
// those of Resolve; ErrBadManifest if the artifact is no chart.
func (c *Client) ChartArchive(ctx context.Context, a Artifact, limit int64) ([]byte, error) {
	t, err := c.subjectTarget(a, pull)
	if err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	layer, err := c.chartLayerOf(ctx, t, a)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", a, err)
	}
	digest, err := attest.ParseDigest(layer.Digest)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w: %w", a, ErrBadManifest, err)
	}
	if layer.Size < 0 {
		return nil, fmt.Errorf("chart %s: %w: a layer of %d bytes", a, ErrBadManifest, layer.Size)
	}
	archive, err := c.blob(ctx, t, digest, layer.Size, limit)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", a, err)
	}
	return archive, nil
}

// chartLayerOf finds the one layer that is the archive.
func (c *Client) chartLayerOf(ctx context.Context, t target, a Artifact) (descriptor, error) {
	got, err := c.manifest(ctx, t, string(a.Digest), manifestTypes...)
	if err != nil {
		return descriptor{}, err
	}
	defer got.release()
	m, err := parseManifest(got.bytes)
	if err != nil {
		return descriptor{}, err
	}
	var found []descriptor
	for _, l := range m.layers {
		if l.MediaType == chartLayer {
			found = append(found, l)
		}
	}
	if m.kind() != KindChart || len(found) != 1 {
		return descriptor{}, fmt.Errorf("%w: it is no Helm chart with one archive", ErrBadManifest)
	}
	return found[0], nil
}
