// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
)

// ListedBundle is a bundle beside a subject that has not been read. Manifest's
// bytes were; Blob and Size are what they say.
type ListedBundle struct {
	Manifest attest.Digest
	Blob     attest.Digest
	Size     int64
}

// ListBundles is Bundles without reading the bundles themselves: for those who
// have some of them already, or want one at a time in memory. Errors are those
// of Bundles, within the same bounds.
func (c *Client) ListBundles(ctx context.Context, subject Artifact) ([]ListedBundle, error) {
	t, err := c.subjectTarget(subject, pull)
	if err != nil {
		return nil, fmt.Errorf("list bundles: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	referrers, err := c.referrers(ctx, t, subject.Digest)
	if err != nil {
		return nil, fmt.Errorf("list bundles of %s: %w", subject, err)
	}
	layers, err := c.boundedLayers(ctx, t, subject.Digest, referrers)
	if err != nil {
		return nil, fmt.Errorf("list bundles of %s: %w", subject, err)
	}
	found := make([]ListedBundle, len(layers))
	for i, l := range layers {
		found[i] = ListedBundle{Manifest: l.Manifest, Blob: l.Blob, Size: l.size}
	}
	return found, nil
}

// ReadBundle reads a bundle that ListBundles has found beside the subject. Its
// bytes have the digest Blob. Errors are those of Resolve.
func (c *Client) ReadBundle(ctx context.Context, subject Artifact, b ListedBundle) ([]byte, error) {
	t, err := c.subjectTarget(subject, pull)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	raw, err := c.blob(ctx, t, b.Blob, b.Size, maxBundle)
	if err != nil {
		return nil, fmt.Errorf("read bundle of %s: %w", subject, err)
	}
	return raw, nil
}
