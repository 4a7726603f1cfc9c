// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// TestTwoProcesses has a second process serve the same request from beginning
// to end just before each call that the first one makes on the world, and
// wants one signature, one receipt, and the same answer for both.
func TestTwoProcesses(t *testing.T) {
	calls := 0
	for at := 1; ; at++ {
		w := newWorld(t)
		first, second := w.start(), w.start()
		var theirs signer.Receipt
		calls = 0
		w.before = func(string) {
			if calls++; calls != at {
				return
			}
			w.before = nil
			var err error
			if theirs, err = second.Sign(t.Context(), goodRequest()); err != nil {
				t.Fatalf("at call %d: second process: %v", at, err)
			}
			w.check()
		}
		ours, err := first.Sign(t.Context(), goodRequest())
		if w.before != nil {
			break // the flow has fewer calls than that
		}
		if err != nil {
			t.Fatalf("at call %d: first process: %v", at, err)
		}
		w.check()
		if ours.ID != theirs.ID || ours.BundleDigest != theirs.BundleDigest {
			t.Errorf("at call %d: receipts %s of bundle %s and %s of bundle %s", at, ours.ID, ours.BundleDigest, theirs.ID, theirs.BundleDigest)
		}
		if n := len(w.logs[0].entries); n != 1 {
			t.Errorf("at call %d: %d signatures for one request", at, n)
		}
	}
	if calls < 9 {
		t.Errorf("the flow made %d calls: too few to have been interrupted everywhere", calls)
	}
}

// TestGivenUpElsewhere has another process void the intent while this one
// signs: nothing is logged, and asking again succeeds.
func TestGivenUpElsewhere(t *testing.T) {
	w := newWorld(t)
	s, other := w.start(), w.start()
	w.before = func(port string) {
		if port == "tsa" {
			w.before = nil
			if _, voided, err := other.Recover(t.Context()); err != nil || voided != 1 {
				t.Fatalf("recover: %d voided, %v", voided, err)
			}
		}
	}
	if _, err := s.Sign(t.Context(), goodRequest()); !errors.Is(err, signer.ErrBusy) {
		t.Fatalf("got %v, want ErrBusy", err)
	}
	w.check()
	if n := len(w.logs[0].entries); n != 0 {
		t.Errorf("%d entries of a signature that was given up", n)
	}
	if _, err := s.Sign(t.Context(), goodRequest()); err != nil {
		t.Fatal(err)
	}
	w.check()
}

// TestGrantedByAnotherPolicy: an intent that a process left before it signed is
// not signed as its policy said, if that is not what policy says now: the key
// that a rule named may be out of bounds, or revoked.
func TestGrantedByAnotherPolicy(t *testing.T) {
	w := newWorld(t).withKeys("")
	s := w.start()
	w.before = func(port string) {
		if port == "kms" {
			panic(powerCut{})
		}
	}
	if !untilPowerFails(func() { _, _ = s.Sign(t.Context(), goodRequest()) }) {
		t.Fatal("the key was not asked")
	}
	w.before, w.policy = nil, testPolicy
	w.revocations = revokedKey(t, w.keys["release"].Signatures.Public())
	receipt, err := w.start().Sign(t.Context(), goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	w.check()
	if receipt.Key != "" || len(receipt.Others) != 0 || receipt.Identity != workflow {
		t.Errorf("signed by key %q as %q, and %d more", receipt.Key, receipt.Identity, len(receipt.Others))
	}
	if len(w.intents) != 2 || !w.void[w.order[0]] || len(w.uses) != 1 {
		t.Errorf("intents %v, void %v, %d tokens", w.order, w.void, len(w.uses))
	}
}
