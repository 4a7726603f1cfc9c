// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/attest"
)

const (
	// RootLife is that of public Sigstore roots: long enough that a trusted
	// root seldom changes, short enough to force a rotation once a decade.
	RootLife = 10 * 365 * 24 * time.Hour
	// IntermediateLife is half of it, so that one root sees one planned
	// rotation of the issuing certificate.
	IntermediateLife = 5 * 365 * 24 * time.Hour
)

// Name is the subject of an authority. Both parts are compulsory in the
// profile.
type Name struct {
	Organization string
	CommonName   string
}

func (n Name) subject() (pkix.Name, error) {
	if n.Organization == "" || n.CommonName == "" {
		return pkix.Name{}, errors.New("an authority needs an organization and a common name")
	}
	return pkix.Name{Organization: []string{n.Organization}, CommonName: n.CommonName}, nil
}

// NewRoot makes a self-signed root, valid from now for RootLife. Its key is
// needed again only to certify another intermediate.
func NewRoot(key crypto.Signer, name Name, now time.Time) (*x509.Certificate, error) {
	template, err := authorityTemplate(key.Public(), name, now, now.Add(RootLife))
	if err != nil {
		return nil, fmt.Errorf("make root certificate: %w", err)
	}
	cert, err := certify(template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make root certificate: %w", err)
	}
	return cert, nil
}

// NewIntermediate certifies pub as an issuer of leaves under the root, valid
// from now for IntermediateLife, or as long as the root if that is less.
func NewIntermediate(root *x509.Certificate, rootKey crypto.Signer, pub crypto.PublicKey, name Name, now time.Time) (*x509.Certificate, error) {
	return newIntermediate(root, rootKey, pub, name, nil, now)
}

// NewOnRequest is NewIntermediate for an authority that certifies keys of those
// who ask. Its name says so: see attest.UnitOnRequest.
func NewOnRequest(root *x509.Certificate, rootKey crypto.Signer, pub crypto.PublicKey, name Name, now time.Time) (*x509.Certificate, error) {
	return newIntermediate(root, rootKey, pub, name, []string{attest.UnitOnRequest}, now)
}

func newIntermediate(root *x509.Certificate, rootKey crypto.Signer, pub crypto.PublicKey, name Name, units []string, now time.Time) (*x509.Certificate, error) {
	end := now.Add(IntermediateLife)
	if end.After(root.NotAfter) {
		end = root.NotAfter
	}
	template, err := authorityTemplate(pub, name, now, end)
	if err != nil {
		return nil, fmt.Errorf("make intermediate certificate: %w", err)
	}
	template.Subject.OrganizationalUnit = units
	template.MaxPathLenZero = true
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	if err := cryptoutils.EqualKeys(root.PublicKey, rootKey.Public()); err != nil {
		return nil, fmt.Errorf("make intermediate certificate: key is not the root's: %w", err)
	}
	cert, err := certify(template, root, pub, rootKey)
	if err != nil {
		return nil, fmt.Errorf("make intermediate certificate: %w", err)
	}
	return cert, nil
}

func authorityTemplate(pub crypto.PublicKey, name Name, start, end time.Time) (*x509.Certificate, error) {
	subject, err := name.subject()
	if err != nil {
		return nil, err
	}
	serial, err := cryptoutils.GenerateSerialNumber()
	if err != nil {
		return nil, err
	}
	skid, err := cryptoutils.SKID(pub)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		// Leaves begin in the past, see Config.Backdate, and cosign checks the chain
		// of a legacy tag at that moment.
		NotBefore:             start.Add(-MaxBackdate).UTC().Truncate(time.Second),
		NotAfter:              end.UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          skid,
		// The profile asks for an authority key id in roots too, and the
		// standard library leaves it out when the issuer is the subject.
		AuthorityKeyId: skid,
	}, nil
}

func certify(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// checkChain checks at start what would otherwise fail at the first signature:
// order, links, profile, validity and key of an issuing chain.
func checkChain(chain []*x509.Certificate, key crypto.PublicKey, now time.Time) error {
	if len(chain) < minChain || len(chain) > maxChain {
		return fmt.Errorf("chain of %d certificates, need %d to %d: issuing certificate first, root last", len(chain), minChain, maxChain)
	}
	for i, cert := range chain {
		parent := chain[min(i+1, len(chain)-1)]
		if err := checkAuthority(cert, parent, now); err != nil {
			return fmt.Errorf("chain certificate %d (%q): %w", i, cert.Subject, err)
		}
	}
	issuing := chain[0]
	if !issuing.MaxPathLenZero {
		return fmt.Errorf("issuing certificate %q allows further authorities (hint: path length 0)", issuing.Subject)
	}
	if len(issuing.ExtKeyUsage) != 1 || issuing.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning || len(issuing.UnknownExtKeyUsage) != 0 {
		return fmt.Errorf("issuing certificate %q is not for codeSigning alone", issuing.Subject)
	}
	if err := cryptoutils.EqualKeys(issuing.PublicKey, key); err != nil {
		return fmt.Errorf("issuing key does not belong to certificate %q: %w", issuing.Subject, err)
	}
	return nil
}

func checkAuthority(cert, parent *x509.Certificate, now time.Time) error {
	if !cert.BasicConstraintsValid || !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return errors.New("not a CA")
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return fmt.Errorf("valid from %s to %s, which is not now (hint: check the clock, or rotate)",
			cert.NotBefore.Format(time.RFC3339), cert.NotAfter.Format(time.RFC3339))
	}
	if !bytes.Equal(cert.RawIssuer, parent.RawSubject) {
		return errors.New("issuer is not the next certificate (hint: order is issuing first, root last)")
	}
	if err := cert.CheckSignatureFrom(parent); err != nil {
		return fmt.Errorf("not signed by the next certificate: %w", err)
	}
	return nil
}
