// SPDX-License-Identifier: Apache-2.0

package sqlite_test

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
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

var digest = attest.DigestOf([]byte("artifact"))

// intent returns a full intent, every member set.
func intent(id, requestKey string) signer.Intent {
	return signer.Intent{
		ID: id, RequestKey: requestKey, Created: time.Date(2025, 10, 1, 12, 0, 0, 123456789, time.UTC),
		Action: signer.ActionSign,
		Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Tag: "v1", Digest: digest,
			MediaType: "application/vnd.oci.image.index.v1+json", Size: 1234, Kind: "index",
		},
		PredicateType: attest.PredicateSignature,
		Requester: signer.Requester{
			Identity: "github", Provider: "github", Issuer: "https://issuer.example", Subject: "repo:acme/app",
			SAN: "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main", Run: "run 1", TokenID: "jti:1",
		},
		SAN: "https://github.com/acme/app", Issuer: "https://issuer.example", Rule: "release", PolicyDigest: "sha256:00",
		Statement: []byte(`{"_type":"https://in-toto.io/Statement/v1"}`),
	}
}

func event(decision, id string) signer.AuditEvent {
	return signer.AuditEvent{
		Time: time.Date(2025, 10, 1, 12, 0, 1, 0, time.UTC), Decision: decision, Stage: "intent", Action: signer.ActionSign,
		Image: "registry.example/acme/app:v1", Digest: string(digest), Rule: "release", IntentID: id, Reasons: []string{"one", "two"},
		RequestID: "request", RemoteAddr: "192.0.2.1",
	}
}

var signed = signer.Signed{Signature: []byte("signature"), Certificate: []byte("certificate"), Timestamp: []byte("timestamp")}

func receipt(in signer.Intent) signer.Receipt {
	return signer.Receipt{
		ID: in.ID, Action: in.Action, Image: in.Artifact.String(), Digest: in.Artifact.Digest, Kind: "index", PredicateType: in.PredicateType,
		Identity: in.SAN, Issuer: in.Issuer, Requester: in.Requester.SAN, Run: in.Requester.Run, Rule: in.Rule, PolicyDigest: in.PolicyDigest,
		Attached: signer.Attached{LogIndex: 7, LogID: "00ff", TreeSize: 8, Manifest: digest, BundleDigest: digest, Bundle: []byte(`{"mediaType":"x"}`)},
		Others:   []signer.Attached{{LogIndex: 3, LogID: "11ee", TreeSize: 4, Manifest: digest, BundleDigest: digest, Bundle: []byte(`{"mediaType":"y"}`)}},
		SignedAt: in.Created.Add(time.Second),
	}
}

