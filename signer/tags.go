// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// Legacy tags are how signatures lay in registries before there were bundles,
// and what many verifiers still read: under the tag sha256-<hex>.sig a manifest
// with a layer for each signature, under .att one for each attestation. What
// proves a layer is in its annotations, the entry of a v1 log among it: a v2
// entry has no promise that would fit there.
//
// A signature for a tag is one more signature of the same key, over another
// document; an attestation's layer is the very envelope that the bundle has.

// Tags is what legacy tags need.
type Tags struct {
	// Log is a Rekor v1 log. If it is one of Config.Logs, attestations have one
	// entry for both.
	Log      TagLog
	Registry TagRegistry
}

// TagLog is a Rekor v1 log.
type TagLog interface {
	Log
	// AppendMessage is Append for a signature over bytes that are no statement:
	// Payload is the bytes, PayloadType is empty.
	AppendMessage(ctx context.Context, e Entry) (attest.LogEntry, error)
}

// TagRegistry writes legacy tags. Its errors are those of package oci.
type TagRegistry interface {
	// AttachLayers adds the layers to the manifest under the subject's tag, those
	// that it has not yet, and reads it back. What others wrote there stays.
	AttachLayers(ctx context.Context, subject oci.Artifact, kind oci.TagKind, layers []oci.TagLayer) (oci.TagManifest, error)
}

// SignedTag is the part of a signature that goes into a legacy tag. For an
// attestation Payload and Signature are nil: the layer is the envelope.
type SignedTag struct {
	Payload   []byte // the simple signing document
	Signature []byte // over Payload
	// Timestamp is a TimeStampResp over Signature, or over the envelope.
	Timestamp []byte
	// Chain of the certificate, DER, the issuing one first.
	Chain [][]byte `json:",omitempty"`
}

// signTag signs and timestamps what goes into the tag.
func (s *Service) signTag(ctx context.Context, in Intent, by modeSigner, signature []byte) (*SignedTag, error) {
	tag := &SignedTag{Chain: by.certificate.Chain}
	stamped, err := attest.Envelope(attest.PayloadType, in.Statement, signature)
	if err != nil {
		return nil, err
	}
	if in.Action == ActionSign {
		if tag.Payload, err = attest.SimpleSigning(in.Artifact.Registry+"/"+in.Artifact.Repository, in.Artifact.Digest); err != nil {
			return nil, fmt.Errorf("write signature for the tag: %w", err)
		}
		if tag.Signature, err = by.sign(tag.Payload); err != nil {
			return nil, fmt.Errorf("sign for the tag: %w", err)
		}
		stamped = tag.Signature
	}
	if tag.Timestamp, err = s.cfg.Timestamper.Timestamp(ctx, stamped); err != nil {
		return nil, fmt.Errorf("timestamp signature for the tag: %w", err)
	}
	return tag, nil
}

// tagged is a layer with its log entry.
type tagged struct {
	layer oci.TagLayer
	entry attest.LogEntry
}

