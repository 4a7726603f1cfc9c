// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

func audit(t *testing.T, e Engine) {
	db := e.Create(t)
	for i := range 25 {
		ev := Event(signer.DecisionRefused, "")
		ev.RequestID = fmt.Sprint(i)
		if i%5 == 0 {
			ev.Decision = signer.DecisionFailed
		}
		if i%2 == 0 {
			ev.Digest = "sha256:other"
		}
		if err := db.Record(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	db = e.Reopen(t, db)
	var seen []string
	for after := int64(0); ; {
		page, err := db.Events(t.Context(), store.EventQuery{After: after, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, ev := range page {
			seen = append(seen, ev.RequestID)
			after = ev.Seq
		}
	}
	if len(seen) != 25 || seen[0] != "0" || seen[24] != "24" {
		t.Errorf("pages hold %v", seen)
	}
	for query, want := range map[store.EventQuery]int{
		{Decision: signer.DecisionFailed}:                         5,
		{Digest: "sha256:other"}:                                  13,
		{Digest: "sha256:other", Decision: signer.DecisionFailed}: 3,
		{Digest: "sha256:other", After: 24}:                       1,
		{Limit: 7}:                                                7,
		{Digest: "sha256:none"}:                                   0,
	} {
		if got, err := db.Events(t.Context(), query); err != nil || len(got) != want {
			t.Errorf("%+v: %d events, want %d, %v", query, len(got), want, err)
		}
	}
	want := Event(signer.DecisionFailed, "")
	want.Digest, want.RequestID = "sha256:other", "0"
	if got := Events(t, db)[0].AuditEvent; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	encoded, err := json.Marshal(Events(t, db)[0])
	if err != nil || !strings.Contains(string(encoded), `"seq":1,`) {
		t.Errorf("%s, %v", encoded, err)
	}
}

// eventsWithoutGaps: whoever follows the events sees every one, once, in order,
// though they come from many writers, some of whom fail.
func eventsWithoutGaps(t *testing.T, e Engine) {
	db := e.Create(t)
	To(t, db, Intent("taken", "request taken"), "recorded")
	const writers, each = 8, 12
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if i%3 == 0 { // its event is lost with it
					_, _, err := db.Begin(context.Background(), Intent("taken", fmt.Sprintf("%d %d", w, i)), Use("a token"), Event(signer.DecisionGranted, ""))
					if err == nil {
						t.Error("an id was used twice")
					}
				}
				if err := db.Record(context.Background(), Event(signer.DecisionRefused, "")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { wg.Wait(); close(written) }()
	next := int64(1)
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		page, err := db.Events(t.Context(), store.EventQuery{After: next - 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range page {
			if ev.Seq != next {
				t.Fatalf("event %d follows %d", ev.Seq, next-1)
			}
			next++
		}
	}
	if want := int64(1 + writers*each); next-1 != want {
		t.Errorf("%d events, want %d", next-1, want)
	}
}

// operationsOnce: an operation that is told again makes no second event, whoever
// tells it and when, and numbers have no gaps for it.
func operationsOnce(t *testing.T, e Engine) {
	db := e.Create(t)
	if _, err := db.RecordOnce(t.Context(), Event(signer.DecisionRotation, "")); !errors.Is(err, store.ErrUnnamed) {
		t.Errorf("an operation without a name: %v", err)
	}
	var recorded atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 5 {
				ok, err := db.RecordOnce(context.Background(), Operation(fmt.Sprint(i)))
				if err != nil {
					t.Error(err)
				}
				if ok {
					recorded.Add(1)
				}
			}
		})
	}
	wg.Wait()
	db = e.Reopen(t, db)
	if ok, err := db.RecordOnce(t.Context(), Operation("3")); ok || err != nil {
		t.Errorf("told again after a restart: %v, %v", ok, err)
	}
	if err := db.Record(t.Context(), Event(signer.DecisionRefused, "")); err != nil {
		t.Fatal(err)
	}
	events := Events(t, db)
	if recorded.Load() != 5 || len(events) != 6 || events[5].Seq != 6 {
		t.Errorf("%d recorded, %d events", recorded.Load(), len(events))
	}
	for _, ev := range events[:5] {
		if want := Operation(ev.Operation.ID); !reflect.DeepEqual(ev.AuditEvent, want) {
			t.Errorf("got  %+v\nwant %+v", ev.AuditEvent, want)
		}
	}
	if found, err := db.Events(t.Context(), store.EventQuery{Digest: string(Digest), Decision: signer.DecisionRevocation}); err != nil || len(found) != 5 {
		t.Errorf("%d of the artifact, %v", len(found), err)
	}
}
