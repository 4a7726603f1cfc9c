// SPDX-License-Identifier: Apache-2.0

package chartreader

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestWaitingIsBounded: charts that never end do not take all turns of the service with them.
func TestWaitingIsBounded(t *testing.T) {
	r, err := newReader(program(t, "exit 0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.turns.Acquire(t.Context(), maxReading); err != nil { // as if they were read
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range maxReading + maxWaiting {
		all.Go(func() { _, _ = r.Read(ctx, nil, attest.ChartQuestion{}) })
	}
	for r.here.Load() < maxReading+maxWaiting {
		runtime.Gosched()
	}
	if _, err := r.Read(ctx, nil, attest.ChartQuestion{}); !errors.Is(err, signer.ErrBusy) || errors.Is(err, context.Canceled) {
		t.Errorf("one more: %v", err)
	}
	cancel()
	all.Wait()
	if r.here.Load() != 0 {
		t.Errorf("%d are still here", r.here.Load())
	}
}
