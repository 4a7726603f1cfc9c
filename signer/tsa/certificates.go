// SPDX-License-Identifier: Apache-2.0

package tsa

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

const (
	// Life of leaf and root. Tokens stay valid only as long as their chain did
	// at their own time, so that nothing is gained by a shorter life than the
	// planned rotation.
	Life = 10 * 365 * 24 * time.Hour
	// minChain and maxChain bound a chain: leaf and root, and what a company's
	// own hierarchy may put between them.
	minChain = 2
	maxChain = 4
)

// oidEKU and oidTimeStamping are of RFC 5280 section 4.2.1.12.
var (
	oidEKU          = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// Name is the subject of the authority's certificates; CommonName is the
// leaf's, and the root's with " root" behind it.
type Name struct {
	Organization string
	CommonName   string
}

// NewCertificates makes the chain of a new authority, valid from now for Life:
// the leaf for the public key, and the self-signed root above it. The root's
// key is needed again only to certify another leaf.
func NewCertificates(rootKey crypto.Signer, leaf crypto.PublicKey, name Name, now time.Time) ([]*x509.Certificate, error) {
	if name.Organization == "" || name.CommonName == "" {
		return nil, errors.New("make timestamp certificates: organization and common name are compulsory")
	}
	if cryptoutils.EqualKeys(rootKey.Public(), leaf) == nil {
		return nil, errors.New("make timestamp certificates: root and leaf have the same key (hint: each needs its own)")
	}
	root, err := newRoot(rootKey, name, now)
	if err != nil {
		return nil, fmt.Errorf("make timestamp root: %w", err)
	}
	cert, err := NewLeaf(root, rootKey, leaf, name, now)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{cert, root}, nil
}

func newRoot(key crypto.Signer, name Name, now time.Time) (*x509.Certificate, error) {
	name.CommonName += " root"
	template, err := newTemplate(key.Public(), name, now)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.IsCA = true
	template.AuthorityKeyId = template.SubjectKeyId
	return certify(template, template, key.Public(), key)
}

// NewLeaf certifies the key of a time-stamping authority under an existing
// root: what a rotation needs.
func NewLeaf(root *x509.Certificate, rootKey crypto.Signer, leaf crypto.PublicKey, name Name, now time.Time) (*x509.Certificate, error) {
	template, err := newTemplate(leaf, name, now)
	if err != nil {
		return nil, fmt.Errorf("make timestamp certificate: %w", err)
	}
	if template.NotAfter.After(root.NotAfter) {
		template.NotAfter = root.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// RFC 3161 section 2.3 wants this extension critical and with one purpose;
	// the standard library's template cannot make it critical.
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	if err != nil {
		return nil, fmt.Errorf("make timestamp certificate: %w", err)
	}
	template.ExtraExtensions = []pkix.Extension{{Id: oidEKU, Critical: true, Value: usage}}
	cert, err := certify(template, root, leaf, rootKey)
	if err != nil {
		return nil, fmt.Errorf("make timestamp certificate: %w", err)
	}
	return cert, nil
}

func newTemplate(pub crypto.PublicKey, name Name, now time.Time) (*x509.Certificate, error) {
	serial, err := cryptoutils.GenerateSerialNumber()
	if err != nil {
		return nil, err
	}
	skid, err := cryptoutils.SKID(pub)
	if err != nil {
		return nil, err
	}
	start := now.UTC().Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{name.Organization}, CommonName: name.CommonName},
		NotBefore:             start,
		NotAfter:              start.Add(Life),
		BasicConstraintsValid: true,
		SubjectKeyId:          skid,
	}, nil
}

func certify(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// checkChain refuses at start what verifiers would refuse later.
func checkChain(chain []*x509.Certificate, key crypto.PublicKey, now time.Time) error {
	if len(chain) < minChain || len(chain) > maxChain {
		return fmt.Errorf("chain of %d certificates, need %d to %d: leaf first, root last", len(chain), minChain, maxChain)
	}
	leaf, root := chain[0], chain[len(chain)-1]
	if err := checkLeaf(leaf); err != nil {
		return fmt.Errorf("certificate %q: %w", leaf.Subject, err)
	}
	if err := cryptoutils.EqualKeys(leaf.PublicKey, key); err != nil {
		return fmt.Errorf("key does not belong to certificate %q: %w", leaf.Subject, err)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for i, cert := range chain[1:] {
		intermediates.AddCert(cert)
		if !bytes.Equal(chain[i].RawIssuer, cert.RawSubject) {
			return fmt.Errorf("certificate %q is not issued by the next one (hint: order is leaf first, root last)", chain[i].Subject)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return fmt.Errorf("certificate %q: %w (hint: check the clock, or rotate)", leaf.Subject, err)
	}
	return nil
}

// checkLeaf is RFC 3161 section 2.3.
func checkLeaf(leaf *x509.Certificate) error {
	if leaf.IsCA {
		return errors.New("is a CA")
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return errors.New("is not for digital signatures")
	}
	if len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(leaf.UnknownExtKeyUsage) != 0 {
		return errors.New("is not for timeStamping alone")
	}
	for _, e := range leaf.Extensions {
		if e.Id.Equal(oidEKU) && !e.Critical {
			return errors.New("extended key usage is not critical")
		}
	}
	return nil
}
