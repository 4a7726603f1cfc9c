// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// Stages of the flow, as refusals and the audit record name them.
const (
	stageRequest      = "request"
	stageAuthenticate = "authenticate"
	stageQuota        = "quota"
	stageResolve      = "resolve"
	stageEvidence     = "evidence"
	stagePolicy       = "policy"
	stageReplay       = "replay"
	stageIntent       = "intent"
	stageSign         = "sign"
	stageLog          = "log"
	stageAttach       = "attach"
)

// draft is what will be signed, and as whom.
type draft struct {
	statement     []byte
	predicateType string
	san           string
	extensions    certificate.Extensions
}

// Sign makes a signature over the artifact's digest under the identity of the
// workflow that asks. See run for the steps.
func (s *Service) Sign(ctx context.Context, req Request) (Receipt, error) {
	req.Action = ActionSign
	req.PredicateType = attest.PredicateSignature
	return s.run(ctx, req, s.draftSignature)
}

func (s *Service) draftSignature(p Principal, a oci.Artifact, _ Request) (draft, error) {
	st, err := attest.NewStatement(a.Digest, attest.PredicateSignature, nil)
	if err != nil {
		return draft{}, err
	}
	payload, err := st.Encode()
	if err != nil {
		return draft{}, err
	}
	return draft{statement: payload, predicateType: attest.PredicateSignature, san: p.SAN, extensions: p.Extensions}, nil
}

// run is the flow, for signatures and attestations alike; compose makes the
// statement that is signed. Its errors are an *Unauthenticated, an *OverQuota, a
// *Refused, a *Replayed, ErrBadRequest, one of package oci's, or anything else
// for "could not finish".
func (s *Service) run(ctx context.Context, req Request, compose func(Principal, oci.Artifact, Request) (draft, error)) (Receipt, error) {
	ev := s.newEvent(req)

	// 1. Who asks, does any rule speak of them, and not too often? Nothing of the
	// request is believed before this.
	principal, err := s.admit(ctx, req)
	if err != nil {
		return Receipt{}, err
	}
	ev.Requester = requesterOf(principal)

	// 2. About what? Who could be allowed nothing there, whatever it is, does not
	// learn whether it is. Then the manifest's bytes are read from the central
	// registry and re-hashed; from here on only the digest counts.
	artifact, err := s.find(ctx, ev, principal, req)
	if err != nil {
		return Receipt{}, err
	}
	ev.Digest = string(artifact.Digest)
	if err := s.refuseRevoked(ctx, principal, artifact.Digest); err != nil {
		return Receipt{}, s.refuse(ctx, ev, stagePolicy, err)
	}

	return s.carryOut(ctx, ev, principal, artifact, req, compose)
}

// find is the second step of every request that asks for something to be made.
// What it refuses is recorded.
func (s *Service) find(ctx context.Context, ev AuditEvent, p Principal, req Request) (oci.Artifact, error) {
	refusal, err := s.hopeless(p, req)
	if err != nil {
		return oci.Artifact{}, s.refuse(ctx, ev, stageResolve, err)
	}
	if refusal != nil {
		return oci.Artifact{}, s.refuse(ctx, ev, stagePolicy, &Refused{Stage: stagePolicy, Reasons: refusal.Reasons})
	}
	artifact, err := s.resolved(ctx, req)
	if err != nil {
		return oci.Artifact{}, s.refuse(ctx, ev, stageResolve, err)
	}
	return artifact, nil
}

// carryOut is the flow from the decision on. Evidence that a request brings
// comes in here, too: it is attested for the same principal about the same
// artifact.
func (s *Service) carryOut(ctx context.Context, ev AuditEvent, principal Principal, artifact oci.Artifact, req Request, compose func(Principal, oci.Artifact, Request) (draft, error)) (Receipt, error) {
	// 3. May they? For a signature this looks at evidence: what came along is
	// attested first, so that only logged statements count (see gates.go). Only
	// a Grant goes on, and it is good for one signature.
	var attested []AttestedDocument
	decision, err := s.decide(ctx, principal, artifact, req, &attested)
	if err != nil {
		return Receipt{}, s.refuse(ctx, ev, stageEvidence, err)
	}
	grant, ok := decision.Grant()
	if !ok {
		return Receipt{}, s.refuse(ctx, ev, stagePolicy, refusedBy(decision))
	}
	d, err := compose(principal, artifact, req)
	if err != nil {
		return Receipt{}, s.refuse(ctx, ev, stageIntent, err)
	}
	// Attestations are by another identity than that of who asks.
	if err := s.refuseRevoked(ctx, Principal{SAN: d.san}, artifact.Digest); err != nil {
		return Receipt{}, s.refuse(ctx, ev, stagePolicy, err)
	}

	// From here on the client may go away: what was begun is brought to an end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()

	// Two identical requests at a time would both see no receipt. The one that
	// waits gets what the other was given.
	key := requestKey(principal, artifact, req)
	hold, err := s.inflight.lock(ctx, key)
	if err != nil {
		return Receipt{}, s.refuse(ctx, ev, stageIntent, err)
	}
	defer hold.unlock()
	if receipt := hold.left(principal.TokenID); receipt != nil {
		answer := *receipt
		answer.Documents = attested
		return answer, nil
	}
	receipt, err := s.serve(ctx, key, ev, grant, d, principal, artifact)
	if err == nil {
		hold.leaveReceipt(principal.TokenID, receipt)
	}
	receipt.Documents = attested
	return receipt, err
}

