// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"sync"
)

// keyedMutex is a set of mutexes by name, each of which exists only while it
// is used. Waiting ends with the context.
type keyedMutex struct {
	mu      sync.Mutex
	holders map[string]*holder // guarded by mu
}

type holder struct {
	token chan struct{} // holds one value while the key is free
	users int           // guarded by keyedMutex.mu
}

func (k *keyedMutex) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.holders == nil {
		k.holders = map[string]*holder{}
	}
	h := k.holders[key]
	if h == nil {
		h = &holder{token: make(chan struct{}, 1)}
		h.token <- struct{}{}
		k.holders[key] = h
	}
	h.users++
	k.mu.Unlock()

	select {
	case <-h.token:
		return func() { h.token <- struct{}{}; k.leave(key, h) }, nil
	case <-ctx.Done():
		k.leave(key, h)
		return nil, ctx.Err()
	}
}

func (k *keyedMutex) leave(key string, h *holder) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(k.holders, key)
	}
}
