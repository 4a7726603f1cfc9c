// SPDX-License-Identifier: Apache-2.0

// Package rekorv2 speaks the Rekor v2 wire format over a tlog.Log.
package rekorv2

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Writers says who may write over HTTP.
type Writers string

// Kinds of writers.
const (
	Issued Writers = "issued"
	Closed Writers = "closed"
	Open   Writers = "open"
)

// Config describes a Service.
type Config struct {
	Log     *tlog.Log
	Writers Writers
	// CheckIssued returns nil for a certificate this deployment issued.
	CheckIssued func(leaf *x509.Certificate) error
	Logger      *slog.Logger
}

// Service is an http.Handler.
type Service struct{}

// New returns a Service.
func New(cfg Config) (*Service, error) { panic("unwritten") }

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("unwritten") }

// Append logs a signature.
func (s *Service) Append(ctx context.Context, digest, signature, certDER []byte) (attest.LogEntry, error) {
	panic("unwritten")
}
