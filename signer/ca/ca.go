// SPDX-License-Identifier: Apache-2.0

// Package ca issues the short-lived certificates that name who signed.
package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

// Config describes a certificate authority.
type Config struct {
	Chain    []*x509.Certificate
	Signer   crypto.Signer
	CTSigner crypto.Signer
	Clock    func() time.Time
	Backdate time.Duration
}

// CA issues certificates.
type CA struct{ cfg Config }

// Name is the subject of an authority's certificate.
type Name struct{ Organization, CommonName string }

// New returns a CA.
func New(cfg Config) (*CA, error) { panic("unwritten") }

// Chain returns the issuing certificate first, the root last.
func (c *CA) Chain() []*x509.Certificate { panic("unwritten") }

// Issue implements signer.Certificates.
func (c *CA) Issue(ctx context.Context, req signer.CertificateRequest) (signer.Certificate, error) {
	panic("unwritten")
}

// NewRoot makes a self-signed root.
func NewRoot(key crypto.Signer, name Name, now time.Time) (*x509.Certificate, error) {
	panic("unwritten")
}

// NewIntermediate makes an issuing certificate under root.
func NewIntermediate(root *x509.Certificate, rootKey crypto.Signer, pub crypto.PublicKey, name Name, now time.Time) (*x509.Certificate, error) {
	panic("unwritten")
}
