// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
)

// burst is how many refusals without a valid token are recorded in a row.
const burst = 100

// hand is a clock that the test moves.
type hand struct{ at time.Time }

func newHand() *hand { return &hand{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (h *hand) now() time.Time { return h.at }

func (h *hand) forward(d time.Duration) { h.at = h.at.Add(d) }

// flood asks n times with a bad token, and returns how many were told why.
func flood(t *testing.T, s *signer.Service, n int) (told int) {
	t.Helper()
	for range n {
		_, err := s.Sign(t.Context(), signer.Request{Token: "bad", Image: "i"})
		var refused *signer.Unauthenticated
		switch {
		case errors.As(err, &refused):
			told++
		case !errors.Is(err, signer.ErrTooManyRefusals) || !strings.Contains(err.Error(), "bad_signature"):
			t.Fatalf("got %v", err)
		}
	}
	return told
}

// TestFlood: what callers without a valid token make the service write is
// bounded, nothing of it disappears, and jobs do not notice.
func TestFlood(t *testing.T) {
	w, clock, logged := newWorld(t), newHand(), new(bytes.Buffer)
	w.clock, w.logger = clock.now, slog.New(slog.NewTextHandler(logged, nil))
	s := w.start()
	const extra = 400
	if told := flood(t, s, burst+extra); told != burst || len(w.audit) != burst {
		t.Fatalf("%d refusals were recorded and %d told, want %d", len(w.audit), told, burst)
	}
	for _, ev := range w.audit {
		if ev.Unrecorded != 0 {
			t.Errorf("%d unrecorded refusals before the first one", ev.Unrecorded)
		}
	}
	if n := strings.Count(logged.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings in one second, want 1: %s", n, logged)
	}

	// A job's request goes through, and its refusals are recorded one by one.
	if _, err := s.Sign(t.Context(), goodRequest()); err != nil {
		t.Fatalf("a job in a flood: %v", err)
	}
	w.audit = nil
	for range 2 * burst {
		job := goodRequest()
		job.PredicateType = "no type"
		if _, err := s.Attest(t.Context(), job); !errors.Is(err, signer.ErrBadRequest) {
			t.Fatalf("a job's bad request in a flood: %v", err)
		}
	}
	if len(w.audit) != 2*burst || w.audit[0].Unrecorded != extra || w.audit[1].Unrecorded != 0 {
		t.Errorf("%d of a job's refusals were recorded, the first with %d others", len(w.audit), w.audit[0].Unrecorded)
	}

	// The count survives a record that cannot be written.
	flood(t, s, extra)
	clock.forward(5 * time.Second)
	w.down["audit"] = errors.New("the disk is full")
	if _, err := s.Sign(t.Context(), signer.Request{Token: "bad"}); errors.Is(err, signer.ErrTooManyRefusals) || !errors.Is(err, w.down["audit"]) {
		t.Errorf("unrecorded refusal: %v", err)
	}
	clear(w.down)
	w.audit = nil
	if told := flood(t, s, extra); told == 0 || told > burst/2 || told != len(w.audit) {
		t.Fatalf("five seconds later %d are told and %d recorded", told, len(w.audit))
	}
	if got := w.audit[0].Unrecorded; got != extra {
		t.Errorf("%d unrecorded refusals, want %d", got, extra)
	}
	if n := strings.Count(logged.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings after the second flood, want 2: %s", n, logged)
	}
}

// TestFloodOfRequests: a request that is bad whoever asks counts as one without
// a token as long as nobody knows who asks.
func TestFloodOfRequests(t *testing.T) {
	w := newWorld(t)
	w.clock = newHand().now
	s := w.start()
	for range 2 * burst {
		if _, err := s.Attest(t.Context(), signer.Request{Token: "bad", PredicateType: "no type"}); err == nil || errors.Is(err, signer.ErrBadRequest) {
			t.Fatalf("got %v", err)
		}
		if _, err := s.Admit(t.Context(), signer.Request{Token: "bad"}); err == nil {
			t.Fatal("a bad token was admitted")
		}
	}
	if len(w.audit) != burst {
		t.Errorf("%d rows, want %d", len(w.audit), burst)
	}
}

// TestFloodWithoutKeys: while nobody can tell whose token is good, the rows are
// bounded and a job hears of the issuer, not of a flood.
func TestFloodWithoutKeys(t *testing.T) {
	w := newWorld(t)
	w.clock = newHand().now
	s := w.start()
	w.down["issuer"] = errors.New("no route to host")
	for range 2 * burst {
		if _, err := s.Sign(t.Context(), goodRequest()); !errors.Is(err, signer.ErrNoKeys) || errors.Is(err, signer.ErrTooManyRefusals) {
			t.Fatalf("got %v", err)
		}
	}
	if len(w.audit) != burst {
		t.Errorf("%d rows, want %d", len(w.audit), burst)
	}
}

// TestRowsAreBounded: characters that JSON writes as six bytes do not make the
// row of a bad token larger.
func TestRowsAreBounded(t *testing.T) {
	const maxRow = 3 << 10
	for _, letter := range []string{"\x00", "\x1b", "<", "&", `"`, `\`, "\xff", "\u2028", "\ufffd", "é", "\U0001f512", "\x7f"} {
		w := newWorld(t)
		w.subject = strings.Repeat(letter, 4000)
		req := signer.Request{Token: "bad", Image: w.subject, PredicateType: w.subject, Origin: signer.Origin{RequestID: "id", RemoteAddr: "192.0.2.1:1"}}
		if _, err := w.start().Sign(t.Context(), req); err == nil {
			t.Fatal("a bad token was accepted")
		}
		row, err := json.Marshal(w.audit[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(row) > maxRow || len(w.audit[0].Image) < 80 || !strings.HasSuffix(w.audit[0].Image, "…") {
			t.Errorf("%q: a row of %d bytes, image %q", letter, len(row), w.audit[0].Image)
		}
	}
}
