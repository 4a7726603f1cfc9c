// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

// stencil is a certificate to make others from: of the same run, so that they
// differ in serial number, key and signature only. The library makes and checks
// a certificate from its parts in several times the processor time of the two
// signatures that a request needs, and a measurement wants tens of thousands.
type stencil struct {
	signed []byte // what is signed, the TBSCertificate
	serial []byte // as it stands in there
	point  []byte // the public key's
	algo   pkix.AlgorithmIdentifier
}

// certificateDER is RFC 5280's outermost structure.
type certificateDER struct {
	TBS       asn1.RawValue
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

func newStencil(der []byte, key *ecdsa.PublicKey) (*stencil, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	var outer certificateDER
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, err
	}
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	s := &stencil{signed: outer.TBS.FullBytes, serial: cert.SerialNumber.Bytes(), point: point, algo: outer.Algorithm}
	if bytes.Count(s.signed, s.serial) != 1 || bytes.Count(s.signed, s.point) != 1 {
		return nil, errors.New("a certificate that holds its serial number or its key twice")
	}
	return s, nil
}

// cut makes the certificate of another key.
func (s *stencil) cut(key *ecdsa.PublicKey, issuer *ecdsa.PrivateKey) ([]byte, error) {
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	serial := newSerial()
	signed := bytes.Replace(bytes.Replace(s.signed, s.serial, serial, 1), s.point, point, 1)
	digest := sha256.Sum256(signed)
	sig, err := ecdsa.SignASN1(rand.Reader, issuer, digest[:])
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(certificateDER{
		TBS: asn1.RawValue{FullBytes: signed}, Algorithm: s.algo,
		Signature: asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)},
	})
}

// newSerial returns 160 random bits without a zero in front and positive, so
// that every serial number takes the same space.
func newSerial() []byte {
	serial := make([]byte, 20)
	_, _ = rand.Read(serial) // never fails, says crypto/rand
	serial[0] = serial[0]&0x3f | 0x40
	return serial
}