// to takes a new intent to a state.
func to(t testing.TB, db *sqlite.DB, in signer.Intent, state string) {
	t.Helper()
	ctx := context.Background()
	_, created, err := db.Begin(ctx, in, event(signer.DecisionGranted, in.ID))
	if err != nil || !created {
		t.Fatalf("begin: created %v, %v", created, err)
	}
	switch state {
	case "signed", "finished":
		err = db.Sign(ctx, in.ID, signed)
		if err == nil && state == "finished" {
			err = db.Finish(ctx, in.ID, receipt(in), event(signer.DecisionSigned, in.ID))
		}
	case "void":
		err = db.Void(ctx, in.ID, event(signer.DecisionVoided, in.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Every operation in every state: what is allowed, and what is left.
func TestJournalStates(t *testing.T) {
	operations := map[string]func(*sqlite.DB, signer.Intent) error{
		"sign": func(db *sqlite.DB, in signer.Intent) error { return db.Sign(context.Background(), in.ID, signed) },
		"finish": func(db *sqlite.DB, in signer.Intent) error {
			return db.Finish(context.Background(), in.ID, receipt(in), event(signer.DecisionSigned, in.ID))
		},
		"void": func(db *sqlite.DB, in signer.Intent) error {
			return db.Void(context.Background(), in.ID, event(signer.DecisionVoided, in.ID))
		},
	}
	allowed := map[string]bool{"recorded sign": true, "recorded void": true, "signed finish": true}
	for _, state := range []string{"none", "recorded", "signed", "finished", "void"} {
		for name, operation := range operations {
			t.Run(state+" "+name, func(t *testing.T) {
				db, _ := create(t)
				in := intent("intent 1", "request 1")
				if state != "none" {
					to(t, db, in, state)
				}
				before := events(t, db)
				err := operation(db, in)
				if allowed[state+" "+name] {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if !errors.Is(err, signer.ErrNoIntent) {
					t.Errorf("%v", err)
				}
				if after := events(t, db); len(after) != len(before) {
					t.Errorf("a refused step left an audit event: %v", after)
				}
			})
		}
	}
}

func events(t testing.TB, db *sqlite.DB) []store.Event {
	t.Helper()
	found, err := db.Events(context.Background(), store.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What was written is read back whole, from the next process, too.
func TestIntentsSurvive(t *testing.T) {
	db, path := create(t)
	states := []string{"recorded", "signed", "finished", "void", "recorded"}
	for i, state := range states {
		to(t, db, intent(fmt.Sprintf("intent %d", i), fmt.Sprintf("request %d", i)), state)
	}
	check := func(db *sqlite.DB) {
		t.Helper()
		unfinished, err := db.Unfinished(t.Context())
		if err != nil || len(unfinished) != 3 || unfinished[0].ID != "intent 0" || unfinished[1].ID != "intent 1" || unfinished[2].ID != "intent 4" {
			t.Fatalf("unfinished: %v, %v", unfinished, err)
		}
		for i, state := range states {
			want := intent(fmt.Sprintf("intent %d", i), fmt.Sprintf("request %d", i))
			if state == "signed" || state == "finished" {
				want.Signed = &signed
			}
			if state == "finished" {
				r := receipt(want)
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
	closeDB(t, db)
	check(open(t, path))
}

func TestRepeatedRequest(t *testing.T) {
	for _, state := range []string{"recorded", "signed", "finished"} {
		db, _ := create(t)
		first := intent("first", "request")
		to(t, db, first, state)
		before := len(events(t, db))
		second := intent("second", "request")
		second.Statement = []byte("another")
		got, created, err := db.Begin(t.Context(), second, event(signer.DecisionGranted, "second"))
		if err != nil || created || got.ID != "first" || string(got.Statement) != string(first.Statement) {
			t.Errorf("%s: created %v, %+v, %v", state, created, got, err)
		}
		if (got.Signed != nil) != (state != "recorded") || (got.Receipt != nil) != (state == "finished") {
			t.Errorf("%s: %+v", state, got)
		}
		if after := len(events(t, db)); after != before {
			t.Errorf("%s: a repeated request recorded %d events", state, after-before)
		}
	}
	db, _ := create(t)
	to(t, db, intent("first", "request"), "void")
	got, created, err := db.Begin(t.Context(), intent("second", "request"), event(signer.DecisionGranted, "second"))
	if err != nil || !created || got.ID != "second" {
		t.Errorf("after void: created %v, %+v, %v", created, got, err)
	}
	// An intent's name is used once, whatever its request.
	if _, _, err := db.Begin(t.Context(), intent("first", "other"), event(signer.DecisionGranted, "first")); err == nil {
		t.Error("an id was used twice")
	}
}

// Many at a time with one request key: one is recorded, all get it, and the
// audit has one event.
func TestConcurrentBegin(t *testing.T) {
	db, _ := create(t)
	const callers, keys = 48, 3
	var created atomic.Int64
	var winners sync.Map
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := fmt.Sprintf("request %d", i%keys)
			got, isNew, err := db.Begin(context.Background(), intent(fmt.Sprintf("intent %d", i), key), event(signer.DecisionGranted, ""))
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
	if created.Load() != keys || len(events(t, db)) != keys {
		t.Errorf("%d created, %d events, want %d", created.Load(), len(events(t, db)), keys)
	}
}

// Writes share commits. One that fails must not take its neighbours with it.
func TestFailedWriteFailsAlone(t *testing.T) {
	db, _ := create(t)
	to(t, db, intent("taken", "request taken"), "recorded")
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			id := fmt.Sprintf("intent %d", i)
			if i%3 == 0 {
				id = "taken"
			}
			_, _, err := db.Begin(context.Background(), intent(id, fmt.Sprintf("request %d", i)), event(signer.DecisionGranted, id))
			if (err != nil) != (i%3 == 0) {
				t.Errorf("intent %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	unfinished, err := db.Unfinished(t.Context())
	if err != nil || len(unfinished) != 41 || len(events(t, db)) != 41 {
		t.Errorf("%d intents, %d events, %v", len(unfinished), len(events(t, db)), err)
	}
}

func TestReceipts(t *testing.T) {
	db, _ := create(t)
	for i := range 300 {
		to(t, db, intent(fmt.Sprintf("intent %d", i), fmt.Sprintf("request %d", i)), "finished")
	}
	other := intent("other", "other")
	other.Artifact.Digest = attest.DigestOf([]byte("other"))
	to(t, db, other, "finished")
	to(t, db, intent("open", "open"), "signed")
	got, err := db.Receipts(t.Context(), digest)
	if err != nil || len(got) != 256 || got[0].ID != "intent 299" || got[255].ID != "intent 44" {
		t.Fatalf("%d receipts, %v", len(got), err)
	}
	if want := receipt(intent("intent 299", "request 299")); !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if got, err := db.Receipts(t.Context(), attest.DigestOf([]byte("unknown"))); err != nil || len(got) != 0 {
		t.Errorf("unknown artifact: %v, %v", got, err)
	}
}

func TestAudit(t *testing.T) {
	db, path := create(t)
	for i := range 25 {
		ev := event(signer.DecisionRefused, "")
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
	closeDB(t, db)
	db = open(t, path)
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
	want := event(signer.DecisionFailed, "")
	want.Digest, want.RequestID = "sha256:other", "0"
	if got := events(t, db)[0].AuditEvent; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	encoded, err := json.Marshal(events(t, db)[0])
	if err != nil || !strings.Contains(string(encoded), `"seq":1,`) {
		t.Errorf("%s, %v", encoded, err)
	}
}

// What is append-only cannot be changed by any SQL on this file.
func TestAppendOnly(t *testing.T) {
	db, _ := create(t)
	l := startLog(t, db, newKey(t))
	appendAll(t, l, "entry", 300)
	to(t, db, intent("intent", "request"), "finished")
	for _, query := range []string{
		`UPDATE entries SET body = x'00' WHERE id = (SELECT min(id) FROM entries)`,
		`DELETE FROM entries`,
		`UPDATE leaves SET idx = idx + 1`,
		`DELETE FROM leaves`,
		`UPDATE tiles SET data = x'00'`,
		`UPDATE tiles SET id = id + 1`,
		`DELETE FROM tiles`,
		`UPDATE logs SET size = size - 1`,
		`UPDATE logs SET time = 0`,
		`UPDATE logs SET key = x'00'`,
		`UPDATE logs SET origin = 'x'`,
		`DELETE FROM logs`,
		`UPDATE audit SET event = '{}'`,
		`DELETE FROM audit`,
		`DELETE FROM intents`,
		`INSERT INTO leaves (log, leaf, idx) VALUES (99, x'00', 0)`,
		`INSERT INTO intents (id, request_key, state, created, action, digest, predicate_type, document, statement)
			SELECT 'copy', request_key, 'recorded', created, action, digest, predicate_type, document, statement FROM intents`,
	} {
		if err := db.Exec(t.Context(), query); err == nil {
			t.Errorf("allowed: %s", query)
		}
	}
}
