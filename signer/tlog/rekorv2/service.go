// SPDX-License-Identifier: Apache-2.0

// Package rekorv2 speaks the Rekor v2 wire format over a tlog.Log: the write
// call POST /api/v2/log/entries, and the C2SP read path (checkpoint, tiles,
// entry bundles) under /api/v2 and under the root, where monitors look.
//
// An entry is a hashedrekord 0.0.2: a digest, a signature over it, and the
// certificate or key that verifies it. Its leaf is the RFC 8785 form of the
// JSON that stock clients rebuild from a bundle. Nothing is logged whose
// signature does not verify, or that stock verifiers could not verify later.
//
// A repeated entry is answered like a new one (201, same index, fresh proof)
// where upstream answers 409: the 409 is what breaks retries in the field. With
// writers "issued" that holds for other spellings of an entry too (spelling.go),
// and an entry that is new is refused.
package rekorv2

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Kind and Version name the only kind of entry.
const (
	Kind    = "hashedrekord"
	Version = "0.0.2"
)

// DefaultMaxBody bounds a request's body, bytes: upstream's limit. An entry
// that fits the log is far smaller.
const DefaultMaxBody = 4 << 20

// Writers says who may write over HTTP. The signing service itself, which
// calls Append, always may. There is no default.
type Writers string

const (
	// Issued admits entries whose certificate Config.CheckIssued accepts and
	// that the signing service has logged: it answers who repeats a write.
	Issued Writers = "issued"
	// Closed admits nobody over HTTP.
	Closed Writers = "closed"
	// Open admits everybody whose signature verifies. For development.
	Open Writers = "open"
)

// Config describes a Service.
type Config struct {
	Log     *tlog.Log
	Writers Writers
	// CheckIssued returns the key that signed a certificate if this deployment
	// issued it, otherwise why not: the writer is told. Needed for Issued.
	CheckIssued func(leaf *x509.Certificate) (issuer crypto.PublicKey, err error)
	// MaxBody bounds a request's body, bytes; zero means DefaultMaxBody.
	MaxBody int64
	// Logger learns why an entry was refused, which the answer does not say;
	// nil means silence.
	Logger *slog.Logger
}

// Service is an http.Handler over one log. Its methods may be called
// concurrently.
type Service struct {
	cfg        Config
	algorithms *signature.AlgorithmRegistryConfig
}

// New returns a Service, or says what is wrong with cfg.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Log == nil:
		return nil, errors.New("rekor v2: no log")
	case cfg.Writers == Issued && cfg.CheckIssued == nil:
		return nil, errors.New("rekor v2: writers are \"issued\", but there is no check for it")
	case cfg.Writers != Issued && cfg.Writers != Closed && cfg.Writers != Open:
		return nil, fmt.Errorf("rekor v2: writers %q is not issued, closed or open", cfg.Writers)
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig(acceptedKeys())
	if err != nil {
		return nil, fmt.Errorf("rekor v2: %w", err)
	}
	return &Service{cfg: cfg, algorithms: algorithms}, nil
}

// Append logs a signature made in this process: the digest that was signed,
// the signature (ASN.1 for ECDSA) and the DER certificate of the key. It
// verifies the signature first: errors.As *Invalid if it does not. Other errors
// are those of tlog.Log.Append. The answer is what a bundle carries.
func (s *Service) Append(ctx context.Context, digest, sig, certDER []byte) (attest.LogEntry, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return attest.LogEntry{}, &Invalid{err: fmt.Errorf("parse certificate: %w", err)}
	}
	details, err := keyDetails(cert.PublicKey)
	if err != nil {
		return attest.LogEntry{}, &Invalid{err: err}
	}
	e, err := s.check(&pb.HashedRekordRequestV002{
		Digest:    digest,
		Signature: &pb.Signature{Content: sig, Verifier: certificateVerifier(certDER, details)},
	})
	if err != nil {
		return attest.LogEntry{}, err
	}
	in, err := s.cfg.Log.Append(ctx, tlog.Leaf{Body: e.leaf})
	if err != nil {
		return attest.LogEntry{}, err
	}
	return attest.LogEntry{
		LogIndex: in.Index, LogID: s.cfg.Log.ID(), Kind: Kind, Version: Version,
		TreeSize: in.TreeSize, ProofIndex: in.Index, RootHash: in.Root[:], Hashes: hashes(in.Proof),
		Checkpoint: string(in.Checkpoint), CanonicalizedBody: e.leaf,
	}, nil
}

// hashes changes the type of a proof.
func hashes(proof []tlog.Hash) [][]byte {
	out := make([][]byte, len(proof))
	for i := range proof {
		out[i] = proof[i][:]
	}
	return out
}

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawPath != "" {
		// The path is spelled with escapes where none are needed: a cache in
		// front would see another path than we do.
		writeError(w, http.StatusNotFound, codeNotFound, "not found")
		return
	}
	if r.URL.Path == writePath {
		s.serveWrite(w, r)
		return
	}
	s.serveRead(w, r)
}
