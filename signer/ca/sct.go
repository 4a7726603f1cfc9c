// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"fmt"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509"
)

// sctLog makes and checks signed certificate timestamps (RFC 6962 section 3.2)
// for certificates of one issuer.
type sctLog struct {
	signer   crypto.Signer
	verifier *ct.SignatureVerifier
	id       ct.LogID // SHA-256 of the public key
	issuer   *x509.Certificate
}

func newSCTLog(signer crypto.Signer, issuer *stdx509.Certificate) (sctLog, error) {
	// The verifier accepts P-256 only, as RFC 6962 section 2.1.4 does for
	// elliptic curves.
	verifier, err := ct.NewSignatureVerifier(signer.Public())
	if err != nil {
		return sctLog{}, fmt.Errorf("SCT key: %w (hint: it has to be ECDSA P-256)", err)
	}
	spki, err := stdx509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return sctLog{}, fmt.Errorf("SCT key: %w", err)
	}
	parsed, err := parse(issuer.Raw)
	if err != nil {
		return sctLog{}, fmt.Errorf("issuing certificate: %w", err)
	}
	return sctLog{
		signer:   signer,
		verifier: verifier,
		id:       ct.LogID{KeyID: sha256.Sum256(spki)},
		issuer:   parsed,
	}, nil
}

// sign promises the pre-certificate. The signature is made with the plain
// crypto.Signer, because the helper of the library knows concrete key types
// only and would shut out a KMS.
func (l sctLog) sign(precertificate []byte, now time.Time) (*ct.SignedCertificateTimestamp, error) {
	pre, err := parse(precertificate)
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1,
		LogID:      l.id,
		Timestamp:  uint64(now.UnixMilli()),
	}
	leaf, err := ct.MerkleTreeLeafFromChain([]*x509.Certificate{pre, l.issuer}, ct.PrecertLogEntryType, sct.Timestamp)
	if err != nil {
		return nil, err
	}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(input)
	signature, err := l.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	sct.Signature = ct.DigitallySigned{
		Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA},
		Signature: signature,
	}
	return &sct, nil
}

// verify checks that a certificate carries exactly one SCT and that it is this
// log's, over this certificate.
func (l sctLog) verify(certificate []byte) error {
	cert, err := parse(certificate)
	if err != nil {
		return err
	}
	if n := len(cert.SCTList.SCTList); n != 1 {
		return fmt.Errorf("%d certificate timestamps instead of one", n)
	}
	var sct ct.SignedCertificateTimestamp
	rest, err := tls.Unmarshal(cert.SCTList.SCTList[0].Val, &sct)
	if err != nil {
		return fmt.Errorf("parse certificate timestamp: %w", err)
	}
	if len(rest) != 0 {
		return fmt.Errorf("parse certificate timestamp: %d bytes of trailing data", len(rest))
	}
	if sct.LogID != l.id {
		return fmt.Errorf("certificate timestamp of another log")
	}
	leaf, err := ct.MerkleTreeLeafForEmbeddedSCT([]*x509.Certificate{cert, l.issuer}, sct.Timestamp)
	if err != nil {
		return err
	}
	if err := l.verifier.VerifySCTSignature(sct, ct.LogEntry{Leaf: *leaf}); err != nil {
		return fmt.Errorf("certificate timestamp: %w", err)
	}
	return nil
}

// parse reads a certificate with the parser of the CT library, which knows the
// poison and the SCT list. Its non-fatal findings are about other people's
// certificates; the standard library judges ours.
func parse(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if x509.IsFatal(err) {
		return nil, err
	}
	return cert, nil
}
