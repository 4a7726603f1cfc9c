// SPDX-License-Identifier: Apache-2.0

// Package rekorv1 speaks the Rekor v1 REST API over the v1 logs of a tlog.Set.
package rekorv1

import (
	"context"
	"crypto"
	"log/slog"
	"net/http"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// Config describes a Service.
type Config struct {
	// Set has the logs; those of kind v1 are served.
	Set *tlog.Set
	// Writers says who may write over HTTP.
	Writers *writers.Writers
	// MaxBody bounds a request's body, bytes; zero means DefaultMaxBody.
	MaxBody int64
	// Logger learns why a request failed; nil means silence.
	Logger *slog.Logger
}

// Service is an http.Handler over the v1 logs.
type Service struct{ cfg Config }

// New returns a Service, or says what is wrong with cfg.
func New(cfg Config) (*Service, error) { panic("unwritten") }

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) { panic("unwritten") }

// Envelope is a DSSE signature made in this process.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signature   []byte // over PAE(PayloadType, Payload); ASN.1 for ECDSA
	Certificate []byte // DER
	Keys        []string
}

// Append logs e as dsse 0.0.1 in the active v1 log.
func (s *Service) Append(ctx context.Context, e Envelope) (attest.LogEntry, error) {
	panic("unwritten")
}

// Genesis is the first entry of a v1 log.
func Genesis(signer crypto.Signer, origin string) (tlog.Leaf, error) { panic("unwritten") }
