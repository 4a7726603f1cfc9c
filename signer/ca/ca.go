// SPDX-License-Identifier: Apache-2.0

// Package ca issues the certificates that name who signed.
//
// A signature in identity mode is made with a key that lives for one request.
// What ties it to a CI workflow is a certificate with the workflow as its only
// name and ten minutes of life, in the profile that Fulcio has defined
// (certificate-specification.md of sigstore/fulcio): stock verifiers accept
// nothing else. The chain has two authorities above the leaf:
//
//	root (10 years, kept offline) -> intermediate (issues, path length 0) -> leaf
//
// Verifiers also demand a signed certificate timestamp (SCT, RFC 6962): a
// promise of a certificate log to publish the certificate. Issue makes it with
// a key of the same deployment and embeds it. Such an SCT is what the format
// asks for, not independent evidence; the evidence is the transparency log,
// which records the certificate with every signature.
//
// Nothing leaves Issue unchecked: the finished certificate is parsed again and
// held against the request and the profile (profile.go), so that a mistake in a
// template is an error here and not a certificate in the world.
package ca

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/fulcio/pkg/ca"
	"github.com/sigstore/fulcio/pkg/ca/baseca"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// LeafLife is the life of an issued certificate, as in Fulcio. A longer
	// one is refused by the profile check, whatever made it.
	LeafLife = 10 * time.Minute
	// MaxBackdate bounds how far into the past a certificate may begin. It
	// takes from the ten minutes, and a signature is made seconds later.
	MaxBackdate = time.Minute
	// minChain is issuing certificate and root: the SCT covers the issuer's
	// key, so that a bare root cannot issue.
	minChain = 2
	// maxChain bounds what a verifier has to walk.
	maxChain = 4
)

// Config describes a certificate authority. Chain, Signer and CTSigner are
// compulsory.
type Config struct {
	// Chain is the issuing certificate first and the self-signed root last.
	Chain []*x509.Certificate
	// Signer holds the key of Chain[0].
	Signer crypto.Signer
	// CTSigner signs the SCTs: ECDSA P-256, a key of its own.
	CTSigner crypto.Signer
	// Clock is time.Now when nil.
	Clock func() time.Time
	// Backdate moves the beginning of certificates into the past, for
	// verifiers whose clocks are slow: zero to MaxBackdate.
	Backdate time.Duration
	// OnRequest says that certificates are for keys of those who ask. The chain
	// must say the same: verifiers go by it.
	OnRequest bool
}

// CA issues certificates. It is safe for concurrent use if its two signers
// are.
type CA struct {
	base     baseca.BaseCA
	chain    []*x509.Certificate
	sct      sctLog
	clock    func() time.Time
	backdate time.Duration
}

// CA is what the signing flow asks for certificates.
var _ signer.Certificates = (*CA)(nil)

// New checks the configuration and returns the authority. It refuses a chain
// that does not hold together or does not fit the keys, and one that is not
// valid now.
func New(cfg Config) (*CA, error) {
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Signer == nil || cfg.CTSigner == nil {
		return nil, errors.New("certificate authority: the issuing key and the SCT key are compulsory")
	}
	if cfg.Backdate < 0 || cfg.Backdate > MaxBackdate {
		return nil, fmt.Errorf("certificate authority: backdate %s is not within 0s and %s", cfg.Backdate, MaxBackdate)
	}
	if err := checkChain(cfg.Chain, cfg.Signer.Public(), cfg.Clock()); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if marked := slices.Contains(cfg.Chain[0].Subject.OrganizationalUnit, attest.UnitOnRequest); marked != cfg.OnRequest {
		return nil, fmt.Errorf("certificate authority: issuing certificate %q is marked for %q: %v, want %v (hint: each of the two authorities has its own chain)",
			cfg.Chain[0].Subject, attest.UnitOnRequest, marked, cfg.OnRequest)
	}
	if cryptoutils.EqualKeys(cfg.Signer.Public(), cfg.CTSigner.Public()) == nil {
		return nil, errors.New("certificate authority: issuing key and SCT key are the same (hint: each needs its own)")
	}
	sct, err := newSCTLog(cfg.CTSigner, cfg.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return &CA{
		base:     baseca.BaseCA{SignerWithChain: &ca.SignerCerts{Certs: cfg.Chain, Signer: lowS{cfg.Signer}}},
		chain:    cfg.Chain,
		sct:      sct,
		clock:    cfg.Clock,
		backdate: cfg.Backdate,
	}, nil
}

// Chain returns the issuing certificate first and the root last.
func (c *CA) Chain() []*x509.Certificate {
	return append([]*x509.Certificate(nil), c.chain...)
}

// Issue implements signer.Certificates. The certificate names req.SAN, a URI,
// carries req.Extensions, and is valid from now (minus the configured
// back-dating) for ten minutes in all. ErrBadRequest marks requests for which
// no certificate can be made; everything else is a failure of the service.
func (c *CA) Issue(ctx context.Context, req signer.CertificateRequest) (signer.Certificate, error) {
	leaf, err := c.issue(ctx, req)
	if err != nil {
		return signer.Certificate{}, fmt.Errorf("issue certificate: %w", err)
	}
	out := signer.Certificate{Leaf: leaf.Raw, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	for _, authority := range c.chain {
		out.Chain = append(out.Chain, authority.Raw)
	}
	return out, nil
}

// issue follows RFC 6962 section 3.1: a poisoned pre-certificate is what the
// SCT is made over; the final certificate differs by the poison and the SCT
// only.
func (c *CA) issue(ctx context.Context, req signer.CertificateRequest) (*x509.Certificate, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now := c.clock()
	// 1. What is asked for can be certified at all.
	template, err := newTemplate(req, now.Add(-c.backdate))
	if err != nil {
		return nil, err
	}
	// 2. Pre-certificate and SCT over it.
	pre, err := c.base.CreatePrecertificate(ctx, template, req.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("pre-certificate: %w", err)
	}
	sct, err := c.sct.sign(pre.PreCert.Raw, now)
	if err != nil {
		return nil, fmt.Errorf("certificate timestamp: %w", err)
	}
	// 3. The certificate.
	final, err := c.base.IssueFinalCertificate(ctx, pre, sct)
	if err != nil {
		return nil, fmt.Errorf("final certificate: %w", err)
	}
	// 4. What was made is what was asked for, and a stranger will accept it.
	leaf, err := x509.ParseCertificate(final.FinalCertificate.Raw)
	if err != nil {
		return nil, fmt.Errorf("parse what was issued: %w", err)
	}
	if err := checkLeaf(leaf, req, c.chain, now); err != nil {
		return nil, fmt.Errorf("check what was issued: %w", err)
	}
	if err := c.sct.verify(leaf.Raw); err != nil {
		return nil, fmt.Errorf("check what was issued: %w", err)
	}
	return leaf, nil
}