// tagLayers logs and checks the layers of an intent's tag, one for each mode.
// An intent that was signed when there were no tags has none. entries are the
// ones that Config.Logs made of the signatures, by mode and log.
func (s *Service) tagLayers(ctx context.Context, in Intent, entries [][]attest.LogEntry) ([]tagged, error) {
	if s.cfg.Tags == nil {
		return nil, nil
	}
	var all []tagged
	for i, signed := range in.Signed.all() {
		if signed.Tag == nil {
			continue
		}
		one := s.attestationLayer
		if signed.Tag.Payload != nil {
			one = s.signatureLayer
		}
		var made []attest.LogEntry
		if i < len(entries) {
			made = entries[i]
		}
		t, err := one(ctx, in, signed, made)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// signatureLayer is a simple signing document.
func (s *Service) signatureLayer(ctx context.Context, in Intent, signed Signed, _ []attest.LogEntry) (tagged, error) {
	tag := signed.Tag
	entry, err := s.cfg.Tags.Log.AppendMessage(ctx, Entry{
		Payload: tag.Payload, Signature: tag.Signature, Certificate: signed.Certificate, PublicKey: signed.PublicKey, Artifact: in.Artifact,
	})
	if err != nil {
		return tagged{}, fmt.Errorf("log signature for the tag: %w", err)
	}
	// The parts will lie in annotations. Verified are they as one bundle.
	whole, err := attest.MessageBundle{
		Digest: attest.DigestOf(tag.Payload), Signature: tag.Signature, Certificate: signed.Certificate, KeyHint: signed.hint(), Entry: entry, Timestamp: tag.Timestamp,
	}.Encode()
	if err != nil {
		return tagged{}, err
	}
	claim := signed.claim(in)
	claim.Digest, claim.PredicateType = attest.DigestOf(tag.Payload), ""
	if err := s.cfg.Verifier.Check(ctx, whole, claim); err != nil {
		return tagged{}, fmt.Errorf("the finished signature for the tag does not verify, nothing was attached: %w", err)
	}
	return tagOf(oci.TagLayer{Bytes: tag.Payload, Signature: tag.Signature}, signed, entry)
}

// attestationLayer is the envelope that the bundle has. Its entry in the v1 log
// is made of the envelope's text.
func (s *Service) attestationLayer(ctx context.Context, in Intent, signed Signed, made []attest.LogEntry) (tagged, error) {
	envelope, err := attest.Envelope(attest.PayloadType, in.Statement, signed.Signature)
	if err != nil {
		return tagged{}, err
	}
	entry, found := s.tagEntry(made)
	if !found {
		if entry, err = s.cfg.Tags.Log.Append(ctx, signed.entry(in)); err != nil {
			return tagged{}, fmt.Errorf("log attestation for the tag: %w", err)
		}
		whole, err := bundleOf(in, signed, entry).Encode()
		if err != nil {
			return tagged{}, err
		}
		if err := s.cfg.Verifier.Check(ctx, whole, signed.claim(in)); err != nil {
			return tagged{}, fmt.Errorf("the finished attestation for the tag does not verify, nothing was attached: %w", err)
		}
	}
	if err := entryIsOf(entry, envelope); err != nil {
		return tagged{}, err
	}
	return tagOf(oci.TagLayer{Bytes: envelope, PredicateType: in.PredicateType}, signed, entry)
}

// tagEntry is the entry that a signature has in the tags' log already.
func (s *Service) tagEntry(made []attest.LogEntry) (attest.LogEntry, bool) {
	for i, log := range s.cfg.Logs {
		if i < len(made) && log == Log(s.cfg.Tags.Log) {
			return made[i], true
		}
	}
	return attest.LogEntry{}, false
}

// entryIsOf holds an entry against the text of its envelope: cosign compares
// their hash, which no verifier of bundles does.
func entryIsOf(entry attest.LogEntry, envelope []byte) error {
	var body struct {
		Spec struct {
			EnvelopeHash struct {
				Value string `json:"value"`
			} `json:"envelopeHash"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(entry.CanonicalizedBody, &body); err != nil {
		return fmt.Errorf("log entry for the tag: %w", err)
	}
	if sum := sha256.Sum256(envelope); body.Spec.EnvelopeHash.Value != hex.EncodeToString(sum[:]) {
		return errors.New("log entry for the tag is of another spelling of the envelope")
	}
	return nil
}

// tagOf puts what proves a layer beside it.
func tagOf(layer oci.TagLayer, signed Signed, entry attest.LogEntry) (tagged, error) {
	if len(entry.SignedEntryTimestamp) == 0 {
		return tagged{}, errors.New("log entry for the tag has no signed promise (hint: legacy tags need a v1 log)")
	}
	if signed.Certificate != nil {
		layer.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed.Certificate})
		var chain bytes.Buffer
		for _, der := range signed.Tag.Chain {
			if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
				return tagged{}, err
			}
		}
		layer.Chain = chain.Bytes()
	}
	layer.Timestamp, layer.Entry = signed.Tag.Timestamp, entry
	return tagged{layer: layer, entry: entry}, nil
}

// attachTag writes an intent's layers under its tag and reads them back.
func (s *Service) attachTag(ctx context.Context, in Intent, layers []tagged) ([]AttachedTag, error) {
	if len(layers) == 0 {
		return nil, nil
	}
	kind := oci.SignatureTag
	if in.Action == ActionAttest {
		kind = oci.AttestationTag
	}
	all := make([]oci.TagLayer, len(layers))
	for i := range layers {
		all[i] = layers[i].layer
	}
	written, err := s.cfg.Tags.Registry.AttachLayers(ctx, in.Artifact, kind, all)
	if err != nil {
		return nil, err
	}
	attached := make([]AttachedTag, len(layers))
	for i, l := range layers {
		attached[i] = AttachedTag{
			Tag: written.Tag, Manifest: written.Digest, Layer: attest.DigestOf(l.layer.Bytes),
			LogIndex: l.entry.LogIndex, LogID: hex.EncodeToString(l.entry.LogID),
		}
	}
	return attached, nil
}
