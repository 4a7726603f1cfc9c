// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
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

// keyDetails returns what an entry of a key has to say, or that the key is none
// whose signatures can be logged: RSA of 2048, 3072 or 4096 bits (PKCS #1 v1.5),
// ECDSA on P-256, P-384 and P-521, and Ed25519ph. These are the defaults of
// their keys: verifiers rebuild an entry with the default, so that an entry of
// any other, such as P-384 with SHA-256, could be logged but never verified.
// Pure Ed25519 signs a message, not a digest.
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

// check verifies a request and returns its leaf. Its errors are *Invalid. What
// it accepts, rekor-tiles' hashedrekord.ToLogEntry accepts, and the other way
// round, but for keys whose details are not the default: FuzzCheck holds them
// side by side. That function parses all a second time, so it is not called.
func check(req *pb.HashedRekordRequestV002) (entry, error) {
	sig := req.GetSignature()
	claim, err := claimOf(sig.GetVerifier())
	if err != nil {
		return entry{}, &Invalid{err: fmt.Errorf("parse verifier: %w", err)}
	}
	details, err := keyDetails(claim.PublicKey)
	if err != nil {
		return entry{}, &Invalid{err: err}
	}
	if said := sig.GetVerifier().GetKeyDetails(); said != details {
		return entry{}, &Invalid{err: fmt.Errorf("key details %s are not this key's default, %s", said, details)}
	}
	algorithm, err := signature.GetAlgorithmDetails(details)
	if err != nil {
		return entry{}, &Invalid{err: err}
	}
	if err := verify(claim.PublicKey, algorithm.GetHashType(), req.GetDigest(), sig.GetContent()); err != nil {
		return entry{}, &Invalid{err: err}
	}
	record := &pb.HashedRekordLogEntryV002{
		Signature: sig,
		Data:      &commonv1.HashOutput{Digest: req.GetDigest(), Algorithm: algorithm.GetProtoHashType()},
	}
	return entry{
		record: record, leaf: canonicalLeaf(record), claim: claim,
		about: []string{index.HashOf(algorithm.GetHashType(), req.GetDigest())},
	}, nil
}

// verify checks a signature of a digest.
func verify(key crypto.PublicKey, hash crypto.Hash, digest, sig []byte) error {
	switch {
	case len(sig) == 0:
		return errors.New("no signature")
	case len(digest) != hash.Size():
		return fmt.Errorf("a digest of %d bytes, not %d", len(digest), hash.Size())
	}
	verifier, err := signature.LoadVerifierWithOpts(key, options.WithED25519ph())
	if err != nil {
		return fmt.Errorf("load verifier: %w", err)
	}
	err = verifier.VerifySignature(bytes.NewReader(sig), nil, options.WithDigest(digest), options.WithCryptoSignerOpts(hash))
	if err != nil {
		return fmt.Errorf("verify signature: %w", err)
	}
	return nil
}

// claimOf parses a verifier.
func claimOf(verifier *pb.Verifier) (writers.Claim, error) {
	der := verifier.GetX509Certificate().GetRawBytes()
	if len(der) > tlog.MaxLeaf {
		// Of a million names, before it turns out that there is no room for them.
		return writers.Claim{}, fmt.Errorf("%w: a certificate of %d bytes", tlog.ErrTooLarge, len(der))
	}
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
