// SPDX-License-Identifier: Apache-2.0

// Package tsa says when a signature existed.
//
// A signing certificate is dead ten minutes after it was made, and yet its
// signatures must verify for years. What bridges the gap is a timestamp token
// (RFC 3161): the time-stamping authority signs the hash of the signature
// together with the time it saw it, and verifiers check the certificate as of
// that time. Entries of a Rekor v2 log carry no time of their own, so that a
// bundle with such an entry is worth nothing without a token.
//
// The flow calls Timestamp in process; stock clients reach the same authority
// over HTTP through Handler. Verifiers know the leaf certificate from the
// trusted root, so tokens carry no certificates unless a client asks.
package tsa

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha512" // requests may carry SHA-384 and SHA-512 digests
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/sigstore/timestamp-authority/v2/pkg/verification"

	"github.com/hallmark-dev/hallmark/signer"
)

// accuracy claimed in tokens: their time has whole seconds.
const accuracy = time.Second

// policy is the policy under which tokens are issued, the one Sigstore has
// registered: a stock verifier looks for no other.
func policy() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}
}

// Config describes a time-stamping authority. Chain, Signer and Logger are
// compulsory.
type Config struct {
	// Chain is the leaf first and the self-signed root last.
	Chain []*x509.Certificate
	// Signer holds the key of Chain[0].
	Signer crypto.Signer
	// Clock is time.Now when nil.
	Clock func() time.Time
	// Logger hears of failures to answer; refusals are told to the client.
	Logger *slog.Logger
}

// TSA is a time-stamping authority. It is safe for concurrent use if its
// signer is.
type TSA struct {
	chain  []*x509.Certificate
	signer crypto.Signer
	clock  func() time.Time
	logger *slog.Logger
}

// TSA is what the signing flow asks for timestamps.
var _ signer.Timestamper = (*TSA)(nil)

// New checks the configuration and returns the authority. It refuses a chain
// that verifiers would refuse, or that is not valid now.
func New(cfg Config) (*TSA, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Signer == nil || cfg.Logger == nil {
		return nil, errors.New("time-stamping authority: key and logger are compulsory")
	}
	if err := checkChain(cfg.Chain, cfg.Signer.Public(), cfg.Clock()); err != nil {
		return nil, fmt.Errorf("time-stamping authority: %w", err)
	}
	return &TSA{chain: cfg.Chain, signer: cfg.Signer, clock: cfg.Clock, logger: cfg.Logger}, nil
}

// Chain returns the leaf first and the root last.
func (t *TSA) Chain() []*x509.Certificate {
	return append([]*x509.Certificate(nil), t.chain...)
}

// Timestamp implements signer.Timestamper: a complete TimeStampResp (DER) over
// the SHA-256 of the signature's bytes, without certificates. The token is
// verified with the published chain before it is returned.
func (t *TSA) Timestamp(ctx context.Context, signature []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("timestamp signature: %w", err)
	}
	if len(signature) == 0 {
		return nil, fmt.Errorf("timestamp signature: %w: it is empty", signer.ErrBadRequest)
	}
	digest := crypto.SHA256.New()
	digest.Write(signature)
	response, err := t.respond(&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest.Sum(nil)})
	if err != nil {
		return nil, fmt.Errorf("timestamp signature: %w", err)
	}
	if err := t.check(response, signature); err != nil {
		return nil, fmt.Errorf("timestamp signature: check what was issued: %w", err)
	}
	return response, nil
}

// respond signs a token for a request that parseRequest has let pass.
func (t *TSA) respond(req *timestamp.Request) ([]byte, error) {
	now := t.clock().UTC()
	leaf := t.chain[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("certificate is valid from %s to %s, which is not now (hint: check the clock, or rotate)",
			leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	token := timestamp.Timestamp{
		HashAlgorithm:     req.HashAlgorithm,
		HashedMessage:     req.HashedMessage,
		Time:              now,
		Accuracy:          accuracy,
		Policy:            policy(),
		Nonce:             req.Nonce,
		AddTSACertificate: req.Certificates,
		Certificates:      t.chain[1 : len(t.chain)-1],
	}
	return token.CreateResponseWithOpts(leaf, t.signer, crypto.SHA256)
}

// check verifies a response as a stranger with the trusted root would.
func (t *TSA) check(response, signature []byte) error {
	_, err := verification.VerifyTimestampResponse(response, bytes.NewReader(signature), verification.VerifyOpts{
		OID:            policy(),
		TSACertificate: t.chain[0],
		Intermediates:  t.chain[1 : len(t.chain)-1],
		Roots:          t.chain[len(t.chain)-1:],
		CurrentTime:    t.clock(),
	})
	return err
}