// serve is the part of the flow that changes the world: one request at a time
// of those with the same key.
func (s *Service) serve(ctx context.Context, key string, ev AuditEvent, grant *policy.Grant, d draft, p Principal, a oci.Artifact) (Receipt, error) {
	intent, err := s.signedIntent(ctx, key, ev, grant, d, p, a)
	if err != nil {
		return Receipt{}, err
	}
	if intent.Receipt != nil {
		return s.repeat(ctx, intent)
	}
	// 6. Log, check as a stranger would, attach, receipt.
	return s.finish(ctx, intent)
}

// signedIntent is the part of serve before the log: what it returns is signed, or has
// its receipt from an earlier request.
func (s *Service) signedIntent(ctx context.Context, key string, ev AuditEvent, grant *policy.Grant, d draft, p Principal, a oci.Artifact) (Intent, error) {
	// 4. Look whether what will be signed can be attached, count the use of the
	// token and record the intent. Power fails here: an intent without a signature,
	// which start-up voids.
	faultPoint("granted")
	intent, err := s.begin(ctx, key, ev, grant, d, p, a)
	if err != nil {
		return Intent{}, s.refuse(ctx, ev, stageOf(err, stageIntent), err)
	}
	faultPoint("intent recorded")

	// 5. Sign in every mode that was granted, timestamp, and check what was
	// signed. Power fails here: the signatures existed in memory only. (A KMS
	// remembers that it was asked, and has no copy.)
	if intent.Signed == nil && intent.Receipt == nil {
		signed, err := s.sign(ctx, intent, d)
		if err != nil {
			return Intent{}, s.void(ctx, intent, ev, err)
		}
		faultPoint("signed")
		// Power fails here, before the write returns: as above. After it: the
		// signature is kept, and finish brings it into the log exactly once.
		if intent, err = s.keep(ctx, intent, signed); err != nil {
			return Intent{}, fmt.Errorf("record signature of intent %s: %w", intent.ID, err)
		}
		faultPoint("signature kept")
	}
	return intent, nil
}

// finish takes a signed intent to its receipt. The flow, a repeated request
// and start-up recovery all call it; each step may be done any number of times
// with the same result. Several intents about one artifact take the same steps
// side by side: see finishAll.
func (s *Service) finish(ctx context.Context, in Intent) (Receipt, error) {
	// 6a, 6b. Log and check.
	l, err := s.logAndCheck(ctx, in)
	if err != nil {
		return Receipt{}, err
	}
	// 6c. Attach and read back: a bundle for each signature and log, and one tag.
	// Power fails here: start-up attaches the same bytes again (a grown log gives
	// another proof, hence a second referrer of the same signature and entry,
	// which verifies as well). A layer that the tag has is not added again.
	for i := range l.attached {
		manifest, err := s.attach(ctx, in, l.attached[i].Bundle)
		if err != nil {
			return Receipt{}, s.fail(ctx, l.ev, stageAttach, err)
		}
		l.attached[i].Manifest = manifest
		faultPoint("attached")
	}
	return s.conclude(ctx, l)
}

// logged is an intent whose signatures are in the logs and verify, with what is
// to be attached.
type logged struct {
	in       Intent
	ev       AuditEvent
	attached []Attached
	layers   []tagged
	tags     []AttachedTag // of the layers, if they are under their tag already
}

