// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestNoRoom: what could not be attached is not signed: no intent, no log entry, no use of the token, and the refusal says what to delete.
func TestNoRoom(t *testing.T) {
	w := newWorld(t).withTwoLogs()
	w.full = fmt.Errorf("tag: %w layers (hint: delete the tag)", oci.ErrTooMany)
	s := w.start()
	for range 2 * signer.DefaultMaxUses {
		_, err := s.Sign(t.Context(), goodRequest())
		if !errors.Is(err, oci.ErrTooMany) || !strings.Contains(err.Error(), "delete the tag") {
			t.Fatalf("got %v", err)
		}
	}
	last := w.audit[len(w.audit)-1]
	if len(w.intents) != 0 || len(w.logs[0].entries)+len(w.logs[1].entries) != 0 || len(w.attached) != 0 {
		t.Errorf("%d intents, %d entries, %d attachments", len(w.intents), len(w.logs[0].entries), len(w.attached))
	}
	if last.Decision != signer.DecisionRefused || last.Stage != "attach" || last.Digest != string(theImage) {
		t.Errorf("recorded %+v", last)
	}
	// A registry that does not answer is no refusal.
	w.full = fmt.Errorf("registry: %w", oci.ErrUnavailable)
	if _, err := s.Sign(t.Context(), goodRequest()); !errors.Is(err, oci.ErrUnavailable) || w.audit[len(w.audit)-1].Decision != signer.DecisionFailed {
		t.Errorf("got %v, recorded %+v", err, w.audit[len(w.audit)-1])
	}
	if _, err := s.DryRun(t.Context(), goodRequest()); !errors.Is(err, oci.ErrUnavailable) {
		t.Errorf("dry run: %v", err)
	}
	w.full = oci.ErrTooMany
	if x, err := s.DryRun(t.Context(), goodRequest()); err != nil || x.Allowed || x.Rule != "" || len(x.Reasons) != 1 || !strings.Contains(x.Reasons[0], "nothing is signed") {
		t.Errorf("dry run: %+v, %v", x, err)
	}
	// Somebody made room.
	w.full = nil
	if _, err := s.Sign(t.Context(), goodRequest()); err != nil {
		t.Error(err)
	}
	w.check()
}

// TestNoRoomForWhatIsThere: a request that was signed before gets its receipt, however full it is now: its own place is one of those taken.
func TestNoRoomForWhatIsThere(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	first, err := s.Sign(t.Context(), goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	w.full = oci.ErrTooMany
	again, err := w.start().Sign(t.Context(), goodRequest())
	if err != nil || again.ID != first.ID {
		t.Errorf("receipt %q and %q, %v", first.ID, again.ID, err)
	}
	// One that was signed and not attached goes on.
	w = newWorld(t)
	s = w.start()
	w.before = func(port string) {
		if port == "verifier" { // after the log
			w.down["registry"] = oci.ErrUnavailable
		}
	}
	if _, err := s.Sign(t.Context(), goodRequest()); err == nil {
		t.Fatal("attached to a registry that is down")
	}
	w.before = nil
	clear(w.down)
	w.full = oci.ErrTooMany
	if _, err := s.Sign(t.Context(), goodRequest()); err != nil || len(w.logs[0].entries) != 1 {
		t.Errorf("%d entries, %v", len(w.logs[0].entries), err)
	}
	// Nobody can tell while the journal does not answer.
	w.down["journal"] = errors.New("the disk is gone")
	if _, err := w.start().Sign(t.Context(), goodRequest()); err == nil {
		t.Error("decided without a journal")
	}
	w.check()
}
