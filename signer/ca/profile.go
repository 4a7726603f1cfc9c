// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer"
)

var (
	oidSAN              = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

const (
	// uriTag is uniformResourceIdentifier in GeneralName, RFC 5280 4.2.1.6.
	uriTag = 6
	// minSerialBits is the randomness the CA/Browser Forum asks for; ours
	// have 159 bits, and fewer than 64 mean a broken generator.
	minSerialBits = 64
)

// emptyName is the DER of a subject without any attribute.
var emptyName = []byte{0x30, 0x00}

// checkLeaf holds a finished certificate against the request and the profile.
// It trusts nothing that made the certificate.
func checkLeaf(leaf *x509.Certificate, req signer.CertificateRequest, chain []*x509.Certificate, now time.Time) error {
	checks := []func() error{
		func() error { return checkUsage(leaf) },
		func() error { return checkValidity(leaf, now) },
		func() error { return checkNames(leaf, req.SAN) },
		func() error { return checkExtensions(leaf, req.Extensions) },
		func() error { return checkKey(leaf, req.PublicKey) },
		func() error { return checkPath(leaf, chain, now) },
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkUsage admits code signing by an end entity and nothing else.
func checkUsage(leaf *x509.Certificate) error {
	if leaf.IsCA {
		return errors.New("certificate is a CA")
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidBasicConstraints) {
			return errors.New("certificate has basic constraints")
		}
	}
	if leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		return fmt.Errorf("key usage is %b instead of digitalSignature", leaf.KeyUsage)
	}
	if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning || len(leaf.UnknownExtKeyUsage) != 0 {
		return fmt.Errorf("extended key usages %v and %v instead of codeSigning alone", leaf.ExtKeyUsage, leaf.UnknownExtKeyUsage)
	}
	if leaf.SerialNumber.Sign() <= 0 || leaf.SerialNumber.BitLen() < minSerialBits {
		return errors.New("serial number is not a large random number")
	}
	return nil
}

// checkValidity wants the certificate valid now, for at most LeafLife in all.
func checkValidity(leaf *x509.Certificate, now time.Time) error {
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life <= 0 || life > LeafLife {
		return fmt.Errorf("life of %s is not within 0s and %s", life, LeafLife)
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("not valid at %s", now.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkNames wants an empty subject and one critical SAN holding the one URI.
// It reads the extension itself: the standard library leaves out the kinds of
// names that it does not know.
func checkNames(leaf *x509.Certificate, san string) error {
	if !bytes.Equal(leaf.RawSubject, emptyName) {
		return fmt.Errorf("subject %q is not empty", leaf.Subject)
	}
	var values [][]byte
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidSAN) {
			if !e.Critical {
				return errors.New("subject alternative name is not critical")
			}
			values = append(values, e.Value)
		}
	}
	if len(values) != 1 {
		return fmt.Errorf("%d subject alternative name extensions instead of one", len(values))
	}
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(values[0], &names); err != nil || len(rest) != 0 {
		return errors.New("subject alternative name cannot be parsed")
	}
	if len(names) != 1 || names[0].Class != asn1.ClassContextSpecific || names[0].Tag != uriTag {
		return errors.New("subject alternative name is not exactly one URI")
	}
	if got := string(names[0].Bytes); got != san {
		return fmt.Errorf("name is %q instead of %q", got, san)
	}
	return nil
}

// checkExtensions wants the Sigstore extensions of the request, all of them
// and no other value.
func checkExtensions(leaf *x509.Certificate, want certificate.Extensions) error {
	if n := len(leaf.UnhandledCriticalExtensions); n != 0 {
		return fmt.Errorf("critical extension %s that verifiers do not know", leaf.UnhandledCriticalExtensions[0])
	}
	got, err := certificate.ParseExtensions(leaf.Extensions)
	if err != nil {
		return fmt.Errorf("parse extensions: %w", err)
	}
	if got != want {
		return errors.New("extensions differ from the request")
	}
	return nil
}

func checkKey(leaf *x509.Certificate, want crypto.PublicKey) error {
	if err := cryptoutils.EqualKeys(leaf.PublicKey, want); err != nil {
		return fmt.Errorf("public key differs from the request: %w", err)
	}
	return nil
}

// checkPath builds the chain as a verifier does, at the time of signing.
func checkPath(leaf *x509.Certificate, chain []*x509.Certificate, now time.Time) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(chain[len(chain)-1])
	for _, authority := range chain[:len(chain)-1] {
		intermediates.AddCert(authority)
		if leaf.NotAfter.After(authority.NotAfter) {
			return fmt.Errorf("certificate outlives its authority %q (hint: rotate the issuing certificate)", authority.Subject)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	if err != nil {
		return fmt.Errorf("chain: %w", err)
	}
	return nil
}
