// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

// TagKind is what a legacy tag is for: the end of its name.
type TagKind string

// Legacy tags of a digest: sha256-<hex>.sig and sha256-<hex>.att.
const (
	SignatureTag   TagKind = "sig"
	AttestationTag TagKind = "att"
)

// Media types and annotations of layers under legacy tags (cosign v2.6.5,
// pkg/oci/static and pkg/types). Cosign's own writer is not used: it keeps an
// image in a registry client of its own, and this package is the only one that
// speaks to registries.
const (
	simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"
	dsseEnvelopeType  = "application/vnd.dsse.envelope.v1+json"

	annotationSignature   = "dev.cosignproject.cosign/signature"
	annotationCertificate = "dev.sigstore.cosign/certificate"
	annotationChain       = "dev.sigstore.cosign/chain"
	annotationBundle      = "dev.sigstore.cosign/bundle"
	annotationTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
	annotationType        = "predicateType"
)

const (
	// maxTagLayers bounds the layers under one tag: readers of cosign take a
	// thousand, and a manifest of 4 MiB has room for some 400.
	maxTagLayers = 256
	// maxTagWrites is as maxFallbackWrites.
	maxTagWrites = 8
)

// TagLayer is one signature or attestation under a legacy tag.
type TagLayer struct {
	// Bytes are a simple signing document, or a DSSE envelope with the statement.
	Bytes []byte
	// Signature is over a simple signing document; nil for an envelope, which has
	// its own.
	Signature []byte
	// PredicateType of an envelope's statement; an unsigned hint.
	PredicateType string
	// Certificate and Chain are PEM; empty for a long-lived key.
	Certificate, Chain []byte
	// Entry is of a Rekor v1 log, with its signed promise.
	Entry attest.LogEntry
	// Timestamp is a TimeStampResp, or nil.
	Timestamp []byte
}

// TagManifest is what a legacy tag points to.
type TagManifest struct {
	Tag    string
	Digest attest.Digest
}

// AttachLayers adds layers to the manifest under a subject's legacy tag, those
// that it does not have yet, and reads it back. Layers that are there stay as
// they are, whoever wrote them. Repeating after an error is right, and adds
// nothing twice. Errors are those of Resolve, and ErrTooMany.
//
// A tag is read, changed and written, so that writers of one tag take turns in
// this Client and, with Config.Turn, with other servers of the deployment. Others
// may still replace it in the moment between: a registry has no
// compare-and-swap. That is noticed if it happens before the tag is read back.
func (c *Client) AttachLayers(ctx context.Context, subject Artifact, kind TagKind, layers []TagLayer) (TagManifest, error) {
	t, err := c.subjectTarget(subject, pullPush)
	if err != nil {
		return TagManifest{}, fmt.Errorf("attach: %w", err)
	}
	ctx, cancel := c.operation(ctx)
	defer cancel()
	tag := fallbackTag(subject.Digest) + "." + string(kind)
	digest, err := c.attachLayers(ctx, t, tag, layers)
	if err != nil {
		return TagManifest{}, fmt.Errorf("attach to tag %s of %s: %w", tag, subject, err)
	}
	return TagManifest{Tag: tag, Digest: digest}, nil
}

func (c *Client) attachLayers(ctx context.Context, t target, tag string, layers []TagLayer) (attest.Digest, error) {
	add := make([]descriptor, len(layers))
	for i, l := range layers {
		d, err := l.descriptor()
		if err != nil {
			return "", err
		}
		add[i] = d
	}
	// 1. Blobs first. Power fails here: blobs without a manifest, which the
	// registry collects.
	blobs, blobsCtx := errgroup.WithContext(ctx)
	blobs.SetLimit(parallelReads)
	for _, l := range layers {
		blobs.Go(func() error { return c.putBlob(blobsCtx, t, l.Bytes) })
	}
	if err := blobs.Wait(); err != nil {
		return "", err
	}

	// 2. The tag, one writer at a time, until it is read with all of them in it.
	unlock, err := c.subjects.lock(ctx, t.String()+":"+tag)
	if err != nil {
		return "", netError("turn to write tag "+t.String()+":"+tag, err)
	}
	defer unlock()
	if c.turn != nil {
		release, err := c.turn(ctx, "tag "+t.String()+":"+tag)
		if err != nil {
			return "", fmt.Errorf("turn to write tag %s:%s: %w: %w", t, tag, ErrUnavailable, err)
		}
		defer release()
	}
	for writes := 0; ; writes++ {
		digest, err := c.addLayers(ctx, t, tag, add, writes)
		if err != nil || digest != "" {
			return digest, err
		}
	}
}

