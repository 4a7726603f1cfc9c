// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// charge is one statement that is to be made in the course of a request: for its
// principal, about one artifact, with a decision, an intent and a receipt of its
// own.
type charge struct {
	carried
	artifact oci.Artifact
	of       string // the platform that the artifact is for, of an index
	own      bool   // the service's own word
	place    int    // in the request
	// sameAs stands for the statement where two are the same but for the time
	// that they are made; nil: the predicate does.
	sameAs []byte

	req        Request
	ev         AuditEvent
	grant      *policy.Grant
	signatures int // that it will have
	draft      draft
	key        string
	hold       held
	intent     Intent
	receipt    *Receipt
}

// attestAll makes statements in the course of a request: all of them or, if one
// may not or cannot be made as far as anybody can tell beforehand, none. What
// fails later leaves intents, as any request does. It returns the receipts in the
// order of the charges.
func (s *Service) attestAll(ctx context.Context, p Principal, req Request, charges []*charge) ([]Receipt, error) {
	giveBack, err := s.statementRoom(ctx, p, req, charges)
	if err != nil {
		return nil, err
	}
	defer giveBack()

	// 1. May each be attested, and can a statement be made of it? Nothing has
	// happened before all have passed.
	for i, c := range charges {
		c.place = i
		if err := s.prepare(ctx, p, req, c); err != nil {
			return nil, about(c.name, err)
		}
	}
	distinct, same := distinctCharges(charges)
	if err := s.refuseFullFor(ctx, distinct); err != nil {
		return nil, err
	}

	// 2. What statements name is there before them. Power fails here: artifacts
	// that nothing names. The registry fails here: nothing has begun, and the same
	// request sends what is missing.
	if err := s.keepOriginals(ctx, distinct); err != nil {
		return nil, err
	}

	// From here on the client may go away: what was begun is brought to an end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()

	// 3. As in carryOut, of each; in the order of the keys, so that two requests
	// with the same documents never wait for each other.
	locked := 0
	defer func() {
		for _, c := range distinct[:locked] {
			c.hold.unlock()
		}
	}()
	for _, c := range distinct {
		hold, err := s.inflight.lock(ctx, c.key)
		if err != nil {
			return nil, about(c.name, s.refuse(ctx, c.ev, stageIntent, err))
		}
		c.hold, c.receipt = hold, hold.left(p.TokenID)
		locked++
	}

	// 4, 5. Intents and signatures, side by side.
	errs := sideBySide(distinct, func(c *charge) (err error) {
		if c.receipt != nil {
			return nil
		}
		c.intent, err = s.signedIntent(ctx, c.key, c.ev, c.grant, c.draft, p, c.artifact)
		if err == nil && c.intent.Receipt != nil {
			receipt, err := s.repeat(ctx, c.intent)
			c.receipt = &receipt
			return err
		}
		return err
	})
	// 6. Those that are signed are brought to their end, whatever became of the
	// others.
	errs = append(errs, s.finishAll(ctx, distinct)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(charges))
	for i, c := range charges {
		receipts[i] = *same[c.key].receipt
	}
	for _, c := range distinct {
		c.hold.leaveReceipt(p.TokenID, *c.receipt)
	}
	return receipts, nil
}

// attestOwn makes one statement of the service's own in the course of a request.
// It returns the digest of the statement's bytes, too.
func (s *Service) attestOwn(ctx context.Context, p Principal, a oci.Artifact, req Request, d carried) (Receipt, attest.Digest, error) {
	own := &charge{carried: d, artifact: a, own: true}
	receipts, err := s.attestAll(ctx, p, req, []*charge{own})
	if err != nil {
		return Receipt{}, "", err
	}
	return receipts[0], attest.DigestOf(own.draft.statement), nil
}

// prepare decides about a charge and makes its statement.
func (s *Service) prepare(ctx context.Context, p Principal, req Request, c *charge) error {
	c.req = Request{
		Action: ActionAttest, Image: req.Image, PredicateType: c.PredicateType, Predicate: c.Predicate, Origin: req.Origin, own: c.own, vex: c.isVEX(),
	}
	c.ev = s.newEvent(c.req)
	c.ev.Requester, c.ev.Digest = requesterOf(p), string(c.artifact.Digest)
	asked := c.req
	asked.PredicateType = c.permitted()
	decision := s.cfg.Policy.Decide(s.policyInput(p, c.artifact, asked))
	grant, ok := decision.Grant()
	if !ok {
		return s.refuse(ctx, c.ev, stagePolicy, refusedBy(decision))
	}
	d, err := s.draftAttestation(p, c.artifact, c.req)
	if err != nil {
		return s.refuse(ctx, c.ev, stageIntent, err)
	}
	if err := s.refuseRevoked(ctx, Principal{SAN: d.san}, c.artifact.Digest); err != nil {
		return s.refuse(ctx, c.ev, stagePolicy, err)
	}
	keyed := c.req
	if c.sameAs != nil {
		keyed.Predicate = c.sameAs
	}
	basis, _ := decision.Basis()
	c.signatures = s.granted(basis, ActionAttest)
	c.grant, c.draft, c.key = grant, d, requestKey(p, c.artifact, keyed)
	return nil
}

// distinctCharges leaves out charges for the same statement, and sorts the others
// by key.
func distinctCharges(charges []*charge) (distinct []*charge, byKey map[string]*charge) {
	byKey = map[string]*charge{}
	for _, c := range charges {
		if byKey[c.key] == nil {
			byKey[c.key] = c
			distinct = append(distinct, c)
		}
	}
	slices.SortFunc(distinct, func(a, b *charge) int { return cmp.Compare(a.key, b.key) })
	return distinct, byKey
}

// keepOriginals pushes the documents that statements name, one after the other:
// they are large.
func (s *Service) keepOriginals(ctx context.Context, charges []*charge) error {
	for _, c := range charges {
		if c.original == nil {
			continue
		}
		if _, err := s.cfg.Registry.AttachDocument(ctx, c.artifact, *c.original); err != nil {
			return about(c.name, s.fail(ctx, c.ev, stageAttach, err))
		}
		faultPoint("document kept")
	}
	return nil
}
