// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
)

// TestTurns: of two processes, and of two callers in one, only one at a time
// holds a turn; different names do not wait for each other.
func TestTurns(t *testing.T) {
	pg := pglab.Start(t)
	first, cfg := create(t, pg)
	second := open(t, cfg)
	var inside, most atomic.Int32
	var wg sync.WaitGroup
	for i := range 24 {
		db := []*postgres.DB{first, second}[i%2]
		wg.Go(func() {
			release, err := db.Turn(t.Context(), "list")
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			most.Store(max(most.Load(), inside.Add(1)))
			time.Sleep(time.Millisecond)
			inside.Add(-1)
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d held one turn at the same time", most.Load())
	}

	release, err := first.Turn(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	for name, db := range map[string]*postgres.DB{"same process": first, "other process": second} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if _, err := db.Turn(ctx, "list"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: a held turn: %v", name, err)
		}
		cancel()
		other, err := db.Turn(t.Context(), "other list of "+name)
		if err != nil {
			t.Fatalf("%s: another turn: %v", name, err)
		}
		other()
	}
	release()
	again, err := second.Turn(t.Context(), "list")
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	// A process that ends, ends its turns.
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	again() // too late, and harmless
	if _, err := second.Turn(t.Context(), "list"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	release, err = first.Turn(t.Context(), "list")
	if err != nil {
		t.Fatalf("after the other process ended: %v", err)
	}
	release()
}

// TestTurnsOfLostConnection: turns end with their connection, and the next one
// makes a new connection.
func TestTurnsOfLostConnection(t *testing.T) {
	pg := pglab.Start(t)
	first, cfg := create(t, pg)
	second := open(t, cfg)
	stale, err := first.Turn(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	if n := terminateHoldersOfTurns(t, cfg); n != 1 {
		t.Fatalf("%d connections held turns", n)
	}
	release, err := second.Turn(t.Context(), "list")
	if err != nil {
		t.Fatalf("after the holder's connection was lost: %v", err)
	}
	stale() // must not end the other process's
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := first.Turn(ctx, "list"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a turn that the other process holds: %v", err)
	}
	release()
	eventually(t, "a turn on a new connection", func() bool {
		release, err := first.Turn(t.Context(), "list")
		if err == nil {
			release()
		}
		return err == nil
	})
}

// terminateHoldersOfTurns breaks the connections that hold turns and returns
// how many those were.
func terminateHoldersOfTurns(t *testing.T, cfg postgres.Config) int {
	t.Helper()
	var n int
	err := connect(t, cfg).QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 10000)) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 2
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
