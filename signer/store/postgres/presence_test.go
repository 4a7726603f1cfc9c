// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
)

// unfinished are the ids of what Unfinished returns.
func unfinished(t *testing.T, db *postgres.DB) (ids []string) {
	t.Helper()
	found, _, err := db.Unfinished(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range found {
		ids = append(ids, in.ID)
	}
	return ids
}

// eventually waits for something that another process is about to do.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// An intent is in recovery only for the process that works on it, until that
// is gone.
func TestOwners(t *testing.T) {
	pg := pglab.Start(t)
	first, cfg := create(t, pg)
	second := open(t, cfg)
	storetest.To(t, first, storetest.Intent("recorded", "r1"), "recorded")
	storetest.To(t, first, storetest.Intent("signed", "r2"), "signed")
	storetest.To(t, second, storetest.Intent("other", "r3"), "recorded")
	if got := fmt.Sprint(unfinished(t, first)); got != "[recorded signed]" {
		t.Errorf("the first process has %s", got)
	}
	// A job retries at another process. Both go on; what the first has stays
	// its own.
	got, created, err := second.Begin(t.Context(), storetest.Intent("again", "r1"), storetest.Use("a token"), storetest.Event(signer.DecisionGranted, "again"))
	if err != nil || created || got.ID != "recorded" {
		t.Errorf("%+v, created %v, %v", got, created, err)
	}
	if got := fmt.Sprint(unfinished(t, second)); got != "[other]" {
		t.Errorf("the second process has %s", got)
	}
	closeDB(t, first)
	eventually(t, "the first process is seen to be gone", func() bool { return fmt.Sprint(unfinished(t, second)) == "[recorded signed other]" })
	if problems, err := second.Damage(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// Who takes an intent of a dead process up, because the job came again, owns
// it.
func TestBeginTakesOver(t *testing.T) {
	pg := pglab.Start(t)
	first, cfg := create(t, pg)
	second, third := open(t, cfg), open(t, cfg)
	storetest.To(t, first, storetest.Intent("orphan", "r1"), "recorded")
	closeDB(t, first)
	eventually(t, "the intent is taken over", func() bool {
		if _, _, err := second.Begin(t.Context(), storetest.Intent("again", "r1"), storetest.Use("a token"), storetest.Event(signer.DecisionGranted, "again")); err != nil {
			t.Fatal(err)
		}
		var owner int64
		if err := connect(t, cfg).QueryRow(t.Context(), `SELECT owner FROM intents WHERE id = 'orphan'`).Scan(&owner); err != nil {
			t.Fatal(err)
		}
		return owner == second.Presence()
	})
	if got := unfinished(t, third); len(got) != 0 {
		t.Errorf("another process recovers what is worked on: %v", got)
	}
}

// Two processes that start at the same time share what a crash left: each
// orphan has one taker.
func TestRecoverTogether(t *testing.T) {
	pg := pglab.Start(t)
	first, cfg := create(t, pg)
	const intents = 40
	for i := range intents {
		storetest.To(t, first, storetest.Intent(fmt.Sprint(i), fmt.Sprint(i)), "signed")
	}
	closeDB(t, first)
	starters := []*postgres.DB{open(t, cfg), open(t, cfg), open(t, cfg)}
	taken := make(map[string]int)
	eventually(t, "all orphans are taken", func() bool {
		var mu sync.Mutex
		var wg sync.WaitGroup
		clear(taken)
		for _, db := range starters {
			wg.Go(func() {
				found, _, err := db.Unfinished(t.Context(), 0)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, in := range found {
					taken[in.ID]++
				}
			})
		}
		wg.Wait()
		return len(taken) == intents
	})
	for id, n := range taken {
		if n != 1 {
			t.Errorf("%d processes took intent %s", n, id)
		}
	}
}

// A process that lives loses the connection that shows it. What another does to
// its intents meanwhile is safe, and it is seen again as soon as it can be.
func TestLostPresence(t *testing.T) {
	pg := pglab.Start(t)
	first, cfg := create(t, pg)
	second := open(t, cfg)
	storetest.To(t, first, storetest.Intent("recorded", "r1"), "recorded")
	storetest.To(t, first, storetest.Intent("signed", "r2"), "signed")
	unfinished(t, second) // its connection is made

	pg.Exec(t, `ALTER ROLE `+pglab.User+` CONNECTION LIMIT 0`) // nobody comes back for now
	holder := fmt.Sprintf(`FROM pg_locks WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = %d`, first.Presence())
	pg.Exec(t, `SELECT pg_terminate_backend(pid) `+holder)
	eventually(t, "the second process takes over", func() bool { return fmt.Sprint(unfinished(t, second)) == "[recorded signed]" })
	if err := second.Void(t.Context(), "recorded", storetest.Event(signer.DecisionVoided, "recorded")); err != nil {
		t.Error(err)
	}
	// The first process comes to keep its signature: it never leaves it.
	if err := first.Sign(t.Context(), "recorded", storetest.Signed); !errors.Is(err, signer.ErrNoIntent) {
		t.Errorf("a voided intent was signed: %v", err)
	}
	// Both finish the signed one: one receipt is kept.
	receipt := storetest.Receipt(storetest.Intent("signed", "r2"))
	firstErr := first.Finish(t.Context(), "signed", receipt, storetest.Event(signer.DecisionSigned, "signed"))
	secondErr := second.Finish(t.Context(), "signed", receipt, storetest.Event(signer.DecisionSigned, "signed"))
	if firstErr != nil || !errors.Is(secondErr, signer.ErrNoIntent) {
		t.Errorf("finish: %v, %v", firstErr, secondErr)
	}
	pg.Exec(t, `ALTER ROLE `+pglab.User+` CONNECTION LIMIT -1`)
	other := connect(t, cfg)
	eventually(t, "the first process is seen again", func() bool {
		var held bool
		if err := other.QueryRow(t.Context(), `SELECT EXISTS (SELECT `+holder+`)`).Scan(&held); err != nil {
			t.Fatal(err)
		}
		return held
	})
	storetest.To(t, first, storetest.Intent("new", "r3"), "recorded")
	if got := unfinished(t, second); len(got) != 0 {
		t.Errorf("the second process takes from a living one: %v", got)
	}
}
