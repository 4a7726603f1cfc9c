// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
)

// LogEntry is one transparency log entry with its inclusion proof, as a bundle
// carries it. Two kinds exist in the field:
//
//   - Rekor v2 (hashedrekord 0.0.2): no IntegratedTime and no
//     SignedEntryTimestamp; the time of the signature is the RFC 3161
//     timestamp's.
//   - Rekor v1 (dsse 0.0.1, hashedrekord 0.0.1): usually with both, the log's
//     signed promise.
type LogEntry struct {
	// LogIndex is the index in the whole log, ProofIndex the one in the tree
	// that the proof is about. They differ in sharded v1 logs only.
	LogIndex int64
	// LogID names the log's key: SHA-256 of its SPKI, or the 4-byte key id of
	// a signed note.
	LogID         []byte
	Kind, Version string
	// IntegratedTime is in Unix seconds; it and SignedEntryTimestamp are both
	// set or both absent.
	IntegratedTime       int64
	SignedEntryTimestamp []byte

	TreeSize   int64
	ProofIndex int64
	RootHash   []byte   // 32 bytes
	Hashes     [][]byte // 32 bytes each, leaf to root
	Checkpoint string   // signed note
	// CanonicalizedBody is the entry itself, JSON.
	CanonicalizedBody []byte
}

// Bundle is a signed statement with its proof: Sigstore bundle v0.3 with a
// DSSE envelope, exactly one log entry and at most one timestamp.
type Bundle struct {
	Payload   []byte // statement bytes
	Signature []byte // over PAE(PayloadType, Payload)
	// Certificate is the DER leaf, without a chain: intermediates belong into
	// the trusted root. In key mode it is nil and KeyHint says which key, by
	// custom base64 of the SHA-256 of its SPKI.
	Certificate []byte
	KeyHint     string
	Entry       LogEntry
	// Timestamp is a complete RFC 3161 TimeStampResp (DER) over the SHA-256 of
	// Signature, or nil.
	Timestamp []byte
}

// The JSON form, protobuf's JSON mapping of
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto:
// bytes are base64, int64 are strings. Field order is the order written.
type (
	bundleJSON struct {
		MediaType    string       `json:"mediaType"`
		Material     materialJSON `json:"verificationMaterial"`
		DSSEEnvelope envelopeJSON `json:"dsseEnvelope"`
	}
	materialJSON struct {
		Certificate *certificateJSON `json:"certificate,omitempty"`
		PublicKey   *publicKeyJSON   `json:"publicKey,omitempty"`
		TlogEntries []entryJSON      `json:"tlogEntries"`
		Timestamps  *timestampsJSON  `json:"timestampVerificationData,omitempty"`
	}
	certificateJSON struct {
		RawBytes string `json:"rawBytes"`
	}
	publicKeyJSON struct {
		Hint string `json:"hint"`
	}
	timestampsJSON struct {
		RFC3161 []timestampJSON `json:"rfc3161Timestamps"`
	}
	timestampJSON struct {
		Signed string `json:"signedTimestamp"`
	}
	entryJSON struct {
		LogIndex string `json:"logIndex"`
		LogID    struct {
			KeyID string `json:"keyId"`
		} `json:"logId"`
		KindVersion struct {
			Kind    string `json:"kind"`
			Version string `json:"version"`
		} `json:"kindVersion"`
		IntegratedTime    string       `json:"integratedTime,omitempty"`
		InclusionPromise  *promiseJSON `json:"inclusionPromise,omitempty"`
		InclusionProof    *proofJSON   `json:"inclusionProof"`
		CanonicalizedBody string       `json:"canonicalizedBody"`
	}
	promiseJSON struct {
		SET string `json:"signedEntryTimestamp"`
	}
	proofJSON struct {
		LogIndex   string   `json:"logIndex"`
		RootHash   string   `json:"rootHash"`
		TreeSize   string   `json:"treeSize"`
		Hashes     []string `json:"hashes"`
		Checkpoint struct {
			Envelope string `json:"envelope"`
		} `json:"checkpoint"`
	}
	envelopeJSON struct {
		Payload     string          `json:"payload"`
		PayloadType string          `json:"payloadType"`
		Signatures  []signatureJSON `json:"signatures"`
	}
	signatureJSON struct {
		Sig   string  `json:"sig"`
		KeyID *string `json:"keyid,omitempty"` // read, never written: it is not signed
	}
)

// Encode returns the bundle's JSON. Equal bundles give equal bytes (protojson
// adds white space at random, so it is not used). What Encode accepts loads in
// sigstore-go's bundle package. Errors are ErrBundle or ErrTooLarge.
func (b Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	wire := bundleJSON{
		MediaType: BundleMediaType,
		Material:  b.material(),
		DSSEEnvelope: envelopeJSON{
			Payload:     encode64(b.Payload),
			PayloadType: PayloadType,
			Signatures:  []signatureJSON{{Sig: encode64(b.Signature)}},
		},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wire); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	encoded := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(encoded) > MaxBundleBytes {
		return nil, fmt.Errorf("%w: bundle of %d bytes, the limit is %d", ErrTooLarge, len(encoded), MaxBundleBytes)
	}
	return encoded, nil
}

// material is everything but what is signed.
func (b Bundle) material() materialJSON {
	wire := materialJSON{TlogEntries: []entryJSON{b.Entry.wire()}}
	if b.Certificate != nil {
		wire.Certificate = &certificateJSON{RawBytes: encode64(b.Certificate)}
	} else {
		wire.PublicKey = &publicKeyJSON{Hint: b.KeyHint}
	}
	if b.Timestamp != nil {
		wire.Timestamps = &timestampsJSON{RFC3161: []timestampJSON{{Signed: encode64(b.Timestamp)}}}
	}
	return wire
}

func (e LogEntry) wire() entryJSON {
	var wire entryJSON
	wire.LogIndex = strconv.FormatInt(e.LogIndex, 10)
	wire.LogID.KeyID = encode64(e.LogID)
	wire.KindVersion.Kind, wire.KindVersion.Version = e.Kind, e.Version
	if len(e.SignedEntryTimestamp) > 0 {
		wire.IntegratedTime = strconv.FormatInt(e.IntegratedTime, 10)
		wire.InclusionPromise = &promiseJSON{SET: encode64(e.SignedEntryTimestamp)}
	}
	proof := proofJSON{
		LogIndex: strconv.FormatInt(e.ProofIndex, 10),
		RootHash: encode64(e.RootHash),
		TreeSize: strconv.FormatInt(e.TreeSize, 10),
		Hashes:   make([]string, len(e.Hashes)),
	}
	for i, h := range e.Hashes {
		proof.Hashes[i] = encode64(h)
	}
	proof.Checkpoint.Envelope = e.Checkpoint
	wire.InclusionProof = &proof
	wire.CanonicalizedBody = encode64(e.CanonicalizedBody)
	return wire
}

func encode64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
