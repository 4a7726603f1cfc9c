// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

// Attachment is a referrer of a subject, whatever it is and whoever wrote it.
// Nothing about it is believed but that Bundle and Layers have the digests that
// they are named by.
type Attachment struct {
	Manifest attest.Digest
	// ArtifactType is what the manifest calls itself, or its config; a label.
	ArtifactType string
	// Bundle is the bundle that it holds, or nil.
	Bundle []byte
	// Layers are what it holds.
	Layers []Layer
	// Err says why it could not be read, if it could not: what somebody pushed
	// hides nothing of the others.
	Err error
}

// Layer names a blob.
type Layer struct {
	MediaType string
	Digest    attest.Digest
	Size      int64
}

// LegacyTag is what lies under sha256-<hex>.sig or .att.
type LegacyTag struct {
	TagManifest
	Kind   TagKind
	Layers []TagLayer
	Err    error // as for Attachment
}

// Attached returns everything that is attached to the subject: its referrers,
// sorted by digest, and the legacy tags that it has. Unlike Bundles it is for
// people who look: what is junk is shown as such. An error means that the
// registry did not say what there is; errors are those of Resolve, and
// ErrTooMany.
func (c *Client) Attached(ctx context.Context, subject Artifact) ([]Attachment, []LegacyTag, error) {
	t, err := c.subjectTarget(subject, pull)
	if err != nil {
		return nil, nil, fmt.Errorf("attached: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	list, err := c.referrers(ctx, t, subject.Digest)
	if err != nil {
		return nil, nil, fmt.Errorf("referrers of %s: %w", subject, err)
	}
	all := make([]Attachment, len(list))
	var total atomic.Int64
	reads, readsCtx := errgroup.WithContext(ctx)
	reads.SetLimit(parallelReads)
	for i, d := range list {
		reads.Go(func() error {
			var err error
			all[i], err = c.attachment(readsCtx, t, subject.Digest, d, &total)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, nil, fmt.Errorf("referrers of %s: %w", subject, err)
	}
	slices.SortFunc(all, func(a, b Attachment) int { return strings.Compare(string(a.Manifest), string(b.Manifest)) })
	tags, err := c.legacyTags(ctx, t, subject.Digest)
	if err != nil {
		return nil, nil, fmt.Errorf("legacy tags of %s: %w", subject, err)
	}
	return all, tags, nil
}

// attachment reads one referrer. An error is the registry's silence.
func (c *Client) attachment(ctx context.Context, t target, subject attest.Digest, d descriptor, total *atomic.Int64) (Attachment, error) {
	a := Attachment{ArtifactType: d.ArtifactType}
	digest, err := attest.ParseDigest(d.Digest)
	if err != nil {
		a.Err = err
		return a, nil
	}
	a.Manifest = digest
	got, err := c.manifest(ctx, t, string(digest), manifestTypes...)
	if err != nil {
		a.Err = junk(err)
		return a, silence(err)
	}
	defer got.release()
	m, err := parseManifest(got.bytes)
	if err != nil {
		a.Err = err
		return a, nil
	}
	switch {
	case m.artifactType != "":
		a.ArtifactType = m.artifactType
	case m.config != nil && a.ArtifactType == "":
		a.ArtifactType = m.config.MediaType
	}
	a.ArtifactType = strings.Clone(a.ArtifactType)
	if m.subject == nil || m.subject.Digest != string(subject) {
		a.Err = fmt.Errorf("%w: it refers to something else", ErrBadManifest)
		return a, nil
	}
	for _, l := range m.layers {
		if layer, err := attest.ParseDigest(l.Digest); err == nil {
			a.Layers = append(a.Layers, Layer{MediaType: strings.Clone(l.MediaType), Digest: layer, Size: l.Size})
		}
	}
	bundle := readBundleLayer(got, subject)
	if bundle == nil {
		return a, nil
	}
	if bundle.size < 0 || bundle.size > maxBundle {
		a.Err = fmt.Errorf("bundle: %w: %d bytes, the limit is %d", ErrTooLarge, bundle.size, maxBundle)
		return a, nil
	}
	if total.Add(bundle.size) > c.maxBundles {
		a.Err = fmt.Errorf("bundle: %w: with the others more than %d bytes (hint: delete bundles that nobody needs)", ErrTooLarge, c.maxBundles)
		return a, nil
	}
	if a.Bundle, err = c.blob(ctx, t, bundle.Blob, bundle.size, maxBundle); err != nil {
		a.Err = junk(err)
	}
	return a, silence(err)
}

// junk is an error that tells what somebody has pushed; silence one that tells
// that the registry does not say.
func junk(err error) error {
	for _, known := range []error{ErrNotFound, ErrBadManifest, ErrDigestMismatch, ErrTooLarge, ErrTooMany} {
		if errors.Is(err, known) {
			return err
		}
	}
	return nil
}

func silence(err error) error {
	if junk(err) == nil {
		return err
	}
	return nil
}

func (c *Client) legacyTags(ctx context.Context, t target, subject attest.Digest) ([]LegacyTag, error) {
	var tags []LegacyTag
	for _, kind := range []TagKind{SignatureTag, AttestationTag} {
		tag, err := c.legacyTag(ctx, t, subject, kind)
		if err != nil {
			return nil, err
		}
		if tag.Digest != "" || tag.Err != nil {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// legacyTag reads one tag. It has neither a digest nor an error if there is
// none.
func (c *Client) legacyTag(ctx context.Context, t target, subject attest.Digest, kind TagKind) (LegacyTag, error) {
	tag := LegacyTag{Kind: kind, TagManifest: TagManifest{Tag: fallbackTag(subject) + "." + string(kind)}}
	m, err := c.tagManifest(ctx, t, tag.Tag)
	if err != nil {
		tag.Err = err
		return tag, silence(err)
	}
	defer m.release()
	if tag.Digest = m.digest; tag.Digest == "" {
		return tag, nil
	}
	if tag.Layers, err = c.tagLayers(ctx, t, m.layers); err != nil {
		tag.Err = junk(err)
	}
	return tag, silence(err)
}

// tagLayers reads what lies under a tag, with what proves it.
func (c *Client) tagLayers(ctx context.Context, t target, layers []descriptor) ([]TagLayer, error) {
	if len(layers) > maxTagLayers {
		return nil, fmt.Errorf("%w layers: %d, the limit is %d", ErrTooMany, len(layers), maxTagLayers)
	}
	found := make([]TagLayer, len(layers))
	total := int64(0)
	for i, d := range layers {
		digest, err := attest.ParseDigest(d.Digest)
		if err != nil {
			return nil, fmt.Errorf("%w: layer %d: %w", ErrBadManifest, i, err)
		}
		if total += max(d.Size, 0); total > c.maxBundles {
			return nil, fmt.Errorf("%w: more than %d bytes of layers", ErrTooLarge, c.maxBundles)
		}
		l := &found[i]
		if l.Bytes, err = c.blob(ctx, t, digest, d.Size, maxBundle); err != nil {
			return nil, err
		}
		l.PredicateType, l.Certificate, l.Chain = d.Annotations[annotationType], []byte(d.Annotations[annotationCertificate]), []byte(d.Annotations[annotationChain])
		if d.MediaType == simpleSigningType {
			if l.Signature, err = base64.StdEncoding.DecodeString(d.Annotations[annotationSignature]); err != nil {
				return nil, fmt.Errorf("%w: layer %d: signature: %w", ErrBadManifest, i, err)
			}
		}
	}
	return found, nil
}

// Blob reads a blob of the artifact's repository that has this digest and size,
// for example a document that a verified statement names. Errors are those of
// Resolve.
func (c *Client) Blob(ctx context.Context, of Artifact, digest attest.Digest, size, limit int64) ([]byte, error) {
	t, err := c.subjectTarget(of, pull)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	if size < 0 || size > limit {
		return nil, fmt.Errorf("blob %s: %w: %d bytes, the limit is %d", digest, ErrTooLarge, size, limit)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	return c.blob(ctx, t, digest, size, limit)
}
