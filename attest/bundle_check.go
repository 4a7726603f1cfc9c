// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

const (
	// maxSignature bounds a signature in bytes; RSA-8192 has 1 KiB.
	maxSignature = 4 << 10
	// maxKeyHint bounds a key hint; base64 of a SHA-256 has 44 bytes.
	maxKeyHint = 512
	// maxCertificate bounds a DER leaf; Fulcio's have about 1 KiB.
	maxCertificate = 64 << 10
	// maxTimestamp bounds a TimeStampResp, which may carry a chain.
	maxTimestamp = 64 << 10
	// maxLogID bounds a log's key id; SHA-256 has 32 bytes.
	maxLogID = 64
	// maxKind bounds an entry's kind and version.
	maxKind = 64
	// maxProofHashes is the depth of the largest tree an int64 can count.
	maxProofHashes = 64
	// maxCheckpoint bounds a signed note: a few witness lines of some 100 bytes.
	maxCheckpoint = 64 << 10
	// maxEntryBody is what a Rekor v2 log accepts.
	maxEntryBody = 4 << 20
)

// check holds for every bundle that is written or read. It looks at form only:
// whether signatures, proofs and certificates are right is for a verifier with
// a trusted root.
func (b Bundle) check() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrBundle, fmt.Sprintf(format, args...))
	}
	switch {
	case len(b.Payload) == 0:
		return fail("no payload")
	case len(b.Payload) > MaxStatementBytes:
		return fmt.Errorf("%w: payload of %d bytes, the limit is %d", ErrTooLarge, len(b.Payload), MaxStatementBytes)
	case len(b.Signature) == 0 || len(b.Signature) > maxSignature:
		return fail("signature of %d bytes, not 1 to %d", len(b.Signature), maxSignature)
	case (b.Certificate == nil) == (b.KeyHint == ""):
		return fail("it needs a certificate or a key hint, and not both")
	case len(b.KeyHint) > maxKeyHint || !utf8.ValidString(b.KeyHint):
		return fail("key hint is not a short text")
	case len(b.Certificate) > maxCertificate:
		return fail("certificate of %d bytes, the limit is %d", len(b.Certificate), maxCertificate)
	}
	if b.Certificate != nil {
		if _, err := x509.ParseCertificate(b.Certificate); err != nil {
			return fail("certificate is not one DER certificate: %v", err)
		}
	}
	if b.Timestamp != nil && !isTimeStampResp(b.Timestamp) {
		return fail("timestamp is not a complete RFC 3161 TimeStampResp in DER")
	}
	if err := b.Entry.check(); err != nil {
		return fail("log entry: %v", err)
	}
	return nil
}

func (e LogEntry) check() error {
	switch {
	case len(e.LogID) == 0 || len(e.LogID) > maxLogID:
		return fmt.Errorf("log id of %d bytes, not 1 to %d", len(e.LogID), maxLogID)
	case e.LogIndex < 0:
		return fmt.Errorf("log index %d is negative", e.LogIndex)
	case e.ProofIndex < 0 || e.ProofIndex >= e.TreeSize:
		return fmt.Errorf("index %d is not in a tree of %d", e.ProofIndex, e.TreeSize)
	case len(e.RootHash) != sha256.Size:
		return fmt.Errorf("root hash of %d bytes, not %d", len(e.RootHash), sha256.Size)
	case len(e.Hashes) > maxProofHashes:
		return fmt.Errorf("proof of %d hashes, the limit is %d", len(e.Hashes), maxProofHashes)
	case e.Checkpoint == "" || len(e.Checkpoint) > maxCheckpoint || !utf8.ValidString(e.Checkpoint):
		return fmt.Errorf("checkpoint is not a text of 1 to %d bytes", maxCheckpoint)
	case e.IntegratedTime < 0 || (e.IntegratedTime == 0) != (len(e.SignedEntryTimestamp) == 0):
		return fmt.Errorf("integrated time and signed entry timestamp belong together: one is nothing without the other")
	case len(e.SignedEntryTimestamp) > maxSignature:
		return fmt.Errorf("signed entry timestamp of %d bytes, the limit is %d", len(e.SignedEntryTimestamp), maxSignature)
	}
	for i, h := range e.Hashes {
		if len(h) != sha256.Size {
			return fmt.Errorf("proof hash %d has %d bytes, not %d", i, len(h), sha256.Size)
		}
	}
	return e.checkBody()
}

// checkBody compares the entry with the kind it is said to be of: sigstore-go
// takes the bundle's word for it.
func (e LogEntry) checkBody() error {
	if e.Kind == "" || len(e.Kind) > maxKind || e.Version == "" || len(e.Version) > maxKind {
		return fmt.Errorf("kind %s version %s is not a kind of entry", quote(e.Kind), quote(e.Version))
	}
	if err := CheckJSON(e.CanonicalizedBody, MaxDepth, maxEntryBody); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	var body struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(e.CanonicalizedBody, &body); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if body.Kind != e.Kind || body.APIVersion != e.Version {
		return fmt.Errorf("body is %s %s, not %s %s", quote(body.Kind), quote(body.APIVersion), quote(e.Kind), quote(e.Version))
	}
	return nil
}

// isTimeStampResp tells whether b is a single DER SEQUENCE that starts with a
// SEQUENCE, as PKIStatusInfo does. A bare token, the usual mistake, starts
// with an object identifier.
func isTimeStampResp(b []byte) bool {
	if len(b) > maxTimestamp {
		return false
	}
	var resp, status asn1.RawValue
	if rest, err := asn1.Unmarshal(b, &resp); err != nil || len(rest) > 0 || !isSequence(resp) {
		return false
	}
	_, err := asn1.Unmarshal(resp.Bytes, &status)
	return err == nil && isSequence(status)
}

func isSequence(v asn1.RawValue) bool {
	return v.Class == asn1.ClassUniversal && v.Tag == asn1.TagSequence && v.IsCompound
}
