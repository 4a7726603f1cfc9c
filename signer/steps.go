// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
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
	return authenticateWith(ctx, s.cfg.Authenticator, token)
}

func authenticateWith(ctx context.Context, a Authenticator, token string) (Principal, error) {
	p, err := a.Authenticate(ctx, token)
	var unauthenticated *Unauthenticated
	if err != nil && !errors.As(err, &unauthenticated) {
		return Principal{}, fmt.Errorf("%w: %w", ErrNoKeys, err)
	}
	return p, err
}

func (s *Service) policyInput(p Principal, a oci.Artifact, req Request) policy.Input {
	return policy.Input{
		Action: string(req.Action), Identity: p.Identity, Provider: p.Provider, Issuer: p.Issuer,
		Subject: p.Subject, SAN: p.SAN, Claims: p.Claims,
		Repository: a.Repository, Tag: a.Tag, Digest: string(a.Digest), MediaType: a.MediaType, Kind: string(a.Kind),
		PredicateType: req.PredicateType, VEX: req.vex, Own: req.own, Now: s.cfg.Clock(),
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
	modes, err := modesOf(terms)
	if err != nil {
		return Intent{}, err
	}
	return Intent{
		ID: hex.EncodeToString(id[:]), RequestKey: key, Created: now.UTC().Truncate(time.Second),
		Action: Action(terms.Input.Action), Artifact: a, PredicateType: d.predicateType, Requester: requesterOf(p),
		SAN: d.san, Issuer: d.extensions.Issuer, Rule: terms.Rule, PolicyDigest: terms.PolicyDigest, Modes: modes, Statement: d.statement,
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
func (s *Service) bundle(ctx context.Context, in Intent, signed Signed, entry attest.LogEntry) ([]byte, error) {
	encoded, err := bundleOf(in, signed, entry).Encode()
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Verifier.Check(ctx, encoded, signed.claim(in)); err != nil {
		return nil, fmt.Errorf("the finished bundle does not verify, nothing was attached: %w", err)
	}
	return encoded, nil
}

func bundleOf(in Intent, signed Signed, entry attest.LogEntry) attest.Bundle {
	return attest.Bundle{
		Payload: in.Statement, Signature: signed.Signature, Certificate: signed.Certificate, KeyHint: signed.hint(),
		Entry: entry, Timestamp: signed.Timestamp,
	}
}

// attach writes a bundle to the registry and reads it back.
func (s *Service) attach(ctx context.Context, in Intent, bundle []byte) (attest.Digest, error) {
	return s.cfg.Registry.AttachBundle(ctx, in.Artifact, oci.BundleBlob{
		Bytes: bundle, PredicateType: in.PredicateType, Created: in.Created,
	})
}

func attachedOf(signed Signed, e attest.LogEntry, bundle []byte) Attached {
	return Attached{
		Key: signed.Key, KeyHint: signed.hint(),
		LogIndex: e.LogIndex, LogID: hex.EncodeToString(e.LogID), TreeSize: e.TreeSize,
		BundleDigest: attest.DigestOf(bundle), Bundle: bundle,
	}
}

func receiptOf(in Intent, attached []Attached, tags []AttachedTag) Receipt {
	r := Receipt{
		ID: in.ID, Action: in.Action, Image: in.Artifact.String(), Digest: in.Artifact.Digest, Kind: string(in.Artifact.Kind),
		PredicateType: in.PredicateType, Identity: in.SAN, Issuer: in.Issuer,
		Requester: in.Requester.SAN, Run: in.Requester.Run, Rule: in.Rule, PolicyDigest: in.PolicyDigest,
		Attached: attached[0], Others: attached[1:], Tags: tags, SignedAt: in.Created,
	}
	if !in.byCertificate() {
		r.Identity, r.Issuer = "", "" // they are in no certificate
	}
	return r
}
