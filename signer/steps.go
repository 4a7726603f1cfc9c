// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// maxAsked bounds how much of a text of the request or of an unverified token
// the audit record keeps, bytes of JSON.
const maxAsked = 512

// authenticate tells a token that is no good from one that cannot be judged.
func (s *Service) authenticate(ctx context.Context, token string) (Principal, error) {
	p, err := s.cfg.Authenticator.Authenticate(ctx, token)
	var unauthenticated *Unauthenticated
	if err != nil && !errors.As(err, &unauthenticated) {
		return Principal{}, fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	return p, err
}

// sign makes an ephemeral key, has it certified, signs the statement,
// timestamps the signature and checks the result. The key is dropped on
// return.
func (s *Service) sign(ctx context.Context, in Intent, d draft) (Signed, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Signed{}, fmt.Errorf("generate signing key: %w", err)
	}
	cert, err := s.cfg.Certificates.Issue(ctx, CertificateRequest{SAN: d.san, Extensions: d.extensions, PublicKey: key.Public()})
	if err != nil {
		return Signed{}, fmt.Errorf("issue certificate for %s: %w", d.san, err)
	}
	digest := sha256.Sum256(attest.PAE(attest.PayloadType, in.Statement))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return Signed{}, fmt.Errorf("sign statement: %w", err)
	}
	if signature, err = LowS(&key.PublicKey, signature); err != nil {
		return Signed{}, err
	}
	token, err := s.cfg.Timestamper.Timestamp(ctx, signature)
	if err != nil {
		return Signed{}, fmt.Errorf("timestamp signature: %w", err)
	}
	signed := Signed{Signature: signature, Certificate: cert.Leaf, Timestamp: token}
	if err := checkSigned(in, signed); err != nil {
		return Signed{}, fmt.Errorf("check what was signed: %w", err)
	}
	return signed, nil
}

// checkSigned proves that the certificate's key signed the statement and that
// the certificate names who it should, before anything is kept or logged.
func checkSigned(in Intent, signed Signed) error {
	cert, err := x509.ParseCertificate(signed.Certificate)
	if err != nil {
		return fmt.Errorf("parse certificate: %w", err)
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != in.SAN {
		return fmt.Errorf("certificate names %v, want %s", cert.URIs, in.SAN)
	}
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("certificate has a key of type %T", cert.PublicKey)
	}
	digest := sha256.Sum256(attest.PAE(attest.PayloadType, in.Statement))
	if !ecdsa.VerifyASN1(pub, digest[:], signed.Signature) {
		return errors.New("the signature does not verify under its certificate")
	}
	return nil
}

func (s *Service) policyInput(p Principal, a oci.Artifact, req Request) policy.Input {
	return policy.Input{
		Action: string(req.Action), Identity: p.Identity, Provider: p.Provider, Issuer: p.Issuer,
		Subject: p.Subject, SAN: p.SAN, Claims: p.Claims,
		Repository: a.Repository, Tag: a.Tag, Digest: string(a.Digest), MediaType: a.MediaType, Kind: string(a.Kind),
		PredicateType: req.PredicateType, Own: req.own, Now: s.cfg.Clock(),
	}
}

// requestKey names a request by who, which run, what, and about which bytes.
// Members are length-prefixed, so that no two requests share a key.
func requestKey(p Principal, a oci.Artifact, req Request) string {
	predicate := sha256.Sum256(req.Predicate)
	action := string(req.Action)
	if req.own { // not what a job may have said in the same words
		action += " own"
	}
	h := sha256.New()
	for _, part := range []string{
		"hallmark request v1", p.Identity, p.Issuer, p.SAN, p.Run, action,
		a.Registry, a.Repository, string(a.Digest), req.PredicateType, hex.EncodeToString(predicate[:]),
	} {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func newIntent(key string, now time.Time, terms policy.Terms, d draft, p Principal, a oci.Artifact) (Intent, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return Intent{}, fmt.Errorf("name intent: %w", err)
	}
	return Intent{
		ID: hex.EncodeToString(id[:]), RequestKey: key, Created: now.UTC().Truncate(time.Second),
		Action: Action(terms.Input.Action), Artifact: a, PredicateType: d.predicateType, Requester: requesterOf(p),
		SAN: d.san, Issuer: d.extensions.Issuer, Rule: terms.Rule, PolicyDigest: terms.PolicyDigest, Statement: d.statement,
	}, nil
}

func requesterOf(p Principal) Requester {
	return Requester{
		Identity: p.Identity, Provider: p.Provider, Issuer: p.Issuer, Subject: p.Subject,
		SAN: p.SAN, Run: p.Run, TokenID: p.TokenID,
	}
}

// bundle puts a signature and its log entry together, and checks the result as
// any stranger would.
func (s *Service) bundle(ctx context.Context, in Intent, entry attest.LogEntry) ([]byte, error) {
	encoded, err := attest.Bundle{
		Payload: in.Statement, Signature: in.Signed.Signature, Certificate: in.Signed.Certificate,
		Entry: entry, Timestamp: in.Signed.Timestamp,
	}.Encode()
	if err != nil {
		return nil, err
	}
	claim := Claim{Digest: in.Artifact.Digest, PredicateType: in.PredicateType, SAN: in.SAN, Issuer: in.Issuer}
	if err := s.cfg.Verifier.Check(ctx, encoded, claim); err != nil {
		return nil, fmt.Errorf("the finished bundle does not verify, nothing was attached: %w", err)
	}
	return encoded, nil
}

// attach writes a bundle to the registry and reads it back.
func (s *Service) attach(ctx context.Context, in Intent, bundle []byte) (attest.Digest, error) {
	return s.cfg.Registry.AttachBundle(ctx, in.Artifact, oci.BundleBlob{
		Bytes: bundle, PredicateType: in.PredicateType, Created: in.Created,
	})
}

func attachedOf(e attest.LogEntry, bundle []byte) Attached {
	return Attached{
		LogIndex: e.LogIndex, LogID: hex.EncodeToString(e.LogID), TreeSize: e.TreeSize,
		BundleDigest: attest.DigestOf(bundle), Bundle: bundle,
	}
}

func receiptOf(in Intent, attached []Attached) Receipt {
	return Receipt{
		ID: in.ID, Action: in.Action, Image: in.Artifact.String(), Digest: in.Artifact.Digest, Kind: string(in.Artifact.Kind),
		PredicateType: in.PredicateType, Identity: in.SAN, Issuer: in.Issuer,
		Requester: in.Requester.SAN, Run: in.Requester.Run, Rule: in.Rule, PolicyDigest: in.PolicyDigest,
		Attached: attached[0], Others: attached[1:], SignedAt: in.Created,
	}
}
