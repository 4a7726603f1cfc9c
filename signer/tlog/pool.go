// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"slices"
	"sync"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// waiter is one call of Append that has not been answered.
type waiter struct {
	hash Hash
	body []byte
	keys []string
	size int // of body and keys
	// done receives exactly one outcome once the waiter has left the pool. It
	// has room for it, so that the batch goroutine never waits for anybody.
	done chan outcome
}

// newWaiter copies body. Keys are strings of a slice that is nobody else's.
func newWaiter(body []byte, keys []string) *waiter {
	w := &waiter{hash: merkle.RecordHash(body), body: bytes.Clone(body), keys: keys, size: len(body), done: make(chan outcome, 1)}
	for _, key := range keys {
		w.size += len(key)
	}
	return w
}

// outcome is where a leaf is, and the tree that proves it.
type outcome struct {
	place    Place
	existing bool
	snapshot *snapshot
	err      error
}

// pool holds the appends that the next batch will take. It is bounded in number
// and bytes, and refuses instead of blocking.
type pool struct {
	maxWaiting, maxBytes int
	// wake has room for one token: "look again".
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	waiting []*waiter
	bytes   int
	closed  bool
}

func newPool(maxWaiting, maxBytes int) *pool {
	return &pool{maxWaiting: maxWaiting, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// add puts w into the pool, or says why not.
func (p *pool) add(w *waiter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return ErrClosed
	case len(p.waiting) >= p.maxWaiting || p.bytes+w.size > p.maxBytes:
		return ErrPoolFull
	}
	p.waiting = append(p.waiting, w)
	p.bytes += w.size
	p.signal()
	return nil
}

// remove takes w out again and reports whether it was still there.
func (p *pool) remove(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.waiting {
		if p.waiting[i] == w {
			p.waiting = slices.Delete(p.waiting, i, i+1)
			p.bytes -= w.size
			return true
		}
	}
	return false
}

// take waits until somebody waits and returns at most limit of them, oldest
// first. It returns nil when the pool is closed and empty.
func (p *pool) take(limit int) []*waiter {
	for {
		batch, closed := p.takeNow(limit)
		if len(batch) > 0 || closed {
			return batch
		}
		<-p.wake
	}
}

// takeNow is take without the wait. It says whether the pool is closed.
func (p *pool) takeNow(limit int) (batch []*waiter, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(limit, len(p.waiting))
	batch = append(batch, p.waiting[:n]...)
	p.waiting = slices.Delete(p.waiting, 0, n) // which forgets them: a crowd's bodies do not stay
	for _, w := range batch {
		p.bytes -= w.size
	}
	return batch, p.closed
}

// close refuses further entries. Those that wait are still taken.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.signal()
}

func (p *pool) signal() {
	select {
	case p.wake <- struct{}{}:
	default: // a token is there already
	}
}