// addLayers reads the tag, and writes it with the layers that it does not have.
// It returns the digest of a manifest that has all of them; none if it wrote
// one, which has to be read back. Meanwhile the manifest's memory is reserved:
// what is read, and what is made of it.
func (c *Client) addLayers(ctx context.Context, t target, tag string, add []descriptor, writes int) (attest.Digest, error) {
	now, err := c.tagManifest(ctx, t, tag)
	if err != nil {
		return "", err
	}
	defer now.release()
	missing := now.missing(add)
	if len(missing) == 0 {
		return now.digest, nil
	}
	if writes == maxTagWrites {
		return "", fmt.Errorf("%w: written %d times, and each time somebody else replaced it (hint: let one service write to a repository)", ErrUnavailable, writes)
	}
	if writes > 0 {
		c.log.WarnContext(ctx, "tag was replaced by another writer", "repository", t.String(), "tag", tag, "try", writes)
	}
	manifest, config, err := now.with(missing)
	if err != nil {
		return "", err
	}
	if err := c.putBlob(ctx, t, config); err != nil {
		return "", err
	}
	if err := c.putManifest(ctx, t, tag, ociManifest, manifest); err != nil {
		if errors.Is(err, ErrRejected) || errors.Is(err, ErrDenied) {
			err = fmt.Errorf("%w (hint: are tags immutable there? a registry that does not let tags move needs signing.legacyTags: false)", err)
		}
		return "", err
	}
	return "", nil
}

// descriptor is the layer as its manifest has it.
func (l TagLayer) descriptor() (descriptor, error) {
	d := descriptor{MediaType: dsseEnvelopeType, Digest: string(attest.DigestOf(l.Bytes)), Size: int64(len(l.Bytes)), Annotations: map[string]string{}}
	switch {
	case len(l.Bytes) == 0 || len(l.Bytes) > maxBundle:
		return d, fmt.Errorf("%w: layer of %d bytes, not 1 to %d", ErrTooLarge, len(l.Bytes), maxBundle)
	case len(l.Entry.SignedEntryTimestamp) == 0:
		// Without one, cosign would ask the public log.
		return d, fmt.Errorf("%w: a layer under a legacy tag needs an entry with a signed promise", ErrBadManifest)
	}
	d.Annotations[annotationSignature] = base64.StdEncoding.EncodeToString(l.Signature)
	if l.Signature != nil {
		d.MediaType = simpleSigningType
	} else {
		d.Annotations[annotationType] = l.PredicateType
	}
	if len(l.Certificate) > 0 {
		d.Annotations[annotationCertificate] = string(l.Certificate)
		d.Annotations[annotationChain] = string(l.Chain)
	}
	type payload struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	}
	bundle, err := json.Marshal(struct {
		SignedEntryTimestamp []byte
		Payload              payload
	}{l.Entry.SignedEntryTimestamp, payload{l.Entry.CanonicalizedBody, l.Entry.IntegratedTime, l.Entry.LogIndex, hex.EncodeToString(l.Entry.LogID)}})
	if err != nil {
		return d, err
	}
	d.Annotations[annotationBundle] = string(bundle)
	if l.Timestamp != nil {
		stamp, err := json.Marshal(struct{ SignedRFC3161Timestamp []byte }{l.Timestamp})
		if err != nil {
			return d, err
		}
		d.Annotations[annotationTimestamp] = string(stamp)
	}
	return d, nil
}

// taggedManifest is the manifest under a legacy tag; nothing in it if there is
// none. Whoever has one calls release when nothing refers to its bytes any more.
type taggedManifest struct {
	release func()
	digest  attest.Digest
	raw     []byte
	layers  []descriptor
}

