// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// list returns the ids of all receipts that a query selects, page by page.
func list(t *testing.T, db store.Database, q signer.ReceiptQuery) (ids []string) {
	t.Helper()
	for {
		page, err := db.ReceiptPage(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page {
			if q.Before != 0 && r.Seq >= q.Before {
				t.Fatalf("receipt %s has number %d, the page before ended at %d", r.ID, r.Seq, q.Before)
			}
			ids, q.Before = append(ids, r.ID), r.Seq
		}
		if len(page) < q.Page() {
			return ids
		}
	}
}

// receipts: pages show every receipt once, newest first, however long they are
// and whatever is added meanwhile; they hold no bundle, which is read by id.
func receipts(t *testing.T, e Engine) {
	db := e.Create(t)
	const many = signer.MaxReceiptPage + 4
	var want []string
	for i := range many {
		To(t, db, Intent(fmt.Sprintf("intent %d", i), fmt.Sprintf("request %d", i)), "finished")
		want = append(want, fmt.Sprintf("intent %d", i))
	}
	slices.Reverse(want)
	other := Intent("other", "other")
	other.Artifact.Digest = attest.DigestOf([]byte("other"))
	To(t, db, other, "finished")
	To(t, db, Intent("open", "open"), "signed")
	To(t, db, Intent("void", "void"), "void")
	for _, limit := range []int{-1, 0, 7, signer.MaxReceiptPage, 1 << 40} {
		if got := list(t, db, signer.ReceiptQuery{Digest: Digest, Limit: limit}); !slices.Equal(got, want) {
			t.Errorf("pages of %d: %d receipts, %v", limit, len(got), got)
		}
	}
	first, err := db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: Digest, Limit: 2})
	if err != nil || len(first) != 2 {
		t.Fatalf("%d receipts, %v", len(first), err)
	}
	whole := Receipt(Intent("intent 259", "request 259"))
	outline, size := signer.OutlineOf(whole)
	if got := first[0]; !reflect.DeepEqual(got.Receipt, outline) || got.Size != size || !got.Finished.Equal(Event("", "").Time) {
		t.Errorf("got  %+v\nwant %+v, %d bytes", got, outline, size)
	}
	To(t, db, Intent("newer", "newer"), "finished")
	if got := list(t, db, signer.ReceiptQuery{Digest: Digest, Before: first[1].Seq, Limit: 100}); !slices.Equal(got, want[2:]) {
		t.Errorf("one was added, and the next page begins with %v", got[:3])
	}
	// An intent that waited long is finished now: its receipt is the newest.
	if err := db.Finish(t.Context(), "open", Receipt(Intent("open", "open")), Event(signer.DecisionSigned, "open")); err != nil {
		t.Fatal(err)
	}
	check := func(db store.Database) {
		t.Helper()
		if got := list(t, db, signer.ReceiptQuery{Digest: Digest}); !slices.Equal(got, append([]string{"open", "newer"}, want...)) {
			t.Errorf("%d receipts: %v", len(got), got[:3])
		}
		if got, err := db.Receipt(t.Context(), "intent 259"); err != nil || !reflect.DeepEqual(got, whole) {
			t.Errorf("got  %+v\nwant %+v\n%v", got, whole, err)
		}
		if got, err := db.ReceiptBundle(t.Context(), "intent 259"); err != nil || !bytes.Equal(got, whole.Bundle) {
			t.Errorf("bundle %q, %v", got, err)
		}
		if problems, err := db.Damage(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("damage: %v, %v", problems, err)
		}
	}
	check(db)
	check(e.Reopen(t, db))
}

