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

// TestOneTenant: charts of one tenant that never end leave a turn to everybody else.
func TestOneTenant(t *testing.T) {
	r, err := newReader(program(t, `read q; case $q in *endless*) exec sleep 600;; esac; echo '{}'`), 0)
	if err != nil {
		t.Fatal(err)
	}
	r.way = ways[len(ways)-1]
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range hereOfOne {
		all.Go(func() { _, _ = r.Read(ctx, nil, attest.ChartQuestion{FileName: "endless", Tenant: "globex"}) })
	}
	for here := 0; here < hereOfOne; runtime.Gosched() {
		r.tenants.mu.Lock()
		if one := r.tenants.all["globex"]; one != nil {
			here = one.here
		}
		r.tenants.mu.Unlock()
	}
	soon, giveUp := context.WithTimeout(ctx, DefaultTimeout/2) // before one that is read is killed
	defer giveUp()
	if _, err := r.Read(soon, nil, attest.ChartQuestion{Tenant: "globex"}); !errors.Is(err, signer.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("more than its share: %v", err)
	}
	if _, err := r.Read(soon, nil, attest.ChartQuestion{Tenant: "acme"}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	cancel()
	all.Wait()
	if r.here.Load() != 0 || len(r.tenants.all) != 0 {
		t.Errorf("%d are still here, of %d tenants", r.here.Load(), len(r.tenants.all))
	}
}
