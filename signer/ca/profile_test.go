// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer"
)

// TestCheckLeaf plays the part of a broken template: certificates signed by
// the right key that no request should have got.
func TestCheckLeaf(t *testing.T) {
	l, stranger := newLab(t), newLab(t)
	req := request(t)
	for _, tt := range []struct {
		name   string
		change func(*x509.Certificate)
		issuer lab
		says   string // empty: accepted
	}{
		{name: "as asked", issuer: l},
		{name: "CA bit", issuer: l, says: "is a CA", change: func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = true, true }},
		{name: "basic constraints", issuer: l, says: "basic constraints", change: func(c *x509.Certificate) { c.BasicConstraintsValid = true }},
		{name: "certificate signing", issuer: l, says: "key usage", change: func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }},
		{name: "no key usage", issuer: l, says: "key usage", change: func(c *x509.Certificate) { c.KeyUsage = 0 }},
		{name: "server too", issuer: l, says: "codeSigning alone", change: func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}},
		{name: "server instead", issuer: l, says: "codeSigning alone", change: func(c *x509.Certificate) { c.ExtKeyUsage[0] = x509.ExtKeyUsageServerAuth }},
		{name: "unknown usage", issuer: l, says: "codeSigning alone", change: func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3, 4}}
		}},
		{name: "eleven minutes", issuer: l, says: "life", change: func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(11 * time.Minute) }},
		{name: "ten minutes and a second", issuer: l, says: "life", change: func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) }},
		{name: "from tomorrow", issuer: l, says: "not valid at", change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = c.NotBefore.AddDate(0, 0, 1), c.NotAfter.AddDate(0, 0, 1)
		}},
		{name: "yesterday", issuer: l, says: "not valid at", change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = c.NotBefore.AddDate(0, 0, -1), c.NotAfter.AddDate(0, 0, -1)
		}},
		{name: "another name", issuer: l, says: "name is", change: func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "https", Host: "x"}} }},
		{name: "two names", issuer: l, says: "exactly one", change: func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }},
		{name: "host name too", issuer: l, says: "exactly one", change: func(c *x509.Certificate) { c.DNSNames = []string{"hallmark.example"} }},
		{name: "mail address too", issuer: l, says: "exactly one", change: func(c *x509.Certificate) { c.EmailAddresses = []string{"a@acme.example"} }},
		{name: "address too", issuer: l, says: "exactly one", change: func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }},
		{name: "no name", issuer: l, says: "0 subject alternative", change: func(c *x509.Certificate) { c.URIs = nil }},
		{name: "name of an unknown kind too", issuer: l, says: "exactly one", change: func(c *x509.Certificate) {
			// GeneralNames{registeredID 1.2.3, URI}: crypto/x509 skips the first.
			uri := append([]byte{0x86, byte(len(testSAN))}, testSAN...)
			inner := append([]byte{0x88, 0x02, 0x2a, 0x03}, uri...)
			c.URIs = nil
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: oidSAN, Critical: true, Value: append([]byte{0x30, byte(len(inner))}, inner...)}) // under 128 bytes
		}},
		{name: "subject", issuer: l, says: "not empty", change: func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "acme"} }},
		{name: "another extension value", issuer: l, says: "differ", change: func(c *x509.Certificate) {
			c.ExtraExtensions[1].Value = []byte("pull_request")
		}},
		{name: "extension left out", issuer: l, says: "differ", change: func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[:10] }},
		{name: "unknown critical extension", issuer: l, says: "critical extension", change: func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}},
		{name: "small serial", issuer: l, says: "serial", change: func(c *x509.Certificate) { c.SerialNumber = big.NewInt(7) }},
		{name: "another key", issuer: l, says: "public key", change: func(c *x509.Certificate) { c.PublicKey = newP256(t).Public() }},
		{name: "another authority", issuer: stranger, says: "chain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaf := forge(t, tt.issuer, req, tt.change)
			err := checkLeaf(leaf, req, l.cfg.Chain, epoch)
			if tt.says == "" {
				check(t, err)
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}

// forge signs what a correct template says, after a change.
func forge(t *testing.T, l lab, req signer.CertificateRequest, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	tmpl, err := newTemplate(req, epoch)
	check(t, err)
	serial, err := cryptoutils.GenerateSerialNumber()
	check(t, err)
	cert := &x509.Certificate{
		SerialNumber: serial.SetBit(serial, 150, 1),
		PublicKey:    req.PublicKey,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	check(t, tmpl.Embed(t.Context(), cert))
	if change != nil {
		change(cert)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, l.cfg.Chain[0], cert.PublicKey, l.cfg.Signer)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	return leaf
}

func TestVerifySCT(t *testing.T) {
	l, stranger := newLab(t), newLab(t)
	issued, err := l.ca.Issue(t.Context(), request(t))
	check(t, err)
	check(t, l.ca.sct.verify(issued.Leaf))
	if err := stranger.ca.sct.verify(issued.Leaf); err == nil || !strings.Contains(err.Error(), "another log") {
		t.Errorf("SCT of another log: %v", err)
	}
	bare := forge(t, l, request(t), nil)
	if err := l.ca.sct.verify(bare.Raw); err == nil || !strings.Contains(err.Error(), "0 certificate timestamps") {
		t.Errorf("no SCT: %v", err)
	}
	// The SCT of one certificate moved into another.
	leaf, err := x509.ParseCertificate(issued.Leaf)
	check(t, err)
	grafted := forge(t, l, request(t), func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, leaf.Extensions[len(leaf.Extensions)-1])
	})
	if err := l.ca.sct.verify(grafted.Raw); err == nil || !strings.Contains(err.Error(), "certificate timestamp") {
		t.Errorf("grafted SCT: %v", err)
	}
}

// FuzzParseSAN looks for a name that policy would see in one form and the
// certificate carry in another.
func FuzzParseSAN(f *testing.F) {
	for _, s := range []string{testSAN, "spiffe://acme/ns/ci/sa/build", "https://a/%41", "https://a/?q#f", "https://[::1]:8/x", "//a", "https://a/b c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, san string) {
		u, err := parseSAN(san)
		if err != nil {
			return
		}
		if u.String() != san || u.Host == "" || strings.ContainsAny(san, " \n\r\t\x00") {
			t.Errorf("accepted %q as %q", san, u)
		}
	})
}
