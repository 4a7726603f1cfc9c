// SPDX-License-Identifier: Apache-2.0

// Package rekorv2 speaks the Rekor v2 wire format over the v2 logs of a
// tlog.Set: the write call POST /api/v2/log/entries, and the C2SP read path
// (checkpoint, tiles, entry bundles) under /api/v2 and under the root, where
// monitors look.
//
// An entry is a hashedrekord 0.0.2: a digest, a signature over it, and the
// certificate or key that verifies it. Its leaf is the RFC 8785 form of the
// JSON that stock clients rebuild from a bundle. Nothing is logged whose
// signature does not verify, or that stock verifiers could not verify later.
// Older clients send DSSE envelopes, which become such entries (dsse.go).
//
// Each shard is a log with a host name of its own, its origin, and a request
// goes to the log that it names (route.go). One that is frozen answers writes
// with 405 and is read for ever.
//
// A repeated entry is answered like a new one (201, same index, fresh proof)
// where upstream answers 409: the 409 is what breaks retries in the field. That
// holds for other spellings of an entry too, unless writers are "open", see
// package writers.
package rekorv2

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// Kind and Version name the only kind of entry.
const (
	Kind    = "hashedrekord"
	Version = "0.0.2"
)

// DefaultMaxBody bounds a request's body, bytes: upstream's limit. An entry
// that fits the log is far smaller.
const DefaultMaxBody = 4 << 20

// Config describes a Service.
type Config struct {
	// Set has the logs; those of kind v2 are served.
	Set *tlog.Set
	// Writers says who may write over HTTP. The signing service itself, which
	// calls Append, always may.
	Writers *writers.Writers
	// MaxBody bounds a request's body, bytes; zero means DefaultMaxBody.
	MaxBody int64
	// Logger learns why an entry was refused, which the answer does not say;
	// nil means silence.
	Logger *slog.Logger
}

// Service is an http.Handler over the v2 logs. Its methods may be called
// concurrently.
type Service struct {
	cfg    Config
	bodies *writers.Bodies
	// last is what the last look found; reads go by it for a moment.
	last atomic.Pointer[shards]
}

// New returns a Service, or says what is wrong with cfg.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.Set == nil:
		return nil, errors.New("rekor v2: no logs")
	case cfg.Writers == nil:
		return nil, errors.New("rekor v2: nothing says who may write")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg, bodies: writers.NewBodies(cfg.MaxBody)}, nil
}

// Append logs a signature made in this process: the digest that was signed,
// the signature (ASN.1 for ECDSA) and the DER certificate of the key. It
// verifies the signature first: errors.As *Invalid if it does not. Other errors
// are those of tlog.Set.Append. The answer is what a bundle carries.
//
// The entry is found by its digest and by what the certificate says; keys are
// further index keys, from package index.
func (s *Service) Append(ctx context.Context, digest, sig, certDER []byte, keys []string) (attest.LogEntry, error) {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return attest.LogEntry{}, &Invalid{err: fmt.Errorf("parse certificate: %w", err)}
	}
	details, err := keyDetails(cert.PublicKey)
	if err != nil {
		return attest.LogEntry{}, &Invalid{err: err}
	}
	return s.append(ctx, digest, sig, certificateVerifier(certDER, details), keys)
}

// AppendByKey is Append for a key that verifiers know as such, without a
// certificate: spki is its SubjectPublicKeyInfo.
func (s *Service) AppendByKey(ctx context.Context, digest, sig, spki []byte, keys []string) (attest.LogEntry, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return attest.LogEntry{}, &Invalid{err: fmt.Errorf("parse public key: %w", err)}
	}
	details, err := keyDetails(key)
	if err != nil {
		return attest.LogEntry{}, &Invalid{err: err}
	}
	return s.append(ctx, digest, sig, &pb.Verifier{
		Verifier:   &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: spki}},
		KeyDetails: details,
	}, keys)
}

func (s *Service) append(ctx context.Context, digest, sig []byte, verifier *pb.Verifier, keys []string) (attest.LogEntry, error) {
	e, err := check(&pb.HashedRekordRequestV002{
		Digest:    digest,
		Signature: &pb.Signature{Content: sig, Verifier: verifier},
	})
	if err != nil {
		return attest.LogEntry{}, err
	}
	log, in, err := s.cfg.Set.Append(ctx, tlog.V2, e.indexed(keys))
	if err != nil {
		return attest.LogEntry{}, err
	}
	return attest.LogEntry{
		LogIndex: in.Index, LogID: log.ID(), Kind: Kind, Version: Version,
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
	if r.URL.Path == writePath && r.URL.RawPath == "" {
		s.serveWrite(w, r)
		return
	}
	s.serveRead(w, r)
}
