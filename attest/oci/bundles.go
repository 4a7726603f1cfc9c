// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// maxBundles bounds the bundles of one subject.
	maxBundles = 64
	// maxAllBundles bounds their bytes together, since they are in memory
	// together, unless Config.BundleBytes says otherwise.
	maxAllBundles = 128 << 20
	// parallelReads bounds requests at a time for one subject.
	parallelReads = 8
)

// StoredBundle is a bundle found beside a subject. Bytes have the digest Blob
// and came with a manifest of digest Manifest; nothing else is known of them.
// PredicateTypeHint is an unsigned annotation, and wrong on some bundles.
type StoredBundle struct {
	Manifest          attest.Digest
	Blob              attest.Digest
	Bytes             []byte
	PredicateTypeHint string
}

// Bundles returns all Sigstore bundles, version 0.3 or later, that refer to
// subject, sorted by manifest digest. Referrers that are something else, that
// refer to another subject, or that are listed and gone are left out. A bundle
// that cannot be read is an error, not an omission: what it says may matter.
// Errors are those of Resolve, and ErrTooMany.
func (c *Client) Bundles(ctx context.Context, subject Artifact) ([]StoredBundle, error) {
	t, err := c.subjectTarget(subject, pull)
	if err != nil {
		return nil, fmt.Errorf("bundles: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	found, err := c.bundles(ctx, t, subject.Digest)
	if err != nil {
		return nil, fmt.Errorf("bundles of %s: %w", subject, err)
	}
	return found, nil
}

func (c *Client) bundles(ctx context.Context, t target, subject attest.Digest) ([]StoredBundle, error) {
	list, err := c.referrers(ctx, t, subject)
	if err != nil {
		return nil, err
	}
	layers, err := c.boundedLayers(ctx, t, subject, list)
	if err != nil {
		return nil, err
	}
	found := make([]StoredBundle, len(layers))
	reads, readsCtx := errgroup.WithContext(ctx)
	reads.SetLimit(parallelReads)
	for i, l := range layers {
		reads.Go(func() error {
			b, err := c.blob(readsCtx, t, l.Blob, l.size, maxBundle)
			found[i] = l.StoredBundle
			found[i].Bytes = b
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return found, nil
}

// boundedLayers returns the bundles of a list, unless they are too many or too
// large.
func (c *Client) boundedLayers(ctx context.Context, t target, subject attest.Digest, list []descriptor) ([]bundleLayer, error) {
	layers, err := c.bundleLayers(ctx, t, subject, list)
	if err != nil {
		return nil, err
	}
	if len(layers) > maxBundles {
		return nil, fmt.Errorf("%w bundles: %d, the limit is %d (hint: delete bundles that nobody needs)", ErrTooMany, len(layers), maxBundles)
	}
	var total int64
	for _, l := range layers {
		if l.size < 0 || l.size > maxBundle {
			return nil, fmt.Errorf("bundle %s: %w: %d bytes, the limit is %d", l.Blob, ErrTooLarge, l.size, maxBundle)
		}
		total += l.size
	}
	if total > c.maxBundles {
		return nil, fmt.Errorf("%w: %d bytes of bundles, the limit is %d (hint: delete bundles that nobody needs)", ErrTooLarge, total, c.maxBundles)
	}
	return layers, nil
}

// bundleLayer is a bundle that has not been read yet.
type bundleLayer struct {
	StoredBundle
	size int64
}

// bundleLayers reads the manifests in list and returns the bundles they hold.
func (c *Client) bundleLayers(ctx context.Context, t target, subject attest.Digest, list []descriptor) ([]bundleLayer, error) {
	layers := make([]*bundleLayer, len(list))
	reads, readsCtx := errgroup.WithContext(ctx)
	reads.SetLimit(parallelReads)
	for i, d := range list {
		digest, err := attest.ParseDigest(d.Digest)
		if err != nil || d.MediaType != ociManifest {
			continue // only OCI image manifests carry bundles
		}
		reads.Go(func() error {
			got, err := c.manifest(readsCtx, t, string(digest), ociManifest)
			if errors.Is(err, ErrNotFound) {
				c.log.WarnContext(readsCtx, "referrer is listed but gone", "subject", string(subject), "repository", t.String(), "referrer", string(digest))
				return nil
			}
			if err != nil {
				return err
			}
			defer got.release()
			layers[i] = readBundleLayer(got, subject)
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	var found []bundleLayer
	for _, l := range layers {
		if l != nil {
			found = append(found, *l)
		}
	}
	slices.SortFunc(found, func(a, b bundleLayer) int { return strings.Compare(string(a.Manifest), string(b.Manifest)) })
	return found, nil
}

// readBundleLayer returns nil for a manifest that is not a bundle's: other
// tools' referrers, and junk.
func readBundleLayer(got fetched, subject attest.Digest) *bundleLayer {
	m, err := parseManifest(got.bytes)
	if err != nil || m.isIndex || len(m.layers) != 1 || !isBundleType(m.layers[0].MediaType) ||
		m.subject == nil || m.subject.Digest != string(subject) {
		return nil
	}
	blob, err := attest.ParseDigest(m.layers[0].Digest)
	if err != nil {
		return nil
	}
	return &bundleLayer{
		StoredBundle: StoredBundle{Manifest: got.digest, Blob: blob, PredicateTypeHint: m.annotations[annotationPredicateType]},
		size:         m.layers[0].Size,
	}
}

// isBundleType accepts both spellings of a bundle's media type, for versions
// from 0.3 on:
//
//	application/vnd.dev.sigstore.bundle.v0.3+json
//	application/vnd.dev.sigstore.bundle+json;version=0.3
func isBundleType(mediaType string) bool {
	rest, ok := strings.CutPrefix(mediaType, "application/vnd.dev.sigstore.bundle")
	if !ok {
		return false
	}
	version, ok := strings.CutPrefix(rest, "+json;version=")
	if !ok {
		if version, ok = strings.CutPrefix(rest, ".v"); !ok {
			return false
		}
		if version, ok = strings.CutSuffix(version, "+json"); !ok {
			return false
		}
	}
	majorText, minorText, _ := strings.Cut(version, ".")
	minorText, _, _ = strings.Cut(minorText, ".")
	major, errMajor := strconv.ParseUint(majorText, 10, 16)
	minor, errMinor := strconv.ParseUint(minorText, 10, 16)
	if errMajor != nil || (errMinor != nil && minorText != "") {
		return false
	}
	return major > 0 || minor >= 3
}
