// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

// stuck is a world with one signed intent whose artifact is gone for good.
func stuck(t *testing.T) (*world, *hand, *signer.Service) {
	t.Helper()
	w, clock := newWorld(t), newHand()
	w.clock = clock.now
	s := w.start()
	w.down["verifier"] = errors.New("nothing to attach to")
	if _, err := s.Sign(t.Context(), goodRequest()); err == nil {
		t.Fatal("signed without an artifact")
	}
	w.audit = nil
	return w, clock, s
}

// TestRecoverBacksOff: an intent that can never be attached is tried again
// ever more rarely, and never given up.
func TestRecoverBacksOff(t *testing.T) {
	w, clock, s := stuck(t)
	const tick = 30 * time.Second
	var tried []time.Duration
	start := clock.at
	for clock.at.Sub(start) <= 4*time.Hour {
		before := len(w.audit)
		_, _, err := s.Recover(t.Context())
		if (err != nil) != (len(w.audit) > before) {
			t.Fatalf("error %v with %d new rows", err, len(w.audit)-before)
		}
		if err != nil {
			tried = append(tried, clock.at.Sub(start))
		}
		clock.forward(tick)
	}
	var want []time.Duration
	for at, wait := time.Duration(0), tick; at <= 4*time.Hour; at, wait = at+wait, min(2*wait, time.Hour) {
		want = append(want, at)
	}
	if len(tried) != len(want) {
		t.Fatalf("tried at %v, want %v", tried, want)
	}
	for i := range want {
		if tried[i] != want[i] {
			t.Errorf("attempt %d after %v, want %v", i, tried[i], want[i])
		}
	}

	// The artifact is back: within the hour the intent is finished.
	clear(w.down)
	clock.forward(time.Hour)
	if finished, voided, err := s.Recover(t.Context()); finished != 1 || voided != 0 || err != nil {
		t.Errorf("finished %d, voided %d, %v", finished, voided, err)
	}
	w.check()
}

// TestRecoverAtOnce: neither a job that repeats its request nor a restart waits
// for the next attempt.
func TestRecoverAtOnce(t *testing.T) {
	for name, again := range map[string]func(*world, *signer.Service) error{
		"repeated": func(_ *world, s *signer.Service) error { _, err := s.Sign(t.Context(), goodRequest()); return err },
		"restart":  func(w *world, _ *signer.Service) error { _, _, err := w.start().Recover(t.Context()); return err },
	} {
		w, _, s := stuck(t)
		if _, _, err := s.Recover(t.Context()); err == nil {
			t.Fatal("recovered without an artifact")
		}
		clear(w.down)
		if err := again(w, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.attached) != 1 {
			t.Errorf("%s: %d bundles are attached", name, len(w.attached))
		}
		w.check()
	}
}

// TestRecoverReadsOnce: the journal's list is read once for all intents, page by
// page, and those of every page are tried. What fails alike is not told of each.
func TestRecoverReadsOnce(t *testing.T) {
	w, _, s := stuck(t)
	const intents = 20
	for _, in := range w.intents {
		for i := range intents - 1 {
			in.ID, in.RequestKey = in.ID+string(rune('a'+i)), in.RequestKey+string(rune('a'+i))
			w.intents[in.ID], w.order = in, append(w.order, in.ID)
		}
		break
	}
	_, _, err := s.Recover(t.Context())
	if err == nil {
		t.Fatal("recovered without an artifact")
	}
	if pages := (intents + unfinishedPage - 1) / unfinishedPage; w.listed != pages || len(w.audit) != intents {
		t.Errorf("the list was read in %d pages for %d attempts, want %d for %d", w.listed, len(w.audit), pages, intents)
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 17 || lines[16] != "and 4 more intents" {
		t.Errorf("%d errors, the last one is %q", len(lines), lines[len(lines)-1])
	}
}

// TestRecoverRevoked: what was revoked after it was signed, and before it was
// handed out, is not handed out; it is if the revocation is withdrawn.
func TestRecoverRevoked(t *testing.T) {
	for name, revoked := range map[string]revokedBy{"the identity": workflow, "the artifact": revokedBy(theImage)} {
		w, clock, _ := stuck(t)
		clear(w.down)
		entries := len(w.logs[0].entries)
		w.revocations = revoked
		finished, voided, err := w.start().Recover(t.Context())
		var refused *signer.Refused
		if finished+voided != 0 || !errors.As(err, &refused) || len(w.attached) != 0 || len(w.logs[0].entries) != entries {
			t.Errorf("%s: finished %d, voided %d, %v, %d attached", name, finished, voided, err, len(w.attached))
		}
		clock.forward(time.Hour)
		w.revocations = nil
		if finished, _, err := w.start().Recover(t.Context()); finished != 1 || err != nil {
			t.Errorf("%s withdrawn: finished %d, %v", name, finished, err)
		}
		w.check()
	}
}
