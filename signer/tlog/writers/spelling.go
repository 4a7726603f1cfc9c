// SPDX-License-Identifier: Apache-2.0

package writers

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// One entry can be spelled in several ways, and whoever has seen one can write
// down the others without any key. An ECDSA signature (r, s) verifies as
// (r, n-s) too, where n is the order of the curve (SEC 1, 4.1.4): the entry's
// own signature, and the authority's on the certificate. And a parser takes
// encodings of a certificate that are not DER. Different bytes are different
// leaves.

// ErrNotDER says that a certificate is encoded in a way that no signature
// covers, so that it could be encoded in others. Such an entry is invalid.
var ErrNotDER = errors.New("the certificate is not in DER")

// Spelling is one way to write the signature and the certificate of an entry.
// Certificate is nil for an entry with a bare key.
type Spelling struct {
	Signature   []byte
	Certificate []byte
}

// Spellings returns all spellings of a verified entry, its own first. issuer is
// the key that signed the claim's certificate (Permission.Issuer); without it
// the certificate is taken to have one spelling. The caller makes a leaf of
// each and looks for it in the log. ErrNotDER; other errors say that signature
// or certificate do not have the form of their keys.
func Spellings(signature []byte, c Claim, issuer crypto.PublicKey) ([]Spelling, error) {
	signatures, err := signatureSpellings(c.PublicKey, signature)
	if err != nil {
		return nil, fmt.Errorf("spell signature: %w", err)
	}
	certificates := [][]byte{nil}
	if c.Certificate != nil {
		if certificates, err = certificateSpellings(c.Certificate, issuer); err != nil {
			return nil, err
		}
	}
	var all []Spelling
	for _, cert := range certificates {
		for _, sig := range signatures {
			all = append(all, Spelling{Signature: sig, Certificate: cert})
		}
	}
	return all, nil
}

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

// certificateSpellings returns a certificate and, under an ECDSA issuer, its
// other spelling. It refuses what the parser lets pass and no signature covers:
// bytes behind the certificate's signature, and signatures shifted by bits.
func certificateSpellings(cert *x509.Certificate, issuer crypto.PublicKey) ([][]byte, error) {
	der, err := encodeCertificate(cert, cert.Signature)
	if err != nil {
		return nil, fmt.Errorf("encode certificate: %w", err)
	}
	if !bytes.Equal(der, cert.Raw) {
		return nil, ErrNotDER
	}
	certified, err := signatureSpellings(issuer, cert.Signature)
	if err != nil {
		return nil, fmt.Errorf("spell certificate: %w", err)
	}
	certificates := [][]byte{cert.Raw}
	for _, sig := range certified[1:] {
		other, err := encodeCertificate(cert, sig)
		if err != nil {
			return nil, fmt.Errorf("spell certificate: %w", err)
		}
		certificates = append(certificates, other)
	}
	return certificates, nil
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
