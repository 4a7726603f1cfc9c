// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Invalid says that a request is no entry: malformed, of an algorithm that
// verifiers would not accept, or with a signature that does not verify.
type Invalid struct{ err error }

// Error implements error.
func (e *Invalid) Error() string { return "invalid hashedrekord: " + e.err.Error() }

// Unwrap returns the cause.
func (e *Invalid) Unwrap() error { return e.err }

// acceptedKeys are the kinds of keys whose signatures can be logged. Each is the
// default of its key type: verifiers rebuild an entry with the default, so that
// an entry of any other, such as P-384 with SHA-256, could be logged but never
// verified. Pure Ed25519 signs a message, not a digest, so it is not among
// them.
func acceptedKeys() []commonv1.PublicKeyDetails {
	return []commonv1.PublicKeyDetails{
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
		commonv1.PublicKeyDetails_PKIX_ED25519_PH,
	}
}

// keyDetails returns what an entry of a key has to say.
func keyDetails(key crypto.PublicKey) (commonv1.PublicKeyDetails, error) {
	return signature.GetDefaultPublicKeyDetails(key, options.WithED25519ph())
}

// entry is a verified request. cert is nil if it holds a bare key.
type entry struct {
	record *pb.HashedRekordLogEntryV002
	leaf   []byte // of record
	cert   *x509.Certificate
}

// certificateVerifier is what verifies an entry with a DER certificate.
func certificateVerifier(der []byte, details commonv1.PublicKeyDetails) *pb.Verifier {
	return &pb.Verifier{
		Verifier:   &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: der}},
		KeyDetails: details,
	}
}

// check verifies a request and returns its leaf. Its errors are *Invalid.
func (s *Service) check(req *pb.HashedRekordRequestV002) (entry, error) {
	verifier := req.GetSignature().GetVerifier()
	var e entry
	var key crypto.PublicKey
	var err error
	if der := verifier.GetX509Certificate().GetRawBytes(); der != nil {
		if e.cert, err = x509.ParseCertificate(der); err == nil {
			key = e.cert.PublicKey
		}
	} else {
		key, err = x509.ParsePKIXPublicKey(verifier.GetPublicKey().GetRawBytes())
	}
	if err != nil {
		return entry{}, &Invalid{err: fmt.Errorf("parse verifier: %w", err)}
	}
	details, err := keyDetails(key)
	if err != nil {
		return entry{}, &Invalid{err: err}
	}
	if details != verifier.GetKeyDetails() {
		return entry{}, &Invalid{err: fmt.Errorf("key details %s are not this key's default, %s", verifier.GetKeyDetails(), details)}
	}
	verified, err := hashedrekord.ToLogEntry(req, s.algorithms)
	if err != nil {
		return entry{}, &Invalid{err: err}
	}
	record := verified.GetSpec().GetHashedRekordV002()
	if record == nil {
		return entry{}, &Invalid{err: errors.New("not a hashedrekord")}
	}
	e.record, e.leaf = record, canonicalLeaf(record)
	return e, nil
}

// canonicalLeaf writes the RFC 8785 form of the entry: members sorted, no white
// space. No string in it needs an escape: they are base64 and names of enum
// values. It equals what protojson and a general canonicalizer make of it, at a
// fiftieth of the cost; FuzzCanonicalLeaf holds them side by side.
func canonicalLeaf(record *pb.HashedRekordLogEntryV002) []byte {
	var (
		data     = record.GetData()
		sig      = record.GetSignature()
		verifier = sig.GetVerifier()
		field    = `"publicKey"`
		raw      = verifier.GetPublicKey().GetRawBytes()
	)
	if cert := verifier.GetX509Certificate(); cert != nil {
		field, raw = `"x509Certificate"`, cert.GetRawBytes()
	}
	const frame = 320 // what is not base64
	b64 := base64.StdEncoding
	b := make([]byte, 0, frame+b64.EncodedLen(len(data.GetDigest())+len(sig.GetContent())+len(raw)+6))
	b = append(b, `{"apiVersion":"`+Version+`","kind":"`+Kind+`","spec":{"hashedRekordV002":{"data":{"algorithm":"`...)
	b = append(b, data.GetAlgorithm().String()...)
	b = append(b, `","digest":"`...)
	b = b64.AppendEncode(b, data.GetDigest())
	b = append(b, `"},"signature":{"content":"`...)
	b = b64.AppendEncode(b, sig.GetContent())
	b = append(b, `","verifier":{"keyDetails":"`...)
	b = append(b, verifier.GetKeyDetails().String()...)
	b = append(b, `",`+field+`:{"rawBytes":"`...)
	b = b64.AppendEncode(b, raw)
	return append(b, `"}}}}}}`...)
}
