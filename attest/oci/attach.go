// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

// shortcutLife is how long it is remembered what makes an attachment shorter.
// The registry may be replaced by another one meanwhile.
const shortcutLife = 10 * time.Minute

// maxBundle bounds a bundle in bytes.
const maxBundle = attest.MaxBundleBytes

// Annotations of a bundle's manifest. Readers take them for hints.
const (
	annotationCreated       = "org.opencontainers.image.created"
	annotationContent       = "dev.sigstore.bundle.content"
	annotationPredicateType = "dev.sigstore.bundle.predicateType"
	contentDSSE             = "dsse-envelope"
)

// emptyJSON is the empty config of OCI artifacts.
var emptyJSON = []byte("{}")

// BundleBlob is a bundle to be attached.
type BundleBlob struct {
	Bytes         []byte
	PredicateType string
	// Created goes into the manifest and so into its digest: pass the same
	// time again when repeating an attachment. It is cut to seconds.
	Created time.Time
}

// AttachBundle writes b as a referrer of subject and returns the digest of the
// referrer's manifest. When it returns without error, the manifest has been
// read back and the registry, or the fallback tag, lists it (or the registry
// lists more than can be read). The same input gives the same digest any number of times; repeating after an error is
// right. Errors are those of Resolve, and ErrTooMany.
//
// Attachments to one subject by this Client, and by those it shares
// Config.Turn with, do not lose each other in the fallback tag. Other writers
// may: a registry has no compare-and-swap. Their losses are noticed as long as
// they happen before the list is read back.
func (c *Client) AttachBundle(ctx context.Context, subject Artifact, b BundleBlob) (attest.Digest, error) {
	t, err := c.subjectTarget(subject, pullPush)
	if err != nil {
		return "", fmt.Errorf("attach: %w", err)
	}
	raw, err := bundleManifest(subject, b)
	if err != nil {
		return "", fmt.Errorf("attach to %s: %w", subject, err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()

	digest := attest.DigestOf(raw)
	if err := c.attach(ctx, t, subject.Digest, b, raw); err != nil {
		return "", fmt.Errorf("attach to %s: %w", subject, err)
	}
	return digest, nil
}

// attach takes three round trips with the referrers API and a registry that
// takes a blob in one request, if connections and tokens are warm: the blob, the
// manifest, and both reads at once.
func (c *Client) attach(ctx context.Context, t target, subject attest.Digest, b BundleBlob, raw []byte) error {
	digest := attest.DigestOf(raw)

	// 1. Blobs first: registries refuse manifests whose blobs are missing.
	// Power fails here: blobs without a manifest, which the registry collects.
	// 2. The manifest, by digest. From here on the referrers API lists it; on
	// a registry without, nobody finds it yet, and repeating repairs that.
	if err := c.write(ctx, t, b.Bytes, raw); err != nil {
		return err
	}

	// 3. Read both back.
	var listed bool
	reads, readsCtx := errgroup.WithContext(ctx)
	reads.Go(func() error {
		got, err := c.manifest(readsCtx, t, string(digest), ociManifest)
		if err != nil {
			return err
		}
		defer got.release()
		if !bytes.Equal(got.bytes, raw) {
			return fmt.Errorf("read back %s: %w", digest, ErrDigestMismatch)
		}
		return nil
	})
	reads.Go(func() error {
		var err error
		listed, err = c.listed(readsCtx, t, subject, digest)
		return err
	})
	if err := reads.Wait(); err != nil || listed {
		return err
	}

	// 4. No referrers API, or one that does not list it.
	return c.addToFallback(ctx, t, subject, descriptor{
		MediaType: ociManifest, Digest: string(digest), Size: int64(len(raw)),
		ArtifactType: attest.BundleMediaType, Annotations: bundleAnnotations(b),
	})
}

// write stores the blobs and the manifest. That a repository has the empty
// config is remembered. Should it have lost it since, or have taken a blob in
// one request without keeping it, it refuses the manifest, and everything is
// done again the long way.
func (c *Client) write(ctx context.Context, t target, bundle, raw []byte) error {
	short := c.shortcuts.known(hasConfig(t)) || !c.shortcuts.known(twoRequests(t))
	err := c.writeOnce(ctx, t, bundle, raw)
	if err == nil || !short || (!errors.Is(err, ErrRejected) && !errors.Is(err, ErrNotFound)) {
		return err
	}
	c.shortcuts.forget(hasConfig(t))
	c.shortcuts.learn(twoRequests(t))
	return c.writeOnce(ctx, t, bundle, raw)
}

// hasConfig is the fact that a repository has the empty config.
func hasConfig(t target) string { return "config " + t.String() }

func (c *Client) writeOnce(ctx context.Context, t target, bundle, raw []byte) error {
	blobs, blobsCtx := errgroup.WithContext(ctx)
	blobs.Go(func() error { return c.putBlob(blobsCtx, t, bundle) })
	if !c.shortcuts.known(hasConfig(t)) {
		blobs.Go(func() error {
			has, err := c.hasBlob(blobsCtx, t, attest.DigestOf(emptyJSON))
			if err != nil || has {
				return err
			}
			return c.putBlob(blobsCtx, t, emptyJSON)
		})
	}
	if err := blobs.Wait(); err != nil {
		return err
	}
	if err := c.putManifest(ctx, t, string(attest.DigestOf(raw)), ociManifest, raw); err != nil {
		return err
	}
	c.shortcuts.learn(hasConfig(t))
	return nil
}

// subjectTarget checks an Artifact that a caller may have kept for long.
func (c *Client) subjectTarget(subject Artifact, actions string) (target, error) {
	ref, err := ParseReference(subject.String())
	if err != nil {
		return target{}, err
	}
	if !slices.Contains(manifestTypes, subject.MediaType) || subject.Size <= 0 || subject.Size > maxManifest {
		return target{}, fmt.Errorf("%w: %s: media type %s and size %d are not of a resolved artifact", ErrBadManifest, ref, quote(subject.MediaType), subject.Size)
	}
	return c.target(ref, actions)
}

func bundleAnnotations(b BundleBlob) map[string]string {
	return map[string]string{
		annotationCreated:       b.Created.UTC().Truncate(time.Second).Format(time.RFC3339),
		annotationContent:       contentDSSE,
		annotationPredicateType: b.PredicateType,
	}
}

// bundleManifest builds the referrer's manifest: OCI image manifest 1.1 with
// the empty config and the bundle as its only layer, as cosign writes it.
// Equal input gives equal bytes.
func bundleManifest(subject Artifact, b BundleBlob) ([]byte, error) {
	switch {
	case len(b.Bytes) == 0:
		return nil, fmt.Errorf("%w: the bundle is empty", ErrBadManifest)
	case len(b.Bytes) > maxBundle:
		return nil, fmt.Errorf("%w: bundle of %d bytes, the limit is %d", ErrTooLarge, len(b.Bytes), maxBundle)
	case b.PredicateType == "" || b.Created.IsZero():
		return nil, fmt.Errorf("%w: a bundle's manifest needs its predicate type and a time of creation", ErrBadManifest)
	}
	return json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Subject       descriptor        `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		SchemaVersion: 2,
		MediaType:     ociManifest,
		ArtifactType:  attest.BundleMediaType,
		Config: descriptor{
			MediaType: emptyConfig, ArtifactType: attest.BundleMediaType,
			Size: int64(len(emptyJSON)), Digest: string(attest.DigestOf(emptyJSON)),
		},
		Layers:      []descriptor{{MediaType: attest.BundleMediaType, Size: int64(len(b.Bytes)), Digest: string(attest.DigestOf(b.Bytes))}},
		Subject:     descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: string(subject.Digest)},
		Annotations: bundleAnnotations(b),
	})
}