// receiptsByType: only receipts of the types that are asked for, and of no
// other, however many of others are newer.
func receiptsByType(t *testing.T, e Engine) {
	db := e.Create(t)
	for i := range 40 {
		in := Intent(fmt.Sprint("intent ", i), fmt.Sprint("request ", i))
		in.PredicateType = "https://example.com/noise"
		if i%10 == 0 {
			in.PredicateType = fmt.Sprint("https://example.com/", i)
		}
		To(t, db, in, "finished")
	}
	for _, tc := range []struct {
		types []string
		want  []string
	}{
		{[]string{"https://example.com/0"}, []string{"intent 0"}},
		{[]string{"https://example.com/20", "https://example.com/0", "https://example.com/20"}, []string{"intent 20", "intent 0"}},
		{[]string{"https://example.com/30", "no such"}, []string{"intent 30"}},
		{[]string{"https://example.com/"}, nil},
		{[]string{""}, nil},
		{[]string{"' OR ''='", "%", `{a,"b}`}, nil},
	} {
		for _, limit := range []int{1, 2, 0} {
			if got := list(t, db, signer.ReceiptQuery{Digest: Digest, Types: tc.types, Limit: limit}); !slices.Equal(got, tc.want) {
				t.Errorf("types %q, pages of %d: %v, want %v", tc.types, limit, got, tc.want)
			}
		}
	}
	types, err := db.ReceiptTypes(t.Context(), Digest)
	slices.Sort(types)
	if want := []string{"https://example.com/0", "https://example.com/10", "https://example.com/20", "https://example.com/30", "https://example.com/noise"}; err != nil || !slices.Equal(types, want) {
		t.Errorf("types %q, %v", types, err)
	}
	unknown := attest.DigestOf([]byte("unknown"))
	if types, err := db.ReceiptTypes(t.Context(), unknown); err != nil || len(types) != 0 {
		t.Errorf("types of what is not known: %q, %v", types, err)
	}
	many := Intent("", "")
	many.Artifact.Digest = attest.DigestOf([]byte("many types"))
	for i := range signer.MaxReceiptTypes + 3 {
		many.ID, many.RequestKey, many.PredicateType = fmt.Sprint("many ", i), fmt.Sprint("many ", i), fmt.Sprint("type ", i)
		To(t, db, many, "finished")
	}
	if types, err := db.ReceiptTypes(t.Context(), many.Artifact.Digest); err != nil || len(types) != signer.MaxReceiptTypes+1 {
		t.Errorf("%d types, %v", len(types), err)
	}
	for _, q := range []signer.ReceiptQuery{{Digest: unknown}, {Digest: unknown, Types: []string{"https://example.com/0"}}, {Digest: Digest, Before: 1}, {}} {
		if page, err := db.ReceiptPage(t.Context(), q); err != nil || len(page) != 0 {
			t.Errorf("%+v: %v, %v", q, page, err)
		}
	}
	if page, err := db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: Digest, Before: -3, Limit: 1}); err != nil || len(page) != 1 || page[0].ID != "intent 39" {
		t.Errorf("before no number: %v, %v", page, err)
	}
	To(t, db, Intent("signed", "signed"), "signed")
	for _, id := range []string{"no such", "signed", ""} {
		if _, err := db.Receipt(t.Context(), id); !errors.Is(err, signer.ErrNoIntent) {
			t.Errorf("receipt of %q: %v", id, err)
		}
		if _, err := db.ReceiptBundle(t.Context(), id); !errors.Is(err, signer.ErrNoIntent) {
			t.Errorf("bundle of %q: %v", id, err)
		}
	}
}

// receiptsWalked: a walk shows all or fails, and says at which limit.
func receiptsWalked(t *testing.T, e Engine) {
	db := e.Create(t)
	const many = 9
	for i := range many {
		To(t, db, Intent(fmt.Sprint("intent ", i), fmt.Sprint("request ", i)), "finished")
	}
	for most := range many + 2 {
		seen := 0
		err := signer.WalkReceipts(t.Context(), db, signer.ReceiptQuery{Digest: Digest, Limit: 4}, most, func(signer.ReceiptOutline) error { seen++; return nil })
		var more *signer.TooMuchEvidence
		if (most < many) != errors.As(err, &more) || (most >= many && err != nil) || seen != min(most, many) {
			t.Errorf("at most %d: saw %d, %v", most, seen, err)
		}
	}
	stop := errors.New("enough")
	if err := signer.WalkReceipts(t.Context(), db, signer.ReceiptQuery{Digest: Digest}, many, func(signer.ReceiptOutline) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the visitor's error became %v", err)
	}
}

