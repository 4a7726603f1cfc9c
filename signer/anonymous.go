// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Anybody who reaches the service can be refused, as often as they like, and
// the audit record shares its disk with the log. So what callers without a
// valid token make the service write is bounded, over all of them together:
// their network addresses cost nothing. Callers with a valid token never meet
// this bound.
const (
	// anonymousRate is how many of their refusals are recorded, per second. A
	// row is at most 3 KiB: a flood adds less than 300 MB a day, so that the
	// warnings are read long before the disk is full.
	anonymousRate = 1
	// anonymousBurst is how many are recorded in a row. A misconfigured
	// pipeline, or somebody who tries ways in, is recorded in full.
	anonymousBurst = 100
	// anonymousWarnEvery is the least time between two warnings in the log.
	anonymousWarnEvery = time.Second
)

// anonymous counts the refusals of callers without a valid token that are not
// recorded one by one.
type anonymous struct {
	bucket *rate.Limiter // safe for concurrent use

	mu         sync.Mutex // guards the rest
	unrecorded int        // since the last recorded refusal
	warned     time.Time
}

func newAnonymous() *anonymous {
	return &anonymous{bucket: rate.NewLimiter(anonymousRate, anonymousBurst)}
}

// admit tells whether a refusal is recorded. If it is not, it is counted, and
// every now and then warned about.
func (a *anonymous) admit(ctx context.Context, now time.Time, logger *slog.Logger) bool {
	if a.bucket.AllowN(now, 1) {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unrecorded++
	if now.Sub(a.warned) >= anonymousWarnEvery {
		a.warned = now
		logger.WarnContext(ctx, "too many requests without a valid token: their refusals are counted, not recorded", "unrecorded", a.unrecorded)
	}
	return false
}

// take returns the count for the refusal that will carry it; the counting
// begins anew.
func (a *anonymous) take() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.unrecorded
	a.unrecorded = 0
	return n
}

// giveBack takes a count back that could not be recorded.
func (a *anonymous) giveBack(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unrecorded += n
}

// overflow is what such a caller gets whose refusal is not recorded. Without the
// issuer's keys nobody knows whose token is valid: a job must not be told
// otherwise, and gets the same answer as always.
func overflow(cause error) error {
	if errors.Is(cause, ErrNoKeys) {
		return cause
	}
	return fmt.Errorf("%w; of this one: %s", ErrTooManyRefusals, cause.Error())
}
