// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	own      bool // the service's own word
	place    int  // in the request
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
		Action: ActionAttest, Image: req.Image, PredicateType: c.PredicateType, Predicate: c.Predicate, Origin: req.Origin, own: c.own,
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

// finishAll takes the signed charges among these to their receipts: finish, of
// several side by side, with one visit to the registry for each artifact.
func (s *Service) finishAll(ctx context.Context, charges []*charge) []error {
	var open []*charge
	for _, c := range charges {
		if c.receipt == nil && c.intent.Signed != nil {
			open = append(open, c)
		}
	}
	switch len(open) {
	case 0:
		return nil
	case 1:
		return []error{s.finishOne(ctx, open[0])}
	}
	done := make([]logged, len(open))
	errs := sideBySide(lanes(open), func(lane []int) error {
		var failed []error
		for _, i := range lane {
			var err error
			if done[i], err = s.logAndCheck(ctx, open[i].intent); err != nil {
				done[i].attached = nil
			}
			failed = append(failed, about(open[i].name, err))
		}
		return errors.Join(failed...)
	})
	for _, group := range byArtifact(done) {
		errs = append(errs, s.attachGroup(ctx, group))
	}
	return append(errs, sideBySide(indexes(open), func(i int) error {
		if len(done[i].attached) == 0 || done[i].attached[0].Manifest == "" {
			return nil // said above
		}
		receipt, err := s.conclude(ctx, done[i])
		if err == nil {
			open[i].receipt = &receipt
		}
		return about(open[i].name, err)
	})...)
}

func (s *Service) finishOne(ctx context.Context, c *charge) error {
	receipt, err := s.finish(ctx, c.intent)
	if err != nil {
		return about(c.name, err)
	}
	c.receipt = &receipt
	return nil
}

// byArtifact groups what is to be attached to one artifact.
func byArtifact(all []logged) [][]*logged {
	var groups [][]*logged
	at := map[string]int{}
	for i := range all {
		l := &all[i]
		if len(l.attached) == 0 {
			continue
		}
		name := l.in.Artifact.String()
		place, known := at[name]
		if !known {
			place = len(groups)
			at[name] = place
			groups = append(groups, nil)
		}
		groups[place] = append(groups[place], l)
	}
	return groups
}

// attachGroup writes the bundles of several intents about one artifact and reads
// them back. Power fails here: as in finish.
func (s *Service) attachGroup(ctx context.Context, group []*logged) error {
	var blobs []oci.BundleBlob
	for _, l := range group {
		for _, a := range l.attached {
			blobs = append(blobs, oci.BundleBlob{Bytes: a.Bundle, PredicateType: l.in.PredicateType, Created: l.in.Created})
		}
	}
	manifests, err := s.cfg.Registry.AttachBundles(ctx, group[0].in.Artifact, blobs)
	if err != nil {
		var errs []error
		for _, l := range group {
			errs = append(errs, s.fail(ctx, l.ev, stageAttach, err))
		}
		return errs[0]
	}
	n := 0
	for _, l := range group {
		for i := range l.attached {
			l.attached[i].Manifest = manifests[n]
			n++
			faultPoint("attached")
		}
	}
	return nil
}

// lanes are the indexes of charges that are logged one after the other, in the
// order of the request: of two scans the later one in the log counts.
func lanes(charges []*charge) [][]int {
	at := map[string][]int{}
	var order []string
	for i, c := range charges {
		name := string(c.Evidence.Kind) + " " + c.artifact.String()
		if c.Evidence.Kind == "" {
			name = c.PredicateType + " " + c.artifact.String()
		}
		if at[name] == nil {
			order = append(order, name)
		}
		at[name] = append(at[name], i)
	}
	all := make([][]int, len(order))
	for i, name := range order {
		all[i] = at[name]
		slices.SortFunc(all[i], func(a, b int) int { return charges[a].place - charges[b].place })
	}
	return all
}

// indexes are those of a list.
func indexes[T any](list []T) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

// sideBySide calls f with each of the list at the same time and returns the
// errors. A panic of one is the caller's, after all have ended.
func sideBySide[T any](list []T, f func(T) error) []error {
	errs := make([]error, len(list))
	panics := make([]any, len(list))
	var group sync.WaitGroup
	for i, one := range list {
		call := func() {
			defer func() { panics[i] = recover() }()
			errs[i] = f(one)
		}
		if len(list) == 1 {
			call()
			continue
		}
		group.Go(call)
	}
	group.Wait()
	for _, p := range panics {
		if p != nil {
			panic(p)
		}
	}
	return errs
}

// AttestDocuments attests the documents of a request and signs nothing else. It
// returns their receipts in the order of the documents, and of one document in
// the order of the platforms. Errors are those of Attest.
func (s *Service) AttestDocuments(ctx context.Context, req Request) ([]Receipt, error) {
	req.Action = ActionAttest
	ev := s.newEvent(req)
	principal, err := s.admit(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.PredicateType != "" {
		if req.PredicateType, err = attestationType(req.PredicateType); err == nil {
			err = foreign(req.PredicateType, req.Predicate)
		}
		if err != nil {
			return nil, s.refuse(ctx, ev, stageRequest, err)
		}
	}
	ev.Requester = requesterOf(principal)
	artifact, err := s.find(ctx, ev, principal, req)
	if err != nil {
		return nil, err
	}
	ev.Digest = string(artifact.Digest)
	if err := s.refuseRevoked(ctx, principal, artifact.Digest); err != nil {
		return nil, s.refuse(ctx, ev, stagePolicy, err)
	}
	charges, err := s.charges(ctx, artifact, req)
	if err != nil {
		return nil, s.refuse(ctx, ev, stageEvidence, err)
	}
	return s.attestAll(ctx, principal, req, charges)
}

// charges are the statements that a request asks for: each document, or the
// predicate, about each subject.
func (s *Service) charges(ctx context.Context, a oci.Artifact, req Request) ([]*charge, error) {
	about := []oci.Artifact{a}
	if req.Platform != "" && req.Platform != platformIndex {
		images, err := s.cfg.Registry.Images(ctx, a)
		if err != nil {
			return nil, err
		}
		if about, err = subjects(a, images, req.Platform); err != nil {
			return nil, err
		}
	}
	if req.Platform == platformIndex && a.Kind != oci.KindIndex {
		return nil, fmt.Errorf("%w: %s is no index", ErrBadRequest, a)
	}
	documents, err := s.recognise(a, req.Documents)
	if err != nil {
		return nil, err
	}
	if req.PredicateType != "" && req.Action == ActionAttest {
		documents = append(documents, carried{name: "predicate", Document: attest.Document{PredicateType: req.PredicateType, Predicate: req.Predicate}})
	}
	if n := len(documents) * len(about); n > maxCharges {
		return nil, fmt.Errorf("%w: %d statements, at most %d in one request (hint: attest the platforms one by one)", ErrBadRequest, n, maxCharges)
	}
	var all []*charge
	for _, d := range documents {
		for _, subject := range about {
			c := &charge{carried: d, artifact: subject}
			if d.Evidence.Kind == "" {
				c.kin, err = s.predicateIsAbout(ctx, a, subject, d.PredicateType, d.Predicate)
			} else {
				c.kin, err = s.isAbout(ctx, a, subject, d.Evidence)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", d.name, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// maxCharges bounds the statements of one request.
const maxCharges = 64
