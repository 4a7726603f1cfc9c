// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
)

// Bounds of a bundle. Reaching one is a refusal that names it; nothing is ever cut off and judged by its first half.
const (
	// MaxBundleBytes holds a bundle with the largest SBOM that signers write (16 MiB is GitHub's limit) in base64.
	MaxBundleBytes = 32 << 20
	// maxEntries and maxTimestamps: one is normal, two while logs or authorities rotate. Every one costs signature checks.
	maxEntries    = 8
	maxTimestamps = 8
	// maxProofHashes is the depth of a tree with 2^63 leaves.
	maxProofHashes = 63
	// maxPart bounds certificate, signature, log body, checkpoint and timestamp. A log entry has at most 65,535 bytes; a
	// certificate with every Fulcio extension has about 2 KiB.
	maxPart = 64 << 10
	// maxHint bounds the name of a key, which is repeated in messages; base64 of a SHA-256 has 44 bytes.
	maxHint = 512
)

// evidence is a bundle taken apart. Everything in it comes from one parse of one buffer, so that what is reported later is what was
// verified; the buffer is never looked at again.
type evidence struct {
	bundle    *bundle.Bundle
	leaf      *x509.Certificate // our own copy: sigstore-go changes the one it verifies; nil in key mode
	key       *Key              // key mode: the key that is demanded, not one that the bundle names
	signature []byte
	entries   []*tlog.Entry
	tokens    int // number of RFC 3161 tokens

	// Either a DSSE payload and the statement it is, which readStatement reads, or a signature over the artifact itself.
	payload   []byte
	statement attest.Statement
	message   *messageDigest
}

// messageDigest is what a message signature claims to cover. It is a hint until compared with the artifact.
type messageDigest struct {
	algorithm string // Sigstore's HashAlgorithm, e.g. "SHA2_256"
	digest    []byte
}

// readBundle parses strictly: no repeated members (in either of protobuf's two spellings), no unknown or case-variant members, no trailing
// bytes, valid UTF-8, everything within bounds. protojson sees to the form. It verifies nothing, and leaves the signed payload inside to
// readStatement.
//
// With a key it reads only bundles in key mode, without one only those with a certificate.
func readBundle(b []byte, key *Key) (*evidence, error) {
	if len(b) > MaxBundleBytes {
		return nil, refuse(ReasonTooLarge, "bundle is larger than %d bytes", MaxBundleBytes)
	}
	if err := checkShape(b); err != nil {
		return nil, err
	}
	var pb protobundle.Bundle
	if err := protojson.Unmarshal(b, &pb); err != nil {
		return nil, refuse(ReasonMalformed, "not a bundle: %w", err)
	}
	if err := checkBounds(&pb); err != nil {
		return nil, err
	}
	material := pb.GetVerificationMaterial()
	if key == nil && material.GetPublicKey() != nil {
		return nil, refuse(ReasonKeyMode, "signed with a long-lived key (hint %q); only signatures with a certificate can be verified against identities", material.GetPublicKey().GetHint())
	}
	if key != nil && (material.GetCertificate() != nil || material.GetX509CertificateChain() != nil) {
		return nil, refuse(ReasonKeyMode, "signed with a certificate, not with a long-lived key (hint: verify it against the identity that signed)")
	}
	parsed, err := bundle.NewBundle(&pb)
	if err != nil {
		return nil, refuse(ReasonMalformed, "not a bundle that can be verified: %w", err)
	}
	e := &evidence{bundle: parsed, key: key, tokens: len(material.GetTimestampVerificationData().GetRfc3161Timestamps())}
	if e.entries, err = parsed.TlogEntries(); err != nil {
		return nil, refuse(ReasonMalformed, "log entry: %w", err)
	}
	if len(e.entries) == 0 {
		return nil, refuse(ReasonLogEntry, "is in no transparency log")
	}
	if key != nil {
		return e, e.readContent(&pb)
	}
	der := material.GetCertificate().GetRawBytes()
	if chain := material.GetX509CertificateChain().GetCertificates(); len(chain) > 0 { // bundles before v0.3
		der = chain[0].GetRawBytes()
	}
	if e.leaf, err = x509.ParseCertificate(der); err != nil {
		return nil, refuse(ReasonMalformed, "certificate: %w", err)
	}
	return e, e.readContent(&pb)
}

// readContent takes the signed content: the payload of a DSSE envelope, or the digest of a message.
func (e *evidence) readContent(pb *protobundle.Bundle) error {
	if message := pb.GetMessageSignature(); message != nil {
		e.signature = message.GetSignature()
		e.message = &messageDigest{algorithm: message.GetMessageDigest().GetAlgorithm().String(), digest: message.GetMessageDigest().GetDigest()}
		return nil
	}
	envelope := pb.GetDsseEnvelope()
	if envelope.GetPayloadType() != attest.PayloadType {
		return refuse(ReasonStatement, "payload type is %q, not %q", envelope.GetPayloadType(), attest.PayloadType)
	}
	if n := len(envelope.GetSignatures()); n != 1 {
		return refuse(ReasonMalformed, "envelope has %d signatures, must have exactly one", n)
	}
	e.signature, e.payload = envelope.GetSignatures()[0].GetSig(), envelope.GetPayload()
	return nil
}

// readStatement parses the payload, if there is one, as strictly as attest does. It walks all of it: have a signature first.
func (e *evidence) readStatement() error {
	if e.message != nil {
		return nil
	}
	var err error
	if e.statement, err = attest.ParseStatement(e.payload); err != nil {
		return refuse(ReasonStatement, "signed payload is not an in-toto statement: %w", err)
	}
	return nil
}

// bound is a size or count and the most of it that is read.
type bound struct {
	what       string
	have, most int
}

// checkBounds looks at sizes and counts before anything is decoded further.
func checkBounds(pb *protobundle.Bundle) error {
	material := pb.GetVerificationMaterial()
	timestamps := material.GetTimestampVerificationData().GetRfc3161Timestamps()
	bounds := []bound{
		{"log entries", len(material.GetTlogEntries()), maxEntries},
		{"timestamps", len(timestamps), maxTimestamps},
		{"certificates", len(material.GetX509CertificateChain().GetCertificates()), maxEntries},
		{"bytes of certificate", len(material.GetCertificate().GetRawBytes()), maxPart},
		{"bytes of key hint", len(material.GetPublicKey().GetHint()), maxHint},
		{"bytes of signature", len(pb.GetMessageSignature().GetSignature()), maxPart},
	}
	for _, c := range material.GetX509CertificateChain().GetCertificates() {
		bounds = append(bounds, bound{"bytes of certificate", len(c.GetRawBytes()), maxPart})
	}
	for _, s := range pb.GetDsseEnvelope().GetSignatures() {
		bounds = append(bounds, bound{"bytes of signature", len(s.GetSig()), maxPart})
	}
	for _, t := range timestamps {
		bounds = append(bounds, bound{"bytes of timestamp", len(t.GetSignedTimestamp()), maxPart})
	}
	for _, l := range material.GetTlogEntries() {
		bounds = append(bounds,
			bound{"bytes of log entry", len(l.GetCanonicalizedBody()), maxPart},
			bound{"bytes of checkpoint", len(l.GetInclusionProof().GetCheckpoint().GetEnvelope()), maxPart},
			bound{"hashes of an inclusion proof", len(l.GetInclusionProof().GetHashes()), maxProofHashes})
	}
	for _, b := range bounds {
		if b.have > b.most {
			return refuse(ReasonTooLarge, "%d %s, at most %d are read", b.have, b.what, b.most)
		}
	}
	return nil
}