func (c *Client) tagManifest(ctx context.Context, t target, tag string) (taggedManifest, error) {
	got, err := c.manifest(ctx, t, tag, ociManifest)
	if errors.Is(err, ErrNotFound) {
		return taggedManifest{release: func() {}}, nil
	}
	if err != nil {
		return taggedManifest{}, err
	}
	m, err := parseManifest(got.bytes)
	if err == nil && m.isIndex {
		err = fmt.Errorf("%w: it is an index", ErrBadManifest)
	}
	if err != nil {
		got.release()
		return taggedManifest{}, fmt.Errorf("what is there is no manifest of signatures: %w (hint: look who wrote it, and delete the tag)", err)
	}
	return taggedManifest{release: got.release, digest: got.digest, raw: got.bytes, layers: m.layers}, nil
}

// missing are those of the layers that the manifest does not have. Documents of
// several signers are the same bytes, so that the signature counts as well; the
// promise of an entry differs each time that it is asked for.
func (m taggedManifest) missing(layers []descriptor) []descriptor {
	type identity struct{ digest, signature string }
	have := make(map[identity]bool, len(m.layers))
	for _, l := range m.layers {
		have[identity{l.Digest, l.Annotations[annotationSignature]}] = true
	}
	var missing []descriptor
	for _, l := range layers {
		if id := (identity{l.Digest, l.Annotations[annotationSignature]}); !have[id] {
			have[id] = true
			missing = append(missing, l)
		}
	}
	return missing
}

// with is the manifest with more layers, and its config. Everything else that
// others wrote into the manifest is kept, known to us or not. The config says
// what every image's does, the layers, and nothing besides.
func (m taggedManifest) with(more []descriptor) (manifest, config []byte, err error) {
	if n := len(m.layers) + len(more); n > maxTagLayers {
		return nil, nil, tooManyLayers(n)
	}
	top := members{
		"schemaVersion": json.RawMessage(`2`),
		"mediaType":     json.RawMessage(`"` + ociManifest + `"`),
	}
	var list []json.RawMessage
	if m.raw != nil {
		if top, err = membersOf(m.raw); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrBadManifest, err)
		}
		if err := top.decode(map[string]any{"layers": &list}); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrBadManifest, err)
		}
	}
	var digests []string
	for _, l := range m.layers {
		digests = append(digests, l.Digest)
	}
	for _, l := range more {
		entry, err := json.Marshal(l)
		if err != nil {
			return nil, nil, err
		}
		list, digests = append(list, entry), append(digests, l.Digest)
	}
	if config, err = tagConfig(digests); err != nil {
		return nil, nil, err
	}
	if top["config"], err = json.Marshal(descriptor{MediaType: ociImageConfig, Digest: string(attest.DigestOf(config)), Size: int64(len(config))}); err != nil {
		return nil, nil, err
	}
	if top["layers"], err = json.Marshal(list); err != nil {
		return nil, nil, err
	}
	manifest, err = json.Marshal(top)
	if err == nil && len(manifest) > maxManifest {
		err = tooLargeTag(len(manifest))
	}
	return manifest, config, err
}

func tooManyLayers(n int) error {
	return fmt.Errorf("%w layers: %d, the limit is %d (hint: delete the tag: it is written anew, and bundles are not affected)", ErrTooMany, n, maxTagLayers)
}

func tooLargeTag(size int) error {
	return fmt.Errorf("%w: manifest of %d bytes, the limit is %d (hint: delete the tag: it is written anew, and bundles are not affected)", ErrTooLarge, size, maxManifest)
}

// tagConfig is the config of an image whose layers are not compressed.
func tagConfig(layers []string) ([]byte, error) {
	const noTime = "0001-01-01T00:00:00Z"
	type history struct {
		Created string `json:"created"`
	}
	type rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	all := make([]history, len(layers))
	for i := range all {
		all[i].Created = noTime
	}
	return json.Marshal(struct {
		Architecture string    `json:"architecture"`
		Created      string    `json:"created"`
		History      []history `json:"history"`
		OS           string    `json:"os"`
		RootFS       rootFS    `json:"rootfs"`
		Config       struct{}  `json:"config"`
	}{Created: noTime, History: all, RootFS: rootFS{"layers", layers}})
}
