// SPDX-License-Identifier: Apache-2.0

package writers

import (
	"sync"
	"time"
)

// bucket is a token bucket that holds a minute's worth and starts full.
type bucket struct {
	perMinute int
	clock     func() time.Time

	mu     sync.Mutex // guards what follows
	tokens float64
	filled time.Time // when tokens was right
}

func newBucket(perMinute int, clock func() time.Time) *bucket {
	return &bucket{perMinute: perMinute, clock: clock, tokens: float64(perMinute), filled: clock()}
}

// take takes a token, or says how long it takes until there is one.
func (b *bucket) take() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, rate := b.clock(), float64(b.perMinute)/float64(time.Minute)
	// A clock that steps back fills nothing, and counts from there.
	if passed := now.Sub(b.filled); passed > 0 {
		b.tokens = min(float64(b.perMinute), b.tokens+float64(passed)*rate)
	}
	b.filled = now
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return max(time.Duration((1-b.tokens)/rate), time.Nanosecond)
}
