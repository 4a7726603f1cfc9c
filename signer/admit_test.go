// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// TestAdmit: the token alone decides, and a refusal is on record.
func TestAdmit(t *testing.T) {
	w := newWorld(t)
	s := w.start()
	if _, err := s.Admit(t.Context(), signer.Request{Token: "good", Action: signer.ActionAttest}); err != nil || len(w.audit) != 0 {
		t.Errorf("got %v and %d audit events, want nothing", err, len(w.audit))
	}
	var refused *signer.Unauthenticated
	_, err := s.Admit(t.Context(), signer.Request{Token: "bad", Action: signer.ActionAttest, Origin: signer.Origin{RemoteAddr: "192.0.2.1:1"}})
	if !errors.As(err, &refused) || len(w.audit) != 1 {
		t.Fatalf("got %v and %d audit events, want a refusal and one", err, len(w.audit))
	}
	if ev := w.audit[0]; ev.Decision != signer.DecisionRefused || ev.Action != signer.ActionAttest || ev.RemoteAddr == "" {
		t.Errorf("recorded %+v", ev)
	}
	w.down["audit"] = errors.New("the disk is full")
	if _, err := s.Admit(t.Context(), signer.Request{Token: "bad"}); err == nil || errors.As(err, &refused) {
		t.Errorf("unrecorded refusal: got %v", err)
	}
}
