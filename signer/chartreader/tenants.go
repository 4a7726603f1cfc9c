// SPDX-License-Identifier: Apache-2.0

package chartreader

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/signer"
)

// tenants share out turns: of each some charts are read, some wait, and more are
// told to come again. The zero value is ready.
type tenants struct {
	mu  sync.Mutex
	all map[string]*tenant // guarded by mu; only of who has charts here
}

type tenant struct {
	here  int // guarded by tenants.mu
	turns *semaphore.Weighted
}

// take waits for a turn of the tenant's own, until done. Charts of nobody wait for
// no other.
func (t *tenants) take(ctx context.Context, name string) (done func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	one, err := t.enter(name)
	if err != nil {
		return nil, err
	}
	if err := one.turns.Acquire(ctx, 1); err != nil {
		t.leave(name, one)
		return nil, fmt.Errorf("%w with other charts of the same project: %w", signer.ErrBusy, err)
	}
	return func() { one.turns.Release(1); t.leave(name, one) }, nil
}

func (t *tenants) enter(name string) (*tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.all[name]
	switch {
	case one == nil:
		if t.all == nil {
			t.all = make(map[string]*tenant)
		}
		one = &tenant{turns: semaphore.NewWeighted(readingOfOne)}
		t.all[name] = one
	case one.here == hereOfOne:
		return nil, fmt.Errorf("%w with %d other charts of the same project", signer.ErrBusy, hereOfOne)
	}
	one.here++
	return one, nil
}

func (t *tenants) leave(name string, one *tenant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.here--; one.here == 0 {
		delete(t.all, name)
	}
}
