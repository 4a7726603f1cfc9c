// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"sync"
)

// keyedLocks is a set of locks by name. A lock exists only while somebody
// holds it or waits for it.
type keyedLocks struct {
	mu    sync.Mutex // guards locks and the users of each
	locks map[string]*keyedLock
}

type keyedLock struct {
	held  chan struct{} // holds one element while the lock is held
	users int
}

func newKeyedLocks() *keyedLocks { return &keyedLocks{locks: make(map[string]*keyedLock)} }

// lock waits for the lock of that name, at most as long as ctx lives. The
// caller must call unlock if err is nil.
func (k *keyedLocks) lock(ctx context.Context, name string) (unlock func(), err error) {
	k.mu.Lock()
	l := k.locks[name]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[name] = l
	}
	l.users++
	k.mu.Unlock()

	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.locks, name)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
