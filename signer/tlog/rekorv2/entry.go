// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// Invalid says that a request is no entry: malformed, of an algorithm that
// verifiers would not accept, or with a signature that does not verify.
type Invalid struct {
	kind string // of request, "" means hashedrekord
	err  error
}

// Error implements error.
func (e *Invalid) Error() string { return e.message() + ": " + e.err.Error() }

// message is what rekor-tiles answers. It keeps the cause to itself, and
// clients match the text.
func (e *Invalid) message() string {
	if e.kind == "" {
		return "invalid hashedrekord request"
	}
	return "invalid " + e.kind + " request"
}

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

// hashOf returns the hash that signatures of a kind of key are made over; zero
// if they are made over the message itself.
func hashOf(details commonv1.PublicKeyDetails) (crypto.Hash, error) {
	algorithm, err := signature.GetAlgorithmDetails(details)
	return algorithm.GetHashType(), err
}

// entry is a verified request.
type entry struct {
	record *pb.HashedRekordLogEntryV002
	leaf   []byte // of record
	claim  writers.Claim
	// about are index keys of what was signed.
	about []string
}

// indexed is the leaf with all that it is found by.
func (e entry) indexed(extra []string) tlog.Leaf {
	var signer []string
	if e.claim.Certificate != nil {
		signer = index.OfCertificate(e.claim.Certificate)
	} else if key, err := index.PublicKey(e.claim.PublicKey); err == nil {
		signer = []string{key}
	}
	return tlog.Leaf{Body: e.leaf, Keys: index.Collect(e.about[:1], signer, e.about[1:], extra)}
}

// spelled is the leaf of another spelling of the entry.
func (e entry) spelled(s writers.Spelling) []byte {
	verifier := e.record.GetSignature().GetVerifier()
	if s.Certificate != nil {
		verifier = certificateVerifier(s.Certificate, verifier.GetKeyDetails())
	}
	return canonicalLeaf(&pb.HashedRekordLogEntryV002{
		Data:      e.record.GetData(),
		Signature: &pb.Signature{Content: s.Signature, Verifier: verifier},
	})
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
	claim, err := claimOf(verifier)
	if err != nil {
		return entry{}, &Invalid{err: fmt.Errorf("parse verifier: %w", err)}
	}
	details, err := keyDetails(claim.PublicKey)
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
	hash, err := hashOf(details)
	if err != nil {
		return entry{}, &Invalid{err: err}
	}
	return entry{
		record: record, leaf: canonicalLeaf(record), claim: claim,
		about: []string{index.HashOf(hash, req.GetDigest())},
	}, nil
}

// claimOf parses a verifier.
func claimOf(verifier *pb.Verifier) (writers.Claim, error) {
	der := verifier.GetX509Certificate().GetRawBytes()
	if der == nil {
		key, err := x509.ParsePKIXPublicKey(verifier.GetPublicKey().GetRawBytes())
		return writers.Claim{PublicKey: key}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return writers.Claim{}, err
	}
	return writers.Claim{Certificate: cert, PublicKey: cert.PublicKey}, nil
}
