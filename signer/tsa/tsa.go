// SPDX-License-Identifier: Apache-2.0

// Package tsa says when a signature existed.
package tsa

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"
)

// Config describes a time-stamping authority.
type Config struct {
	Chain  []*x509.Certificate // leaf first, root last
	Signer crypto.Signer
	Clock  func() time.Time
	Logger *slog.Logger
}

// TSA is a time-stamping authority.
type TSA struct{ cfg Config }

// Name is the subject of the authority's certificates.
type Name struct{ Organization, CommonName string }

// New returns a TSA.
func New(cfg Config) (*TSA, error) { panic("unwritten") }

// Timestamp implements signer.Timestamper.
func (t *TSA) Timestamp(ctx context.Context, signature []byte) ([]byte, error) { panic("unwritten") }

// Handler serves POST /api/v1/timestamp and GET /api/v1/timestamp/certchain.
func (t *TSA) Handler() http.Handler { panic("unwritten") }

// NewCertificates makes the leaf and its self-signed root, in this order.
func NewCertificates(rootKey crypto.Signer, leaf crypto.PublicKey, name Name, now time.Time) ([]*x509.Certificate, error) {
	panic("unwritten")
}
