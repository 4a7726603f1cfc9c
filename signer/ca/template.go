// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/fulcio/pkg/identity"

	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxSAN in bytes: workflow references are around 100, and logs, audit
	// records and policies repeat the name.
	maxSAN = 2 << 10
	// maxExtensions in bytes, all values together: certificates travel in
	// bundles, and log entries are bounded.
	maxExtensions = 16 << 10

	// minRSA and maxRSA in bits, and rsaExponent: the bounds of the profile.
	minRSA, maxRSA = 2048, 4096
	rsaExponent    = 65537
)

// template is a checked request in the form that Fulcio's issuing code takes:
// it writes names, extensions and validity into the certificate to be signed.
type template struct {
	san        *url.URL
	extensions []pkix.Extension
	notBefore  time.Time
}

var _ identity.Principal = template{}

// newTemplate refuses what cannot be certified: a name that is not a plain
// URI, extensions without an issuer or of absurd size, weak or unknown keys.
func newTemplate(req signer.CertificateRequest, notBefore time.Time) (template, error) {
	san, err := parseSAN(req.SAN)
	if err != nil {
		return template{}, err
	}
	extensions, err := req.Extensions.Render()
	if err != nil {
		return template{}, fmt.Errorf("%w: %w", signer.ErrBadRequest, err)
	}
	// The encoder takes any bytes, and readers do not.
	if read, err := certificate.ParseExtensions(extensions); err != nil || read != req.Extensions {
		return template{}, fmt.Errorf("%w: extensions cannot be read back (hint: text has to be UTF-8)", signer.ErrBadRequest)
	}
	size := 0
	for _, e := range extensions {
		size += len(e.Value)
	}
	if size > maxExtensions {
		return template{}, fmt.Errorf("%w: extensions of %d bytes, at most %d", signer.ErrBadRequest, size, maxExtensions)
	}
	if err := checkPublicKey(req.PublicKey); err != nil {
		return template{}, fmt.Errorf("%w: public key: %w", signer.ErrBadRequest, err)
	}
	// X.509 has whole seconds; rounding down keeps now within the validity.
	return template{san: san, extensions: extensions, notBefore: notBefore.UTC().Truncate(time.Second)}, nil
}

// checkPublicKey admits the kinds of keys in the profile, in the sizes that
// verifiers take.
func checkPublicKey(pub crypto.PublicKey) error {
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		if key == nil || key.Curve != elliptic.P256() && key.Curve != elliptic.P384() && key.Curve != elliptic.P521() {
			return errors.New("elliptic curve is not P-256, P-384 or P-521")
		}
		// The conversion fails for points that are not on the curve.
		_, err := key.ECDH()
		return err
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key of %d bytes", len(key))
		}
		return nil
	case *rsa.PublicKey:
		if key == nil || key.N == nil || key.N.BitLen() < minRSA || key.N.BitLen() > maxRSA || key.E != rsaExponent {
			return fmt.Errorf("RSA key is not within %d and %d bits, with exponent %d", minRSA, maxRSA, rsaExponent)
		}
		return nil
	}
	return fmt.Errorf("%T is not an ECDSA, Ed25519 or RSA public key", pub)
}

// parseSAN accepts an absolute URI that survives a round trip unchanged: the
// bytes in the certificate are then exactly those that policy has decided on.
func parseSAN(san string) (*url.URL, error) {
	if len(san) > maxSAN {
		return nil, fmt.Errorf("%w: name of %d bytes, at most %d", signer.ErrBadRequest, len(san), maxSAN)
	}
	u, err := url.Parse(san)
	if err != nil {
		return nil, fmt.Errorf("%w: name: %w", signer.ErrBadRequest, err)
	}
	if u.Scheme == "" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: name %q is not an absolute URI with a host", signer.ErrBadRequest, san)
	}
	if u.String() != san {
		return nil, fmt.Errorf("%w: name %q is not in canonical form (hint: %q is)", signer.ErrBadRequest, san, u.String())
	}
	for _, c := range []byte(san) {
		if c <= ' ' || c > '~' {
			return nil, fmt.Errorf("%w: name %q has characters outside printable ASCII", signer.ErrBadRequest, san)
		}
	}
	return u, nil
}

// Name implements identity.Principal.
func (t template) Name(context.Context) string { return t.san.String() }

// Embed implements identity.Principal. It is called after Fulcio's own values
// are set, and replaces the validity, which Fulcio takes from the wall clock.
func (t template) Embed(_ context.Context, cert *x509.Certificate) error {
	cert.URIs = []*url.URL{t.san}
	cert.ExtraExtensions = t.extensions
	cert.NotBefore = t.notBefore
	cert.NotAfter = t.notBefore.Add(LeafLife)
	return nil
}
