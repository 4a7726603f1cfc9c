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

// parallelWrites bounds requests at a time that write for one subject.
const parallelWrites = 8

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

// AttachBundle is AttachBundles of one.
func (c *Client) AttachBundle(ctx context.Context, subject Artifact, b BundleBlob) (attest.Digest, error) {
	digests, err := c.AttachBundles(ctx, subject, []BundleBlob{b})
	if err != nil {
		return "", err
	}
	return digests[0], nil
}

// AttachBundles writes bundles as referrers of subject and returns the digests
// of the referrers' manifests. When it returns without error, they have been
// read back and the registry, or the fallback tag, lists them (or the registry
// lists more than can be read). The same input gives the same digests any number
// of times; repeating after an error is
// right. Errors are those of Resolve, and ErrTooMany.
//
// Attachments to one subject by this Client, and by those it shares
// Config.Turn with, do not lose each other in the fallback tag. Other writers
// may: a registry has no compare-and-swap. Their losses are noticed as long as
// they happen before the list is read back.
func (c *Client) AttachBundles(ctx context.Context, subject Artifact, bundles []BundleBlob) ([]attest.Digest, error) {
	t, err := c.subjectTarget(subject, pullPush)
	if err != nil {
		return nil, fmt.Errorf("attach: %w", err)
	}
	all := make([]attachment, len(bundles))
	digests := make([]attest.Digest, len(bundles))
	for i, b := range bundles {
		raw, err := bundleManifest(subject, b)
		if err != nil {
			return nil, fmt.Errorf("attach to %s: %w", subject, err)
		}
		all[i] = attachment{
			blob: contentOf(b.Bytes), raw: raw, digest: attest.DigestOf(raw), artifactType: attest.BundleMediaType, annotations: bundleAnnotations(b),
		}
		digests[i] = all[i].digest
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	if err := c.attach(ctx, t, subject.Digest, all); err != nil {
		return nil, fmt.Errorf("attach to %s: %w", subject, err)
	}
	return digests, nil
}

// attachment is a referrer that is being written: one blob and its manifest.
type attachment struct {
	blob         content
	stored       bool // the registry has the blob
	raw          []byte
	digest       attest.Digest
	artifactType string
	annotations  map[string]string
}

// descriptor is the attachment as a list of referrers has it.
func (a attachment) descriptor() descriptor {
	return descriptor{
		MediaType: ociManifest, Digest: string(a.digest), Size: int64(len(a.raw)), ArtifactType: a.artifactType, Annotations: a.annotations,
	}
}

// listedIn tells whether a list of referrers has the attachment as it was
// written.
func (a attachment) listedIn(list []descriptor) bool {
	return slices.ContainsFunc(list, func(d descriptor) bool {
		return d.Digest == string(a.digest) && d.Size == int64(len(a.raw)) && d.MediaType == ociManifest
	})
}

// attach takes three round trips with the referrers API and a registry that
// takes a blob in one request, if connections and tokens are warm: the blobs,
// the manifests, and the reads, each of them all at once. Of one attachment that
// are four requests, of ten twenty-one.
func (c *Client) attach(ctx context.Context, t target, subject attest.Digest, all []attachment) error {
	// 1. Blobs first: registries refuse manifests whose blobs are missing.
	// Power fails here: blobs without a manifest, which the registry collects.
	// 2. The manifests, by digest. From here on the referrers API lists them; on
	// a registry without, nobody finds them yet, and repeating repairs that.
	if err := c.write(ctx, t, all); err != nil {
		return err
	}

	// 3. Read back: the list, which names each by its digest and size, and of one
	// alone the manifest itself at the same time.
	var missing []attachment
	readable := true
	reads, readsCtx := errgroup.WithContext(ctx)
	if len(all) == 1 {
		reads.Go(func() error { return c.readBack(readsCtx, t, all[0]) })
	}
	reads.Go(func() (err error) {
		missing, readable, err = c.unlisted(readsCtx, t, subject, all)
		return err
	})
	if err := reads.Wait(); err != nil {
		return err
	}
	if len(all) > 1 && (len(missing) > 0 || !readable) { // what no list has named is read itself
		unread := missing
		if !readable {
			unread = all
		}
		if err := c.readAllBack(ctx, t, unread); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}

	// 4. No referrers API, or one that does not list them.
	add := make([]descriptor, len(missing))
	for i, a := range missing {
		add[i] = a.descriptor()
	}
	return c.addToFallback(ctx, t, subject, add)
}

func (c *Client) readAllBack(ctx context.Context, t target, all []attachment) error {
	reads, readsCtx := errgroup.WithContext(ctx)
	reads.SetLimit(parallelReads)
	for _, a := range all {
		reads.Go(func() error { return c.readBack(readsCtx, t, a) })
	}
	return reads.Wait()
}

// readBack reads an attachment's manifest and compares it.
func (c *Client) readBack(ctx context.Context, t target, a attachment) error {
	got, err := c.manifest(ctx, t, string(a.digest), ociManifest)
	if err != nil {
		return err
	}
	defer got.release()
	if !bytes.Equal(got.bytes, a.raw) {
		return fmt.Errorf("read back %s: %w", a.digest, ErrDigestMismatch)
	}
	return nil
}

// write stores the blobs and the manifests. That a repository has the empty
// config is remembered. Should it have lost it since, or have taken a blob in
// one request without keeping it, it refuses the manifest, and everything is
// done again the long way.
func (c *Client) write(ctx context.Context, t target, all []attachment) error {
	short := c.shortcuts.known(hasConfig(t)) || !c.shortcuts.known(twoRequests(t))
	err := c.writeOnce(ctx, t, all)
	if err == nil || !short || (!errors.Is(err, ErrRejected) && !errors.Is(err, ErrNotFound)) {
		return err
	}
	c.shortcuts.forget(hasConfig(t))
	c.shortcuts.learn(twoRequests(t))
	all = slices.Clone(all)
	for i := range all {
		all[i].stored = false
	}
	return c.writeOnce(ctx, t, all)
}

// hasConfig is the fact that a repository has the empty config.
func hasConfig(t target) string { return "config " + t.String() }

func (c *Client) writeOnce(ctx context.Context, t target, all []attachment) error {
	blobs, blobsCtx := errgroup.WithContext(ctx)
	blobs.SetLimit(parallelWrites)
	if !c.shortcuts.known(hasConfig(t)) {
		blobs.Go(func() error {
			has, err := c.hasBlob(blobsCtx, t, attest.DigestOf(emptyJSON))
			if err != nil || has {
				return err
			}
			return c.putBlob(blobsCtx, t, emptyJSON)
		})
	}
	for _, a := range all {
		if !a.stored {
			blobs.Go(func() error { return c.putContent(blobsCtx, t, a.blob) })
		}
	}
	if err := blobs.Wait(); err != nil {
		return err
	}
	manifests, manifestsCtx := errgroup.WithContext(ctx)
	manifests.SetLimit(parallelWrites)
	for _, a := range all {
		manifests.Go(func() error { return c.putManifest(manifestsCtx, t, string(a.digest), ociManifest, a.raw) })
	}
	if err := manifests.Wait(); err != nil {
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
	layer := descriptor{MediaType: attest.BundleMediaType, Size: int64(len(b.Bytes)), Digest: string(attest.DigestOf(b.Bytes))}
	return referrerManifest(subject, attest.BundleMediaType, layer, bundleAnnotations(b))
}

// referrerManifest is that of an artifact with one layer about a subject.
func referrerManifest(subject Artifact, artifactType string, layer descriptor, annotations map[string]string) ([]byte, error) {
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
		ArtifactType:  artifactType,
		Config: descriptor{
			MediaType: emptyConfig, ArtifactType: artifactType,
			Size: int64(len(emptyJSON)), Digest: string(attest.DigestOf(emptyJSON)),
		},
		Layers:      []descriptor{layer},
		Subject:     descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: string(subject.Digest)},
		Annotations: annotations,
	})
}
