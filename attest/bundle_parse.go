// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// bundleMembers are all member names of the bundles that are read. A bundle
// has no free-form part, and no two names differ in case only; so a name from
// this list that encoding/json accepts for a field is that field's exact name.
var bundleMembers = func() map[string]bool {
	names := strings.Fields(`mediaType verificationMaterial dsseEnvelope
		certificate rawBytes publicKey hint tlogEntries timestampVerificationData rfc3161Timestamps signedTimestamp
		logIndex logId keyId kindVersion kind version integratedTime inclusionPromise signedEntryTimestamp
		inclusionProof rootHash treeSize hashes checkpoint envelope canonicalizedBody
		payload payloadType signatures sig keyid`)
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}()

// ParseBundle reads a bundle of media type BundleMediaType that has a DSSE
// envelope with one signature over an in-toto statement, one log entry with
// inclusion proof, at most one timestamp, and a certificate or a key hint.
// Bundles of other shapes (message signatures, certificate chains, several
// entries, older versions) exist; they are refused, by name.
//
// It is as strict as CheckJSON and refuses unknown members. Base64 may be
// standard or URL-safe, as protobuf's JSON mapping allows. Nothing that is
// returned has been verified. Errors are ErrBundle or ErrTooLarge.
func ParseBundle(b []byte) (Bundle, error) {
	var foreign error
	err := checkJSON(b, MaxDepth, MaxBundleBytes, func(path jsonPath, name []byte) error {
		if bundleMembers[string(name)] {
			return nil
		}
		foreign = fmt.Errorf("%w: %s: member %s is not read (hint: bundle v0.3, DSSE envelope, one certificate)", ErrBundle, path, quote(string(name)))
		return foreign
	})
	if foreign != nil {
		return Bundle{}, foreign
	}
	if err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	var wire bundleJSON
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&wire); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	bundle, err := wire.bundle()
	if err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if err := bundle.check(); err != nil {
		return Bundle{}, err
	}
	return bundle, nil
}

func (w bundleJSON) bundle() (Bundle, error) {
	if w.MediaType != BundleMediaType {
		return Bundle{}, fmt.Errorf("media type %s, not %s", quote(w.MediaType), BundleMediaType)
	}
	if w.DSSEEnvelope.PayloadType != PayloadType {
		return Bundle{}, fmt.Errorf("payload type %s, not %s", quote(w.DSSEEnvelope.PayloadType), PayloadType)
	}
	if n := len(w.DSSEEnvelope.Signatures); n != 1 {
		return Bundle{}, fmt.Errorf("%d signatures, not one", n)
	}
	if n := len(w.Material.TlogEntries); n != 1 {
		return Bundle{}, fmt.Errorf("%d log entries, not one", n)
	}
	var d decoder
	b := Bundle{
		Payload:   d.bytes("payload", w.DSSEEnvelope.Payload),
		Signature: d.bytes("signature", w.DSSEEnvelope.Signatures[0].Sig),
		Entry:     w.Material.TlogEntries[0].entry(&d),
	}
	if c := w.Material.Certificate; c != nil {
		b.Certificate = d.bytes("certificate", c.RawBytes)
	}
	if k := w.Material.PublicKey; k != nil {
		if b.KeyHint = k.Hint; b.KeyHint == "" {
			return Bundle{}, fmt.Errorf("public key without a hint")
		}
	}
	if t := w.Material.Timestamps; t != nil && len(t.RFC3161) > 0 {
		if n := len(t.RFC3161); n != 1 {
			return Bundle{}, fmt.Errorf("%d timestamps, not one", n)
		}
		b.Timestamp = d.bytes("timestamp", t.RFC3161[0].Signed)
	}
	return b, d.err
}

func (w entryJSON) entry(d *decoder) LogEntry {
	if w.InclusionProof == nil {
		d.fail(fmt.Errorf("log entry without inclusion proof"))
		return LogEntry{}
	}
	e := LogEntry{
		LogIndex:          d.int64("log index", w.LogIndex),
		LogID:             d.bytes("log id", w.LogID.KeyID),
		Kind:              w.KindVersion.Kind,
		Version:           w.KindVersion.Version,
		TreeSize:          d.int64("tree size", w.InclusionProof.TreeSize),
		ProofIndex:        d.int64("proof index", w.InclusionProof.LogIndex),
		RootHash:          d.bytes("root hash", w.InclusionProof.RootHash),
		Checkpoint:        w.InclusionProof.Checkpoint.Envelope,
		CanonicalizedBody: d.bytes("entry body", w.CanonicalizedBody),
		IntegratedTime:    d.int64("integrated time", w.IntegratedTime),
	}
	if p := w.InclusionPromise; p != nil {
		e.SignedEntryTimestamp = d.bytes("signed entry timestamp", p.SET)
	}
	for _, h := range w.InclusionProof.Hashes {
		e.Hashes = append(e.Hashes, d.bytes("proof hash", h))
	}
	return e
}

// decoder decodes members and keeps the first error.
type decoder struct{ err error }

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// bytes decodes base64, standard or URL-safe, padded or not. Spellings with
// line breaks or with bits that no byte uses are refused. The result is never
// empty: where a bundle has bytes, they mean something.
func (d *decoder) bytes(what, s string) []byte {
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(s, "-_") {
		encoding = base64.RawURLEncoding
	}
	trimmed := s
	if len(s)%4 == 0 {
		trimmed = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	b, err := encoding.Strict().DecodeString(trimmed)
	if err != nil || len(b) == 0 || strings.ContainsAny(s, "\r\n") {
		d.fail(fmt.Errorf("%s is not base64", what))
		return nil
	}
	return b
}

// int64 decodes a decimal string; an absent member is 0, as protobuf's JSON
// mapping leaves zeros out.
func (d *decoder) int64(what, s string) int64 {
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		d.fail(fmt.Errorf("%s is %s, not a decimal number", what, quote(s)))
	}
	return n
}
