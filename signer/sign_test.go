// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

func goodRequest() signer.Request {
	return signer.Request{Token: "good", Image: "registry.example/acme/app@" + string(theImage)}
}

// untilPowerFails runs f and says whether the power failed in it.
func untilPowerFails(f func()) (failed bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, cut := r.(powerCut); !cut {
				panic(r)
			}
			failed = true
		}
	}()
	f()
	return false
}

// TestPowerCut fails the power at every call of the flow, before and after its
// effect, and again at every call of the recovery from that. Whatever happens,
// the world stays consistent, and the repeated request gets its one receipt.
func TestPowerCut(t *testing.T) {
	oneLog := func() *world { return newWorld(t) }
	twoLogs := func() *world { return newWorld(t).withTwoLogs() }
	attestation := goodRequest()
	attestation.PredicateType, attestation.Predicate = "https://spdx.dev/Document", []byte(`{"spdxVersion": "SPDX-2.3"}`)
	sign := func(s *signer.Service) (signer.Receipt, error) { return s.Sign(t.Context(), goodRequest()) }
	for name, tc := range map[string]struct {
		world  func() *world
		ask    func(*signer.Service) (signer.Receipt, error)
		places int
	}{
		// Resolve, room, begin, certificate, timestamp, keep, log, check, attach, finish.
		"sign":   {oneLog, sign, 10},
		"attest": {oneLog, func(s *signer.Service) (signer.Receipt, error) { return s.Attest(t.Context(), attestation) }, 10},
		// Log, check and attach twice.
		"two logs": {twoLogs, sign, 13},
	} {
		for _, after := range []bool{false, true} {
			cuts := 0
			for first := 1; ; first++ {
				if done := cutTwice(t, tc.world, tc.ask, first, after, &cuts); done {
					break
				}
			}
			if cuts != tc.places {
				t.Errorf("%s: the power failed at %d places, the flow has %d", name, cuts, tc.places)
			}
		}
	}
}

func cutTwice(t *testing.T, fresh func() *world, ask func(*signer.Service) (signer.Receipt, error), first int, after bool, cuts *int) (done bool) {
	for second := 1; ; second++ {
		w := fresh()
		s := w.start()
		w.cutAt, w.after = first, after
		if !untilPowerFails(func() { _, _ = ask(s) }) {
			return true
		}
		w.check()
		s = w.start()
		w.cutAt = second
		again := untilPowerFails(func() { _, _, _ = s.Recover(t.Context()) })
		w.check()
		s = w.start()
		if _, _, err := s.Recover(t.Context()); err != nil {
			t.Fatalf("cut at %d (after: %v) and %d: recover: %v", first, after, second, err)
		}
		w.check()
		receipt, err := ask(s)
		if err != nil {
			t.Fatalf("cut at %d (after: %v) and %d: repeat the request: %v", first, after, second, err)
		}
		w.check()
		if len(w.logs[0].entries) != w.entriesOf(receipt) {
			t.Fatalf("cut at %d (after: %v) and %d: %d signatures for one request", first, after, second, len(w.logs[0].entries))
		}
		repeated, err := ask(s)
		if err != nil || repeated.ID != receipt.ID {
			t.Fatalf("the same request again gave receipt %s (%v), want %s", repeated.ID, err, receipt.ID)
		}
		if !again {
			*cuts++
			return false
		}
	}
}

func TestRefusals(t *testing.T) {
	down := errors.New("the disk is full")
	for _, tc := range []struct {
		name     string
		change   func(*world, *signer.Request)
		is       error
		decision string
	}{
		{"bad token", func(_ *world, r *signer.Request) { r.Token = "bad" }, nil, signer.DecisionRefused},
		{"issuer down", func(w *world, _ *signer.Request) { w.down["issuer"] = down }, signer.ErrNoKeys, signer.DecisionFailed},
		{"unknown digest", func(_ *world, r *signer.Request) {
			r.Image = "registry.example/acme/app@" + string(attest.DigestOf([]byte("other")))
		}, oci.ErrNotFound, signer.DecisionRefused},
		{"policy", func(_ *world, r *signer.Request) { r.Image = strings.Replace(r.Image, "acme/", "other/", 1) }, nil, signer.DecisionRefused},
		{"registry down", func(w *world, _ *signer.Request) { w.down["registry"] = oci.ErrUnavailable }, oci.ErrUnavailable, signer.DecisionFailed},
		{"journal down", func(w *world, _ *signer.Request) { w.down["journal"] = down }, down, signer.DecisionFailed},
		{"CA down", func(w *world, _ *signer.Request) { w.down["ca"] = down }, down, signer.DecisionVoided},
		{"TSA down", func(w *world, _ *signer.Request) { w.down["tsa"] = down }, down, signer.DecisionVoided},
		{"log busy", func(w *world, _ *signer.Request) { w.down["log"] = signer.ErrBusy }, signer.ErrBusy, signer.DecisionFailed},
		{"does not verify", func(w *world, _ *signer.Request) { w.down["verifier"] = down }, down, signer.DecisionFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.start()
			req := goodRequest()
			tc.change(w, &req)
			_, err := s.Sign(t.Context(), req)
			if err == nil || (tc.is != nil && !errors.Is(err, tc.is)) {
				t.Fatalf("error %v, want %v", err, tc.is)
			}
			if len(w.attached) != 0 {
				t.Error("a bundle was attached")
			}
			if last := w.audit[len(w.audit)-1]; last.Decision != tc.decision || len(last.Reasons) == 0 {
				t.Errorf("the last audit event is %q with reasons %q, want %q", last.Decision, last.Reasons, tc.decision)
			}
			for _, ev := range w.audit {
				if strings.Contains(strings.Join(ev.Reasons, " "), "good") {
					t.Errorf("the audit record holds the token: %q", ev.Reasons)
				}
			}
			w.check()
			// The fault ends: the same request succeeds, with one signature.
			clear(w.down)
			if _, err := s.Sign(t.Context(), goodRequest()); err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			if len(w.logs[0].entries) != 1 {
				t.Errorf("%d signatures for one request", len(w.logs[0].entries))
			}
			w.check()
		})
	}
}

