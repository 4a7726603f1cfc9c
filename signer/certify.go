// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// A certificate on request is Fulcio's bargain: a job shows who it is and that
// it has a key, and gets a certificate that says so for ten minutes. What it
// signs in that time, and whether any gate was passed, nobody here sees. So
// this is off unless configured, takes tokens of an audience of its own, needs
// a policy rule of its own, and its certificates have an authority of their
// own, by which verifiers tell them from those that the signing flow made.

// OnRequest is what certificates on request are made of. All members are
// compulsory.
type OnRequest struct {
	// Authenticator accepts tokens of the audience for certificates, and no
	// others: a token for signing buys no certificate.
	Authenticator Authenticator
	// Certificates is another authority than the signing flow's.
	Certificates Certificates
	Record       CertificateRecord
}

// CertificateRecord keeps which certificates were issued on request, and with
// that which certificates may still be logged by their holders.
type CertificateRecord interface {
	// RecordCertificate stores a certificate and the event in one transaction,
	// durable when it returns. It may forget certificates that expired more than
	// a day before ev.Time.
	RecordCertificate(ctx context.Context, c IssuedCertificate, ev AuditEvent) error
	// UseToken counts a use of a token, as Journal.Begin does: a *Replayed if it
	// has none left.
	UseToken(ctx context.Context, use TokenUse, request string) error
}

// IssuedCertificate is a certificate as it is recorded. ID is the SHA-256 of
// what the authority has signed (TBSCertificate): the certificate itself can be
// spelled in two ways.
type IssuedCertificate struct {
	ID      [sha256.Size]byte
	Expires time.Time
}

// ErrNoCertificates says that this service issues no certificates on request.
var ErrNoCertificates = errors.New("this service issues no certificates on request")

func (o *OnRequest) check() error {
	if o != nil && (o.Authenticator == nil || o.Certificates == nil || o.Record == nil) {
		return errors.New("certificates on request need an authenticator, an authority and a record")
	}
	return nil
}

// CertifyRequest asks for a certificate. Token is a secret, as in Request.
type CertifyRequest struct {
	Token string
	// Prove returns the key, if it is one that may be certified and the caller has
	// shown that it has the private half: to whom the token speaks of, so that a
	// proof is worth nothing beside another one's token. It is called when the
	// token has turned out to be good. Its error is for the caller; one that is
	// the caller's fault is an ErrBadRequest.
	Prove  func(Principal) (crypto.PublicKey, error)
	Origin Origin
}

// Certify issues a certificate on the caller's key in the name of the caller's
// workflow. Its errors are those of Sign, and ErrNoCertificates.
func (s *Service) Certify(ctx context.Context, req CertifyRequest) (Certificate, error) {
	if s.cfg.OnRequest == nil {
		return Certificate{}, ErrNoCertificates
	}
	ev := s.newEvent(Request{Action: ActionCertificate, Origin: req.Origin})

	// 1. Who asks, and not too often? As in Sign, but the token is one for
	// certificates.
	principal, err := authenticateWith(ctx, s.cfg.OnRequest.Authenticator, req.Token)
	if err != nil {
		return Certificate{}, s.refuse(ctx, ev, stageAuthenticate, err)
	}
	ev.Requester = requesterOf(principal)
	if err := s.refuseStranger(ctx, ev, principal); err != nil {
		return Certificate{}, err
	}
	if over, record, unrecorded := s.buckets.take(principal, ev.Time); over != nil {
		return Certificate{}, s.refuseQuota(ctx, ev, over, record, unrecorded)
	}
	if err := s.refuseRevoked(ctx, principal, ""); err != nil {
		return Certificate{}, s.refuse(ctx, ev, stagePolicy, err)
	}

	// 2. With what key, and is it theirs?
	key, err := req.Prove(principal)
	if err != nil {
		return Certificate{}, s.refuse(ctx, ev, stageRequest, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return Certificate{}, s.refuse(ctx, ev, stageRequest, fmt.Errorf("%w: public key: %w", ErrBadRequest, err))
	}
	fingerprint := sha256.Sum256(spki)
	ev.PublicKey = hex.EncodeToString(fingerprint[:])
	if err := s.refuseRevokedKey(ctx, key); err != nil {
		return Certificate{}, s.refuse(ctx, ev, stagePolicy, err)
	}

	// 3. May they? Policy sees who asks, and nothing of what will be signed.
	decision := s.cfg.Policy.Decide(s.certificateInput(principal))
	grant, ok := decision.Grant()
	if !ok {
		return Certificate{}, s.refuse(ctx, ev, stagePolicy, &Refused{Stage: stagePolicy, Reasons: decision.Refusal().Reasons})
	}
	terms, err := grant.Redeem()
	if err != nil {
		return Certificate{}, s.refuse(ctx, ev, stagePolicy, err)
	}
	ev.Rule, ev.PolicyDigest = terms.Rule, terms.PolicyDigest

	// Each certificate is a use of the token, also one on the same key: it is
	// good for another signature.
	if err := s.cfg.OnRequest.Record.UseToken(ctx, s.tokenUse(principal), "certificate:"+rand.Text()); err != nil {
		return Certificate{}, s.refuse(ctx, ev, stageReplay, err)
	}

	// 4. Record the grant. Power fails here: a grant without a certificate.
	granted := ev
	granted.Decision = DecisionGranted
	if err := s.cfg.Audit.Record(ctx, granted); err != nil {
		return Certificate{}, fmt.Errorf("record grant: %w", err)
	}

	// 5. Issue, and record what was issued. Power fails before the record is
	// durable: nobody has seen the certificate, and no log takes entries of it.
	return s.issueOnRequest(ctx, CertificateRequest{SAN: terms.Input.SAN, Extensions: principal.Extensions, PublicKey: key}, ev)
}

// issueOnRequest makes a granted certificate and records it before it leaves.
func (s *Service) issueOnRequest(ctx context.Context, req CertificateRequest, ev AuditEvent) (Certificate, error) {
	cert, err := s.cfg.OnRequest.Certificates.Issue(ctx, req)
	if err != nil {
		return Certificate{}, s.fail(ctx, ev, stageSign, fmt.Errorf("issue certificate for %s: %w", req.SAN, err))
	}
	leaf, err := x509.ParseCertificate(cert.Leaf)
	if err != nil {
		return Certificate{}, s.fail(ctx, ev, stageSign, fmt.Errorf("parse what was issued: %w", err))
	}
	ev.Decision, ev.Serial = DecisionIssued, hex.EncodeToString(leaf.SerialNumber.Bytes())
	issued := IssuedCertificate{ID: sha256.Sum256(leaf.RawTBSCertificate), Expires: leaf.NotAfter}
	if err := s.cfg.OnRequest.Record.RecordCertificate(ctx, issued, ev); err != nil {
		return Certificate{}, fmt.Errorf("record certificate: %w", err)
	}
	return cert, nil
}

// certificateInput is policyInput without an artifact.
func (s *Service) certificateInput(p Principal) policy.Input {
	return policy.Input{
		Action: string(ActionCertificate), Identity: p.Identity, Provider: p.Provider, Issuer: p.Issuer,
		Subject: p.Subject, SAN: p.SAN, Claims: p.Claims, Now: s.cfg.Clock(),
	}
}
