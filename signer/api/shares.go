// SPDX-License-Identifier: Apache-2.0

package api

import (
	"fmt"
	"sync"

	"github.com/hallmark-dev/hallmark/signer"
)

// shares count what each project has of the places where documents are
// received. The zero value is ready.
type shares struct {
	mu    sync.Mutex
	taken map[string]int // guarded by mu; only of who has any
}

// take takes a place for who, until giveBack, which may be called twice.
func (s *shares) take(who string) (giveBack func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[who] == maxReceivingOfOne {
		return nil, fmt.Errorf("%w with %d other requests with documents of the same project", signer.ErrBusy, maxReceivingOfOne)
	}
	if s.taken == nil {
		s.taken = make(map[string]int)
	}
	s.taken[who]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.taken[who]--; s.taken[who] == 0 {
			delete(s.taken, who)
		}
	}), nil
}
