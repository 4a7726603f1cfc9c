// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// journalStates: every operation in every state, what is allowed, and what is
// left.
func journalStates(t *testing.T, e Engine) {
	operations := map[string]func(store.Database, signer.Intent) error{
		"sign": func(db store.Database, in signer.Intent) error { return db.Sign(context.Background(), in.ID, Signed) },
		"finish": func(db store.Database, in signer.Intent) error {
			return db.Finish(context.Background(), in.ID, Receipt(in), Event(signer.DecisionSigned, in.ID))
		},
		"void": func(db store.Database, in signer.Intent) error {
			return db.Void(context.Background(), in.ID, Event(signer.DecisionVoided, in.ID))
		},
	}
	allowed := map[string]bool{"recorded sign": true, "recorded void": true, "signed finish": true}
	db := e.Create(t)
	for _, state := range []string{"none", "recorded", "signed", "finished", "void"} {
		for name, operation := range operations {
			in := Intent("intent "+state+" "+name, "request "+state+" "+name)
			if state != "none" {
				To(t, db, in, state)
			}
			requested(t, db, in, state)
			before := Events(t, db)
			err := operation(db, in)
			after := Events(t, db)
			switch {
			case allowed[state+" "+name] && err != nil:
				t.Errorf("%s in state %s: %v", name, state, err)
			case allowed[state+" "+name]:
				if want := len(before) + 1; name != "sign" && len(after) != want {
					t.Errorf("%s in state %s left %d events, want %d", name, state, len(after), want)
				}
			case !errors.Is(err, signer.ErrNoIntent):
				t.Errorf("%s in state %s: %v", name, state, err)
			case len(after) != len(before):
				t.Errorf("%s, refused in state %s, left an audit event", name, state)
			}
		}
	}
}

// requested: an intent is found by what was asked for, in every state but void.
func requested(t *testing.T, db store.Database, in signer.Intent, state string) {
	t.Helper()
	found, err := db.Requested(t.Context(), in.RequestKey)
	switch {
	case state == "none" || state == "void":
		if !errors.Is(err, signer.ErrNoIntent) {
			t.Errorf("state %s: found %q, %v", state, found.ID, err)
		}
	case err != nil || found.ID != in.ID || (found.Signed != nil) != (state != "recorded") || (found.Receipt != nil) != (state == "finished"):
		t.Errorf("state %s: %+v, %v", state, found, err)
	}
}

// intentsSurvive: what was written is read back whole, from the next process,
// too.
func intentsSurvive(t *testing.T, e Engine) {
	db := e.Create(t)
	states := []string{"recorded", "signed", "finished", "void", "recorded"}
	for i, state := range states {
		To(t, db, Intent(fmt.Sprintf("intent %d", i), fmt.Sprintf("request %d", i)), state)
	}
	check := func(db store.Database) {
		t.Helper()
		unfinished, _, err := db.Unfinished(t.Context(), 0)
		if err != nil || len(unfinished) != 3 || unfinished[0].ID != "intent 0" || unfinished[1].ID != "intent 1" || unfinished[2].ID != "intent 4" {
			t.Fatalf("unfinished: %v, %v", unfinished, err)
		}
		for _, in := range unfinished { // however many there are
			if len(in.Statement) > 0 || (in.Signed != nil && len(in.Signed.Signature) > 0) || in.RequestKey == "" {
				t.Errorf("unfinished, with what may be large: %+v", in)
			}
		}
		for i, state := range states {
			want := Intent(fmt.Sprintf("intent %d", i), fmt.Sprintf("request %d", i))
			if state == "signed" || state == "finished" {
				want.Signed = &Signed
			}
			if state == "finished" {
				r := Receipt(want)
				want.Receipt = &r
			}
			got, err := db.Intent(t.Context(), want.ID)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v\n%v", state, got, want, err)
			}
		}
		if _, err := db.Intent(t.Context(), "no such"); !errors.Is(err, signer.ErrNoIntent) {
			t.Errorf("unknown intent: %v", err)
		}
	}
	check(db)
	check(e.Reopen(t, db))
}

func repeatedRequest(t *testing.T, e Engine) {
	db := e.Create(t)
	for _, state := range []string{"recorded", "signed", "finished"} {
		first := Intent("first "+state, "request "+state)
		To(t, db, first, state)
		before := len(Events(t, db))
		second := Intent("second "+state, "request "+state)
		second.Statement = []byte("another")
		got, created, err := db.Begin(t.Context(), second, Use("a token"), Event(signer.DecisionGranted, "second"))
		if err != nil || created || got.ID != first.ID || string(got.Statement) != string(first.Statement) {
			t.Errorf("%s: created %v, %+v, %v", state, created, got, err)
		}
		if (got.Signed != nil) != (state != "recorded") || (got.Receipt != nil) != (state == "finished") {
			t.Errorf("%s: %+v", state, got)
		}
		if after := len(Events(t, db)); after != before {
			t.Errorf("%s: a repeated request recorded %d events", state, after-before)
		}
	}
	To(t, db, Intent("first", "request"), "void")
	got, created, err := db.Begin(t.Context(), Intent("second", "request"), Use("a token"), Event(signer.DecisionGranted, "second"))
	if err != nil || !created || got.ID != "second" {
		t.Errorf("after void: created %v, %+v, %v", created, got, err)
	}
	// An intent's name is used once, whatever its request.
	if _, _, err := db.Begin(t.Context(), Intent("first", "other"), Use("a token"), Event(signer.DecisionGranted, "first")); err == nil {
		t.Error("an id was used twice")
	}
}

// concurrentBegin: many at a time with one request key, one is recorded, all
// get it, and the audit has one event.
func concurrentBegin(t *testing.T, e Engine) {
	db := e.Create(t)
	const callers, keys = 48, 3
	var created atomic.Int64
	var winners sync.Map
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := fmt.Sprintf("request %d", i%keys)
			got, isNew, err := db.Begin(context.Background(), Intent(fmt.Sprintf("intent %d", i), key), Use("a token"), Event(signer.DecisionGranted, ""))
			if err != nil {
				t.Error(err)
				return
			}
			if isNew {
				created.Add(1)
			}
			if before, loaded := winners.LoadOrStore(key, got.ID); loaded && before != got.ID {
				t.Errorf("%s is %v and %s", key, before, got.ID)
			}
		})
	}
	wg.Wait()
	if created.Load() != keys || len(Events(t, db)) != keys {
		t.Errorf("%d created, %d events, want %d", created.Load(), len(Events(t, db)), keys)
	}
}

// failedWriteFailsAlone: an engine may let writes share a commit. One that
// fails must not take its neighbours with it.
func failedWriteFailsAlone(t *testing.T, e Engine) {
	db := e.Create(t)
	To(t, db, Intent("taken", "request taken"), "recorded")
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			id := fmt.Sprintf("intent %d", i)
			if i%3 == 0 {
				id = "taken"
			}
			_, _, err := db.Begin(context.Background(), Intent(id, fmt.Sprintf("request %d", i)), Use("a token"), Event(signer.DecisionGranted, id))
			if (err != nil) != (i%3 == 0) {
				t.Errorf("intent %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	unfinished, _, err := db.Unfinished(t.Context(), 0)
	if err != nil || len(unfinished) != 41 || len(Events(t, db)) != 41 {
		t.Errorf("%d intents, %d events, %v", len(unfinished), len(Events(t, db)), err)
	}
}