const (
	largeBundle = 4 << 20
	largeMany   = 24
)

// largeReceipts: a list of large receipts costs nothing of their size, and a
// walk that reads all bundles a few at a time.
func largeReceipts(t *testing.T, e Engine) {
	db := e.Create(t)
	bundle := bytes.Repeat([]byte("0123456789abcdef"), largeBundle/16)
	for i := range largeMany {
		in := Intent(fmt.Sprint("intent ", i), fmt.Sprint("request ", i))
		To(t, db, in, "signed")
		r := Receipt(in)
		r.Bundle = bundle
		if err := db.Finish(t.Context(), in.ID, r, Event(signer.DecisionSigned, in.ID)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	if cost := allocated(func() { ids = list(t, db, signer.ReceiptQuery{Digest: Digest}) }); len(ids) != largeMany || cost > largeBundle/2 {
		t.Errorf("a list of %d receipts allocated %d bytes", len(ids), cost)
	}
	grown := heapGrowth(t, func(sample func()) {
		err := signer.WalkReceipts(t.Context(), db, signer.ReceiptQuery{Digest: Digest}, largeMany, func(r signer.ReceiptOutline) error {
			got, err := db.ReceiptBundle(t.Context(), r.ID)
			if err == nil && (len(got) != largeBundle || r.Size < largeBundle) {
				err = fmt.Errorf("a bundle of %d bytes, announced are %d", len(got), r.Size)
			}
			sample()
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	if grown > 4*largeBundle {
		t.Errorf("a walk over %d bundles of %d bytes held %d bytes", largeMany, largeBundle, grown)
	}
}

// allocated is how many bytes f allocates, kept or not.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// heapGrowth is the most that is in use at a sample more than before. Each
// sample collects garbage first, so that it counts what is held.
func heapGrowth(t *testing.T, f func(sample func())) uint64 {
	t.Helper()
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	before, most := inUse(), uint64(0)
	f(func() { most = max(most, inUse()) })
	return most - min(before, most)
}

// unfinishedPages: every open intent is on one page, oldest first, and none is
// left out when those of earlier pages are finished meanwhile.
func unfinishedPages(t *testing.T, e Engine) {
	db := e.Create(t)
	const many = 2*store.MaxUnfinished + 3
	for i := range many {
		state := "recorded"
		if i%5 == 0 {
			state = "signed"
		}
		To(t, db, Intent(fmt.Sprint("intent ", i), fmt.Sprint("request ", i)), state)
	}
	seen := 0
	for after, pages := int64(0), 1; ; pages++ {
		page, next, err := db.Unfinished(t.Context(), after)
		if err != nil || len(page) > store.MaxUnfinished {
			t.Fatalf("page %d: %d intents, %v", pages, len(page), err)
		}
		for _, in := range page {
			if want := fmt.Sprint("intent ", seen); in.ID != want || len(in.Statement) > 0 || (in.Signed != nil) != (seen%5 == 0) {
				t.Fatalf("intent %d of the list is %+v", seen, in)
			}
			if in.Signed == nil {
				if err := db.Void(t.Context(), in.ID, Event(signer.DecisionVoided, in.ID)); err != nil {
					t.Fatal(err)
				}
			}
			seen++
		}
		if next == 0 {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		after = next
	}
	if seen != many {
		t.Errorf("%d intents were listed, want %d", seen, many)
	}
	if page, next, err := db.Unfinished(t.Context(), 1<<40); err != nil || len(page) != 0 || next != 0 {
		t.Errorf("behind the end: %d intents, next page %d, %v", len(page), next, err)
	}
}
