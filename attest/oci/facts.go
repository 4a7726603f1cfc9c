// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"sync"
	"time"
)

// maxFacts bounds the facts that are remembered of one kind.
const maxFacts = 4096

// facts remembers for a while what was seen to be so. It is a help and never
// an authority: whoever uses a fact does without it, or notices that it no
// longer holds.
type facts struct {
	life  time.Duration
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

func newFacts(life time.Duration) *facts {
	return &facts{life: life, until: make(map[string]time.Time)}
}

func (f *facts) known(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.until[name])
}

func (f *facts) learn(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.until) >= maxFacts {
		clear(f.until) // rare, and costs a look at each thing in use
	}
	f.until[name] = time.Now().Add(f.life)
}

func (f *facts) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.until, name)
}
