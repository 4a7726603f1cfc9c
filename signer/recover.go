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
	now := s.cfg.Clock()
	round := s.retries.begin()
	var failures failed
	// A page at a time, and of a page one statement: a registry that was down for
	// a day leaves more open than fits in memory.
	for after := int64(0); ; {
		open, next, err := s.cfg.Journal.Unfinished(ctx, after)
		if err != nil {
			return finished, voided, errors.Join(fmt.Errorf("read unfinished intents: %w", err), failures.err())
		}
		for _, in := range s.retries.due(open, round, now) {
			did, err := s.recoverOne(ctx, in)
			switch {
			case err != nil:
				s.retries.failed(in.ID, round, now)
				failures.add(fmt.Errorf("intent %s: %w", in.ID, err))
			case did == DecisionSigned:
				finished++
			case did == DecisionVoided:
				voided++
			}
		}
		if next == 0 {
			break
		}
		after = next
	}
	s.retries.forget(round)
	return finished, voided, failures.err()
}

// maxFailures bounds the errors that Recover tells of: a registry that is down
// gives each intent the same.
const maxFailures = 16

// failed are the errors of one round.
type failed struct {
	errs  []error
	total int
}

func (f *failed) add(err error) {
	if f.total++; f.total <= maxFailures {
		f.errs = append(f.errs, err)
	}
}

func (f *failed) err() error {
	all := f.errs
	if more := f.total - len(all); more > 0 {
		all = append(all, fmt.Errorf("and %d more intents", more))
	}
	return errors.Join(all...)
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
	mu    sync.Mutex // guards what follows
	round int64
	next  map[string]retry
}

type retry struct {
	at    time.Time
	wait  time.Duration // that led to at
	round int64         // the last one that saw it open
}

func newRetries() *retries { return &retries{next: map[string]retry{}} }

// begin begins a round over all open intents.
func (r *retries) begin() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.round++
	return r.round
}

// due returns those of a page whose time has come.
func (r *retries) due(open []Intent, round int64, now time.Time) []Intent {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []Intent
	for _, in := range open {
		waiting, failed := r.next[in.ID]
		if failed {
			waiting.round = max(waiting.round, round)
			r.next[in.ID] = waiting
		}
		if !now.Before(waiting.at) {
			due = append(due, in)
		}
	}
	return due
}

// failed puts an intent off, twice as long as the last time.
func (r *retries) failed(id string, round int64, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := min(max(2*r.next[id].wait, firstRetry), lastRetry)
	r.next[id] = retry{at: now.Add(wait), wait: wait, round: max(r.next[id].round, round)}
}

// forget ends a round: what it has not seen, and none since, is not open any
// more.
func (r *retries) forget(round int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, waiting := range r.next {
		if waiting.round < round {
			delete(r.next, id)
		}
	}
}
