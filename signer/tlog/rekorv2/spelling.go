// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
)

// One entry can be spelled in several ways, and whoever has seen one can write
// down the others without any key. An ECDSA signature (r, s) verifies as
// (r, n-s) too, where n is the order of the curve (SEC 1, 4.1.4): the entry's
// own signature, and the authority's on the certificate. And a parser takes
// encodings of a certificate that are not DER. Different bytes are different
// leaves, so a log that took them all could be filled by strangers.

// certificateParts is Certificate of RFC 5280 4.1, its parts as they are.
type certificateParts struct {
	TBS, Algorithm asn1.RawValue
	Signature      asn1.BitString
}

// encodeCertificate returns the DER of a certificate with a signature.
func encodeCertificate(cert *x509.Certificate, signature []byte) ([]byte, error) {
	var parts certificateParts
	if _, err := asn1.Unmarshal(cert.Raw, &parts); err != nil {
		return nil, err
	}
	parts.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return asn1.Marshal(parts)
}

// checkEncoding refuses what the parser lets pass and no signature covers:
// bytes behind the certificate's signature, and signatures shifted by bits.
func checkEncoding(cert *x509.Certificate) error {
	der, err := encodeCertificate(cert, cert.Signature)
	if err != nil {
		return &Invalid{err: fmt.Errorf("encode certificate: %w", err)}
	}
	if !bytes.Equal(der, cert.Raw) {
		return &Invalid{err: errors.New("the certificate is not in DER")}
	}
	return nil
}

// signatureSpellings returns a signature that verifies under a key and, for
// ECDSA, its other spelling.
func signatureSpellings(key crypto.PublicKey, signature []byte) ([][]byte, error) {
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return [][]byte{signature}, nil
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &rs); err != nil {
		return nil, err
	}
	rs.S.Sub(pub.Params().N, rs.S)
	other, err := asn1.Marshal(rs)
	return [][]byte{signature, other}, err
}

// spellings returns the leaves of all spellings of a verified entry, its own
// first. Its certificate is in DER and signed by issuer.
func (e entry) spellings(issuer crypto.PublicKey) ([][]byte, error) {
	signatures, err := signatureSpellings(e.cert.PublicKey, e.record.GetSignature().GetContent())
	if err != nil {
		return nil, fmt.Errorf("spell signature: %w", err)
	}
	certified, err := signatureSpellings(issuer, e.cert.Signature)
	if err != nil {
		return nil, fmt.Errorf("spell certificate: %w", err)
	}
	var leaves [][]byte
	for _, c := range certified {
		der, err := encodeCertificate(e.cert, c)
		if err != nil {
			return nil, fmt.Errorf("spell certificate: %w", err)
		}
		for _, s := range signatures {
			leaves = append(leaves, canonicalLeaf(&pb.HashedRekordLogEntryV002{
				Data:      e.record.GetData(),
				Signature: &pb.Signature{Content: s, Verifier: certificateVerifier(der, e.record.GetSignature().GetVerifier().GetKeyDetails())},
			}))
		}
	}
	return leaves, nil
}
