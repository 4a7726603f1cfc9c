// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// begin asks for a request with a token.
func begin(db store.Database, use signer.TokenUse, id, request string) (stored signer.Intent, created bool, err error) {
	return db.Begin(context.Background(), Intent(id, request), use, Event(signer.DecisionGranted, id))
}

// replayed fails the test unless a use was refused for that reason.
func replayed(t *testing.T, err error, reason string) {
	t.Helper()
	var r *signer.Replayed
	if !errors.As(err, &r) || r.Reason != reason {
		t.Errorf("got %v, want the refusal %q", err, reason)
	}
}

// tokens: a token serves so many different requests; the same one again is not
// counted, also when its token is used up or its first intent was void. What is
// refused leaves nothing, and the next process counts on.
func tokens(t *testing.T, e Engine) {
	db := e.Create(t)
	use := Use("token")
	use.Most = 3
	for i := range use.Most {
		id := fmt.Sprint("intent ", i)
		if _, created, err := begin(db, use, id, id); err != nil || !created {
			t.Fatalf("use %d: created %v, %v", i, created, err)
		}
	}
	before := len(Events(t, db))
	_, _, err := begin(db, use, "one too many", "one too many")
	replayed(t, err, signer.ReplayExhausted)
	if _, err := db.Intent(t.Context(), "one too many"); !errors.Is(err, signer.ErrNoIntent) || len(Events(t, db)) != before {
		t.Errorf("a refused use left an intent (%v) or %d events", err, len(Events(t, db))-before)
	}
	if got, created, err := begin(db, use, "again", "intent 1"); err != nil || created || got.ID != "intent 1" {
		t.Errorf("the same request again: %q, created %v, %v", got.ID, created, err)
	}
	if err := db.Void(t.Context(), "intent 2", Event(signer.DecisionVoided, "intent 2")); err != nil {
		t.Fatal(err)
	}
	db = e.Reopen(t, db)
	_, _, err = begin(db, use, "in the next process", "in the next process")
	replayed(t, err, signer.ReplayExhausted)
	if got, created, err := begin(db, use, "after void", "intent 2"); err != nil || !created || got.ID != "after void" {
		t.Errorf("after void: %q, created %v, %v", got.ID, created, err)
	}
	// Another token of the same run is good for its own.
	if _, created, err := begin(db, Use("another"), "other", "other"); err != nil || !created {
		t.Errorf("another token: created %v, %v", created, err)
	}
	if got, created, err := begin(db, Use("another"), "other again", "intent 0"); err != nil || created || got.ID != "intent 0" {
		t.Errorf("another token, the first request: %q, created %v, %v", got.ID, created, err)
	}
	if _, _, err := db.Begin(t.Context(), Intent("uncounted", "uncounted"), signer.TokenUse{}, Event(signer.DecisionGranted, "")); err == nil {
		t.Error("an intent without a token was recorded")
	}
}

// tokenHolders: a token belongs to the holder of its first use, for what it was
// used for before, too.
func tokenHolders(t *testing.T, e Engine) {
	db := e.Create(t)
	mine, theirs := Use("token"), Use("token")
	theirs.Holder = sha256.Sum256([]byte("acme/other"))
	if _, _, err := begin(db, mine, "mine", "mine"); err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"theirs", "mine"} {
		_, created, err := begin(db, theirs, "theirs "+request, request)
		if created {
			t.Errorf("%s: recorded", request)
		}
		replayed(t, err, signer.ReplayOtherHolder)
	}
	if _, created, err := begin(db, mine, "mine, too", "mine, too"); err != nil || !created {
		t.Errorf("the first holder: created %v, %v", created, err)
	}
	theirs.Token = sha256.Sum256([]byte("their token"))
	if _, created, err := begin(db, theirs, "their own", "their own"); err != nil || !created {
		t.Errorf("a token of their own: created %v, %v", created, err)
	}
}

// tokensExpire: a use is remembered until its token has expired, and not one
// process less.
func tokensExpire(t *testing.T, e Engine) {
	db := e.Create(t)
	use := Use("token")
	use.Most = 1
	if _, _, err := begin(db, use, "first", "first"); err != nil {
		t.Fatal(err)
	}
	use.Now = use.Until.Add(-time.Second)
	_, _, err := begin(db, use, "second", "second")
	replayed(t, err, signer.ReplayExhausted)
	use.Now = use.Until.Add(time.Minute)
	_, _, err = begin(db, use, "third", "third")
	replayed(t, err, signer.ReplayForgotten)
	// Nor is it good for what it was good for, or the first time after.
	for _, token := range []string{"token", "a token never seen"} {
		use.Token = sha256.Sum256([]byte(token))
		_, _, err = begin(db, use, "fourth", "first")
		replayed(t, err, signer.ReplayForgotten)
	}
}