// longSubject is what an unverified token says of itself. A cut at any even
// number of bytes is inside a letter.
var longSubject = "x" + strings.Repeat("é", 4000)

// What somebody else wrote is cut before it is kept, and not inside a letter.
func TestAuditIsBounded(t *testing.T) {
	w := newWorld(t)
	req := goodRequest()
	req.Token, req.Image = "bad", longSubject
	if _, err := w.start().Sign(t.Context(), req); err == nil {
		t.Fatal("a bad token was accepted")
	}
	last := w.audit[len(w.audit)-1]
	for _, kept := range []string{last.Image, last.Requester.Subject} {
		if !utf8.ValidString(kept) || !strings.HasPrefix(longSubject, strings.TrimSuffix(kept, "…")) || len(kept) < 500 || len(kept) > 520 {
			t.Errorf("kept %q, %d bytes", kept, len(kept))
		}
	}
}

// An unaudited decision must not take effect.
func TestAuditDown(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	w.down["audit"] = errors.New("the disk is full")
	req := goodRequest()
	req.Token = "bad"
	_, err := s.Sign(t.Context(), req)
	var unauthenticated *signer.Unauthenticated
	if err == nil || errors.As(err, &unauthenticated) {
		t.Errorf("got %v, want the failure to record", err)
	}
}

func TestAttestationIdentity(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	req := goodRequest()
	req.PredicateType, req.Predicate = "spdxjson", []byte(`{ "spdxVersion":  "SPDX-2.3" }`)
	receipt, err := s.Attest(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Identity != origin+"/attestor" || receipt.Issuer != origin {
		t.Errorf("attested as %s of %s, want the attestor of %s", receipt.Identity, receipt.Issuer, origin)
	}
	if receipt.PredicateType != "https://spdx.dev/Document" || receipt.Requester != workflow {
		t.Errorf("receipt says type %s, requester %s", receipt.PredicateType, receipt.Requester)
	}
	b, err := attest.ParseBundle(receipt.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b.Payload), string(req.Predicate)) {
		t.Errorf("the predicate is not in the statement byte for byte: %s", b.Payload)
	}
}

func TestAttestRefusesSignatures(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	req := goodRequest()
	req.PredicateType, req.Predicate = attest.PredicateSignature, []byte(`{}`)
	if _, err := s.Attest(t.Context(), req); !errors.Is(err, signer.ErrBadRequest) {
		t.Errorf("got %v, want ErrBadRequest", err)
	}
	if len(w.audit) != 1 || len(w.logs[0].entries) != 0 {
		t.Errorf("%d audit events and %d log entries, want 1 and 0", len(w.audit), len(w.logs[0].entries))
	}
}

// Identical requests at the same time get one signature.
func TestParallelCopies(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	const copies = 50
	ids := make([]string, copies)
	var wg sync.WaitGroup
	for i := range copies {
		wg.Go(func() {
			receipt, err := s.Sign(context.Background(), goodRequest())
			if err != nil {
				t.Error(err)
			}
			ids[i] = receipt.ID
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("receipts %s and %s for one request", id, ids[0])
		}
	}
	if len(w.logs[0].entries) != 1 {
		t.Errorf("%d signatures for one request", len(w.logs[0].entries))
	}
}

// A client that goes away leaves a finished signature, not a half one.
func TestClientGoesAway(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	ctx, cancel := context.WithCancel(t.Context())
	w.hangUp = cancel
	if _, err := s.Sign(ctx, goodRequest()); err != nil {
		t.Fatal(err)
	}
	w.check()
}

func TestIncompleteConfig(t *testing.T) {
	if _, err := signer.New(signer.Config{Origin: origin}); err == nil {
		t.Error("a service without an audit was constructed")
	}
}
