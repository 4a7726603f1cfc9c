// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestKeyedLocks(t *testing.T) {
	k := newKeyedLocks()
	unlock, err := k.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	// Another name is another lock.
	unlockB, err := k.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	unlockB()
	// Whoever waits can give up, and the holder is not disturbed.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a dead context: %v", err)
	}
	unlock()
	// One at a time.
	var wg sync.WaitGroup
	inside, count := 0, 0
	for range 50 {
		wg.Go(func() {
			unlock, err := k.lock(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			if inside++; inside != 1 {
				t.Error("two are inside")
			}
			count++
			inside--
		})
	}
	wg.Wait()
	if count != 50 || len(k.locks) != 0 {
		t.Errorf("count %d, %d locks left", count, len(k.locks))
	}
}