// clockSetBack: what the shared clock has passed is refused to a process whose
// own is behind, though the use may be forgotten.
func clockSetBack(t *testing.T, e Engine) {
	db := e.Create(t)
	use := Use("token")
	use.Most = 1
	if _, _, err := begin(db, use, "first", "first"); err != nil {
		t.Fatal(err)
	}
	later := Use("later")
	later.Now, later.Until = use.Until.Add(time.Hour), use.Until.Add(2*time.Hour)
	if _, _, err := begin(db, later, "later", "later"); err != nil { // forgets the first
		t.Fatal(err)
	}
	db = e.Reopen(t, db)
	use.Now = use.Until.Add(-time.Hour)
	_, _, err := begin(db, use, "replayed", "replayed")
	replayed(t, err, signer.ReplayForgotten)
}

// clockAhead: a replica whose clock is far ahead must not have the tokens of the
// others refused, where the database has a clock of its own.
func clockAhead(t *testing.T, e Engine) {
	db := e.Create(t)
	now := time.Now()
	ahead := Use("ahead")
	ahead.Now, ahead.Until = now.AddDate(1, 0, 0), now.AddDate(1, 0, 1)
	if _, _, err := begin(db, ahead, "ahead", "ahead"); err != nil {
		t.Fatal(err)
	}
	right := Use("right")
	right.Now, right.Until = now, now.Add(time.Hour)
	_, created, err := begin(db, right, "right", "right")
	if e.OwnClock {
		if err != nil || !created {
			t.Errorf("created %v, %v", created, err)
		}
		return
	}
	// One process is the only clock there is: safe is to refuse.
	replayed(t, err, signer.ReplayForgotten)
}

// parallelUses: of many requests at a time with one token, from two processes
// where there can be two, exactly as many are served as may be.
func parallelUses(t *testing.T, e Engine) {
	db := e.Create(t)
	use := Use("token")
	use.Most = 7
	var created, refused atomic.Int64
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			// Each is asked for three times.
			id := fmt.Sprint("intent ", i)
			_, isNew, err := begin(db, use, id, fmt.Sprint("request ", i%20))
			var r *signer.Replayed
			switch {
			case errors.As(err, &r) && r.Reason == signer.ReplayExhausted:
				refused.Add(1)
			case err != nil:
				t.Error(err)
			case isNew:
				created.Add(1)
			}
		})
	}
	wg.Wait()
	if created.Load() != 7 || refused.Load() != 3*13 || len(Events(t, db)) != 7 {
		t.Errorf("%d served, %d refused, %d events, want 7, 39 and 7", created.Load(), refused.Load(), len(Events(t, db)))
	}
}

// usesAreForgotten: uses of tokens that have expired are removed, a few with
// every new one, so that the table is as large as the tokens that live.
func usesAreForgotten(t *testing.T, e Engine) {
	db := e.Create(t)
	const old = 40
	for i := range old {
		if err := db.UseToken(t.Context(), Use(fmt.Sprint("old ", i)), "request"); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.TokenUses(t, db); n != old {
		t.Fatalf("%d uses are kept, want %d", n, old)
	}
	later := Use("new")
	later.Now, later.Until = later.Until.Add(time.Hour), later.Until.Add(2*time.Hour)
	for i := range old/store.TokenPrune + 1 {
		before := e.TokenUses(t, db)
		if err := db.UseToken(t.Context(), later, fmt.Sprint("request ", i)); err != nil {
			t.Fatal(err)
		}
		if after := e.TokenUses(t, db); before-after > store.TokenPrune {
			t.Errorf("one write removed %d uses, the bound is %d", before-after, store.TokenPrune)
		}
	}
	if n := e.TokenUses(t, db); n != old/store.TokenPrune+1 {
		t.Errorf("%d uses are kept, want the %d new ones", n, old/store.TokenPrune+1)
	}
}

// usesWithoutIntents: what makes no intent is counted the same.
func usesWithoutIntents(t *testing.T, e Engine) {
	db := e.Create(t)
	use := Use("token")
	use.Most = 2
	for _, request := range []string{"one", "two", "one", "two"} {
		if err := db.UseToken(t.Context(), use, request); err != nil {
			t.Errorf("%s: %v", request, err)
		}
	}
	replayed(t, db.UseToken(t.Context(), use, "three"), signer.ReplayExhausted)
	_, _, err := begin(db, use, "intent", "intent")
	replayed(t, err, signer.ReplayExhausted)
	use.Holder = sha256.Sum256([]byte("acme/other"))
	replayed(t, db.UseToken(t.Context(), use, "one"), signer.ReplayOtherHolder)
	if err := db.UseToken(t.Context(), signer.TokenUse{}, "one"); err == nil {
		t.Error("a use of no token was counted")
	}
}
