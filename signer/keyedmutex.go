// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"sync"
)

// keyedMutex is a set of mutexes by name, each of which exists only while it
// is used. Waiting ends with the context. Who has one may leave a receipt to
// those who wait for it.
type keyedMutex struct {
	mu      sync.Mutex
	holders map[string]*holder // guarded by mu
}

type holder struct {
	token chan struct{} // holds one value while the key is free
	users int           // guarded by keyedMutex.mu
	// What was left, and for the holder of which token; belong to whoever has
	// token.
	receipt *Receipt
	of      string
}

// held is a locked mutex.
type held struct {
	mutex *keyedMutex
	key   string
	*holder
}

func (h held) unlock() {
	h.token <- struct{}{}
	h.mutex.leave(h.key, h.holder)
}

// left returns the receipt that was left, while this one waited, by a request
// with the same token: a copy of this one.
func (h held) left(token string) *Receipt {
	if h.receipt == nil || h.of != token {
		return nil
	}
	return h.receipt
}

// leaveReceipt leaves a receipt to those who wait.
func (h held) leaveReceipt(token string, r Receipt) { h.receipt, h.of = &r, token }

func (k *keyedMutex) lock(ctx context.Context, key string) (held, error) {
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
		return held{k, key, h}, nil
	case <-ctx.Done():
		k.leave(key, h)
		return held{}, ctx.Err()
	}
}

func (k *keyedMutex) leave(key string, h *holder) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(k.holders, key)
	}
}
