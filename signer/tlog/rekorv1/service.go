// SPDX-License-Identifier: Apache-2.0

// Package rekorv1 speaks the Rekor v1 REST API over the v1 logs of a tlog.Set,
// byte for byte as stock clients expect it, errors included.
//
// An entry is a JSON document of a kind and a version. What a client proposes
// is verified and brought into its canonical form (RFC 8785, PEM encoded anew,
// large contents replaced by their hashes), which is the leaf; Rekor's own code
// does that (kinds.go), but for the two forms that nearly every request has
// (hashedrekord.go, dsse.go), where the same is done at a fraction of the cost.
//
// The logs are shards of one: an entry's logIndex counts the entries of all
// earlier shards, while its inclusion proof is about its own tree. Every answer
// about an entry carries a proof, the checkpoint it leads to, and a signed entry
// timestamp (SET), the log's signature over the entry's place and time, made
// when it is read.
//
// A repeated entry is answered like a new one (201, same index and time, fresh
// proof) where upstream answers 409: the 409 is what breaks retries in the
// field. Who may write is up to package writers.
package rekorv1

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// DefaultMaxBody bounds a request's body, bytes. The body of a dsse entry holds
// the whole statement, so this is the largest SBOM that can be logged over HTTP;
// what is logged of it is a hash.
const DefaultMaxBody = 4 << 20

// Config describes a Service.
type Config struct {
	// Set has the logs; those of kind v1 are served.
	Set *tlog.Set
	// Writers says who may write over HTTP. The signing service itself, which
	// calls Append, always may.
	Writers *writers.Writers
	// MaxBody bounds a request's body, bytes; zero means DefaultMaxBody.
	MaxBody int64
	// Logger learns why a request failed; nil means silence.
	Logger *slog.Logger
}

// Service is an http.Handler over the v1 logs. Its methods may be called
// concurrently.
type Service struct {
	cfg        Config
	bodies     *writers.Bodies
	algorithms *signature.AlgorithmRegistryConfig // of hashedrekord
}

// New returns a Service, or says what is wrong with cfg.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Set == nil:
		return nil, errors.New("rekor v1: no logs")
	case cfg.Writers == nil:
		return nil, errors.New("rekor v1: nobody says who may write")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig(acceptedAlgorithms())
	if err != nil {
		return nil, fmt.Errorf("rekor v1: %w", err)
	}
	return &Service{cfg: cfg, bodies: writers.NewBodies(cfg.MaxBody), algorithms: algorithms}, nil
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Search pages of other sites read the log; it is public and knows no cookies.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	// Everything but an entry's body changes with the next entry.
	h.Set("Cache-Control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "Thu, 01 Jan 1970 00:00:00 UTC")
	if err := s.route(w, r); err != nil {
		s.answerError(w, r, err)
	}
}
