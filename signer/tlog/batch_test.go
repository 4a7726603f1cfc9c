// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

func TestObserve(t *testing.T) {
	var seen []tlog.BatchStats
	broken := errors.New("broken")
	fail := false
	cfg := tlog.Config{
		Name: "v2", Origin: origin, Signer: newKey(t),
		Observe: func(s tlog.BatchStats) { seen = append(seen, s) },
		Fault: func(tlog.Point) error {
			if fail {
				return broken
			}
			return nil
		},
	}
	l := create(t, storagetest.NewMemory(), cfg)
	for _, i := range []int{1, 1, 2} {
		if _, err := l.Append(t.Context(), leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	fail = true
	if _, err := l.Append(t.Context(), leaf(3)); !errors.Is(err, broken) {
		t.Error(err)
	}
	closeLog(t, l)
	want := []tlog.BatchStats{
		{Log: "v2", Waiting: 1, New: 1, Size: 1}, {Log: "v2", Waiting: 1, Size: 1},
		{Log: "v2", Waiting: 1, New: 1, Size: 2}, {Log: "v2", Waiting: 1, Size: 2},
	}
	if len(seen) != len(want) {
		t.Fatalf("%+v", seen)
	}
	for i := range want {
		if seen[i].Took <= 0 || (seen[i].Err != nil) != (i == 3) {
			t.Errorf("%+v", seen[i])
		}
		seen[i].Took, seen[i].Err = 0, nil
		if seen[i] != want[i] {
			t.Errorf("batch %d: %+v, want %+v", i, seen[i], want[i])
		}
	}
}

// A leaf that is sent by many while a batch is under way is in the next batch
// many times: one of them adds it, and says so.
func TestDuplicatesInOneBatch(t *testing.T) {
	g := newGate()
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key, Fault: g.at(tlog.Taken)})
	pending := []<-chan result{inBackground(t.Context(), l, leaf(0))}
	<-g.reached
	const each, leaves = 5, 3 // the first of them is in the batch under way
	for i := range each * leaves {
		pending = append(pending, inBackground(t.Context(), l, leaf(i%leaves)))
	}
	for tlog.Waiting(l) != each*leaves {
		runtime.Gosched()
	}
	close(g.open)
	index := make(map[int64]int)
	fresh := 0
	for _, done := range pending {
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		index[r.in.Index]++
		if !r.in.Existing {
			fresh++
		}
	}
	if len(index) != leaves || index[0] != each+1 || index[1] != each || fresh != leaves {
		t.Errorf("entries %v, %d of them said to be new", index, fresh)
	}
	checkWorld(t, st, l, key)
}
