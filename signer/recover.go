// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// An intent that cannot be finished now is tried again, and each attempt is an
// audit event. What fails for a minute is tried again soon; what can never be
// attached, such as to an artifact that was deleted, becomes a row an hour.
const (
	firstRetry = 30 * time.Second
	lastRetry  = time.Hour
)

// Recover finishes or voids what a crash left. It is called at start-up and
// may be called again at any time: what cannot be finished now (registry down)
// stays and is in the returned error. An intent that failed is left alone for
// a while, longer each time, and is in no error meanwhile.
func (s *Service) Recover(ctx context.Context) (finished, voided int, err error) {
	open, err := s.cfg.Journal.Unfinished(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read unfinished intents: %w", err)
	}
	now := s.cfg.Clock()
	var failures []error
	for _, in := range s.retries.due(open, now) {
		did, err := s.recoverOne(ctx, in)
		switch {
		case err != nil:
			s.retries.failed(in.ID, now)
			failures = append(failures, fmt.Errorf("intent %s: %w", in.ID, err))
		case did == DecisionSigned:
			finished++
		case did == DecisionVoided:
			voided++
		}
	}
	return finished, voided, errors.Join(failures...)
}

// recoverOne finishes or voids one intent under its key's lock. The intent may
// have been one that a request was working on: what counts is what the journal
// says under the lock.
func (s *Service) recoverOne(ctx context.Context, seen Intent) (string, error) {
	hold, err := s.inflight.lock(ctx, seen.RequestKey)
	if err != nil {
		return "", err
	}
	defer hold.unlock()
	in, err := s.cfg.Journal.Intent(ctx, seen.ID)
	switch {
	case err != nil:
		return "", err
	case in.Receipt != nil:
		return "", nil
	case in.Signed != nil:
		if err := s.refuseRevokedIntent(ctx, in); err != nil {
			return "", err
		}
		_, err := s.finish(ctx, in)
		return DecisionSigned, err
	}
	ev := eventOf(in, s.cfg.Clock())
	ev.Decision, ev.Reasons = DecisionVoided, []string{"the service stopped before anything was signed"}
	err = s.cfg.Journal.Void(ctx, in.ID, ev)
	if errors.Is(err, ErrNoIntent) {
		return "", nil // the request voided it
	}
	faultPoint("voided")
	return DecisionVoided, err
}

// retries knows when each intent that failed is tried again. A restart forgets
// it: start-up tries everything once.
type retries struct {
	mu   sync.Mutex // guards next
	next map[string]retry
}

type retry struct {
	at   time.Time
	wait time.Duration // that led to at
}

func newRetries() *retries { return &retries{next: map[string]retry{}} }

// due returns the intents whose time has come, and forgets the ones that are
// not open any more.
func (r *retries) due(open []Intent, now time.Time) []Intent {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []Intent
	next := map[string]retry{}
	for _, in := range open {
		waiting, failed := r.next[in.ID]
		if failed {
			next[in.ID] = waiting
		}
		if !now.Before(waiting.at) {
			due = append(due, in)
		}
	}
	r.next = next
	return due
}

// failed puts an intent off, twice as long as the last time.
func (r *retries) failed(id string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := min(max(2*r.next[id].wait, firstRetry), lastRetry)
	r.next[id] = retry{at: now.Add(wait), wait: wait}
}
