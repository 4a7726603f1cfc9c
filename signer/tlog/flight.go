// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"fmt"
	"sync"
)

// lookTimeout bounds one look at storage: as long as a batch may take.
const lookTimeout = batchTimeout

// flights lets everybody who asks for news share a look at storage. Nobody
// shares a look that began before he asked: what was committed by then would be
// missing. So while one look is under way, all who come wait for the next.
type flights struct {
	look func(ctx context.Context) error

	mu     sync.Mutex // guards what follows
	next   *flight    // nil if nobody waits for a look that has not begun
	flying bool       // whether the goroutine of fly runs
}

// flight is one look. err is set before done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// join waits for a look that begins after the call.
func (f *flights) join(ctx context.Context) error {
	f.mu.Lock()
	if f.next == nil {
		f.next = &flight{done: make(chan struct{})}
	}
	mine := f.next
	if !f.flying {
		f.flying = true
		go f.fly() //nolint:gosec // others wait for the same look: it does not end with this caller's ctx
	}
	f.mu.Unlock()
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// fly looks until nobody waits. A look does not end when one of those who wait
// for it goes away.
func (f *flights) fly() {
	for {
		f.mu.Lock()
		now := f.next
		f.next, f.flying = nil, now != nil
		f.mu.Unlock()
		if now == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
		now.err = f.look(ctx)
		cancel()
		close(now.done)
	}
}