// logAndCheck is the part of finish before anything is attached.
func (s *Service) logAndCheck(ctx context.Context, in Intent) (logged, error) {
	l := logged{in: in, ev: eventOf(in, s.cfg.Clock())}
	var entries [][]attest.LogEntry // of each signature, in each log
	for _, signed := range in.Signed.all() {
		made := make([]attest.LogEntry, len(s.cfg.Logs))
		for i, log := range s.cfg.Logs {
			// 6a. Log, and wait for the inclusion proof. Power fails here: the entry
			// may be in the log; appending it again returns it.
			var err error
			if made[i], err = log.Append(ctx, signed.entry(in)); err != nil {
				return l, s.fail(ctx, l.ev, stageLog, err)
			}
			faultPoint("logged")
			// 6b. Check the whole bundle with the published trusted root.
			encoded, err := s.bundle(ctx, in, signed, made[i])
			if err != nil {
				return l, s.fail(ctx, l.ev, stageAttach, err)
			}
			l.attached = append(l.attached, attachedOf(signed, made[i], encoded))
		}
		entries = append(entries, made)
	}
	// The same for the layers of a legacy tag, if there are any. Power fails
	// here: as in 6a.
	var err error
	if l.layers, err = s.tagLayers(ctx, in, entries); err != nil {
		return l, s.fail(ctx, l.ev, stageLog, err)
	}
	faultPoint("checked")
	return l, nil
}

// conclude is the part of finish after the bundles are attached.
func (s *Service) conclude(ctx context.Context, l logged) (Receipt, error) {
	tags := l.tags
	if tags == nil {
		var err error
		if tags, err = s.attachTag(ctx, l.in, l.layers); err != nil {
			return Receipt{}, s.fail(ctx, l.ev, stageAttach, err)
		}
	}
	// 6d. Receipt and audit record in one transaction. Power fails here: the
	// repeated request or start-up walks 6a to 6d again.
	receipt := receiptOf(l.in, l.attached, tags)
	l.ev.Decision, l.ev.LogIndex = DecisionSigned, receipt.LogIndex
	l.ev.Time = s.cfg.Clock() // behind every proven time: who reads receipts newest first relies on it
	err := s.cfg.Journal.Finish(ctx, l.in.ID, receipt, l.ev)
	if errors.Is(err, ErrNoIntent) {
		return s.finishedElsewhere(ctx, l.in)
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("record receipt of intent %s: %w", l.in.ID, err)
	}
	faultPoint("finished")
	return receipt, nil
}

// repeat answers a request that was served before: the first receipt, with its
// bundle back in the registry should somebody have deleted it.
func (s *Service) repeat(ctx context.Context, in Intent) (Receipt, error) {
	for _, bundle := range in.Receipt.bundles() {
		if _, err := s.attach(ctx, in, bundle); err != nil {
			return Receipt{}, s.fail(ctx, eventOf(in, s.cfg.Clock()), stageAttach, err)
		}
	}
	if len(in.Receipt.Tags) > 0 {
		if err := s.repeatTag(ctx, in); err != nil {
			return Receipt{}, s.fail(ctx, eventOf(in, s.cfg.Clock()), stageAttach, err)
		}
	}
	return *in.Receipt, nil
}

// repeatTag brings an intent's layers back under its tag. Their entries are
// asked for again: the log has them.
func (s *Service) repeatTag(ctx context.Context, in Intent) error {
	layers, err := s.tagLayers(ctx, in, nil)
	if err != nil {
		return err
	}
	_, err = s.attachTag(ctx, in, layers)
	return err
}

// begin redeems the grant and records the intent. It returns the intent of an
// earlier, identical request if there is one that can be gone on with.
func (s *Service) begin(ctx context.Context, key string, ev AuditEvent, grant *policy.Grant, d draft, p Principal, a oci.Artifact) (Intent, error) {
	terms, err := grant.Redeem()
	if err != nil {
		return Intent{}, err
	}
	in, err := newIntent(key, s.cfg.Clock(), terms, d, p, a)
	if err != nil {
		return Intent{}, err
	}
	if err := s.refuseRevokedModes(ctx, in.Modes, in.Action); err != nil {
		return Intent{}, err
	}
	if err := s.refuseFull(ctx, in); err != nil {
		return Intent{}, err
	}
	ev.Decision, ev.Rule, ev.PolicyDigest, ev.IntentID, ev.Evidence = DecisionGranted, in.Rule, in.PolicyDigest, in.ID, terms.Evidence
	ev.Modes = in.Modes
	// An identical request that a crash or a fault stopped has left its intent:
	// the flow goes on from there. Nobody else in this process works on it, its
	// key is locked; for other processes see elsewhere.go.
	return s.beginAs(ctx, in, s.tokenUse(p), ev)
}
