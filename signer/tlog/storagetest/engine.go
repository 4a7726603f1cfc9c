// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// RunEngine checks that tlog keeps its promises on a storage: under faults at
// every named point, with several processes (here: several Logs) on one log,
// and with many writers that send the same entries. Each ends with
// World.Check, and again after reopening, as in Run.
func RunEngine(t *testing.T, open func(t *testing.T) tlog.Storage, reopen func(t *testing.T, st tlog.Storage) tlog.Storage) {
	tests := map[string]func(*World, tlog.Storage) *tlog.Log{
		"duplicates":    duplicates,
		"replicas":      replicas,
		"stale replica": staleReplica,
		"outage":        outage,
		"readers":       readers,
		"frozen":        frozenUnderLoad,
		"lost answers":  lostAnswers,
	}
	for _, p := range tlog.Points() {
		tests["broken once at "+string(p)] = func(w *World, st tlog.Storage) *tlog.Log { return broken(w, st, p, 1) }
		tests["broken for long at "+string(p)] = func(w *World, st tlog.Storage) *tlog.Log { return broken(w, st, p, 7) }
	}
	t.Run("rotation", func(t *testing.T) { runRotation(t, open(t)) })
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			w := NewWorld(t, tlog.Config{Name: "v2", Origin: "log.example", Signer: key})
			st := open(t)
			if err := tlog.Create(t.Context(), st, w.Config, birth()); err != nil {
				t.Fatal(err)
			}
			l := test(w, st)
			w.Check(st, l)
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if reopen != nil {
				st = reopen(t, st)
			}
			w.Check(st, w.Load(st, w.Config))
		})
	}
}

// each calls fn from n goroutines and waits.
func each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// insist appends until it is acknowledged, as a client that retries.
func insist(w *World, l *tlog.Log, body string) {
	for range 1000 {
		err := w.Append(context.Background(), l, body)
		if err == nil {
			return
		}
		if !errors.Is(err, tlog.ErrUnavailable) {
			w.Errorf("append %q: %v", body, err)
			return
		}
	}
	w.Errorf("append %q: still not available", body)
}

// duplicates: 64 writers send 100 entries, each of them four times or more.
func duplicates(w *World, st tlog.Storage) *tlog.Log {
	const writers, entries, sends = 64, 100, 8
	l := w.Load(st, w.Config)
	var fresh atomic.Int64
	each(writers, func(i int) {
		for n := range sends {
			body := fmt.Sprintf("entry %d", (i*13+n*7)%entries)
			in, err := l.Append(context.Background(), tlog.Leaf{Body: []byte(body)})
			if err == nil {
				err = w.Remember(body, in)
			}
			if err != nil {
				w.Error(err)
			}
			if !in.Existing {
				fresh.Add(1)
			}
		}
	})
	if l.Size() != entries || fresh.Load() != entries {
		w.Errorf("%d entries, %d said to be new, want %d", l.Size(), fresh.Load(), entries)
	}
	return l
}

// replicas: three processes append to one log, half of it the same entries.
func replicas(w *World, st tlog.Storage) *tlog.Log {
	const count, writers, entries = 3, 4, 40
	var logs [count]*tlog.Log
	for i := range logs {
		logs[i] = w.Load(st, w.Config)
	}
	each(count*writers, func(i int) {
		for n := range entries {
			body := fmt.Sprintf("shared %d", n)
			if n%2 == 1 {
				body = fmt.Sprintf("of writer %d: %d", i, n)
			}
			if err := w.Append(context.Background(), logs[i%count], body); err != nil {
				w.Error(err)
			}
		}
	})
	// Whoever appends next sees everything.
	if err := w.Append(context.Background(), logs[0], "last"); err != nil {
		w.Error(err)
	}
	if want := int64(entries/2 + count*writers*entries/2 + 1); logs[0].Size() != want {
		w.Errorf("%d entries, want %d", logs[0].Size(), want)
	}
	return logs[0]
}

// staleReplica: one process sleeps while another appends more than can be
// caught up under the lock, across the border of a tile.
func staleReplica(w *World, st tlog.Storage) *tlog.Log {
	asleep, awake := w.Load(st, w.Config), w.Load(st, w.Config)
	if err := w.Append(context.Background(), asleep, "before"); err != nil {
		w.Fatal(err)
	}
	const writers = 32
	each(writers, func(i int) {
		for n := range 2 * tlog.MaxMissed / writers {
			if err := w.Append(context.Background(), awake, fmt.Sprintf("entry %d of %d", n, i)); err != nil {
				w.Error(err)
			}
		}
	})
	if err := w.Append(context.Background(), asleep, "after"); err != nil {
		w.Error(err)
	}
	if want := int64(2*tlog.MaxMissed + 2); asleep.Size() != want {
		w.Errorf("%d entries, want %d", asleep.Size(), want)
	}
	return asleep
}

// broken: the connection breaks at a point in the middle of writing, a number
// of times in a row, and clients retry.
func broken(w *World, st tlog.Storage, point tlog.Point, times int64) *tlog.Log {
	var left atomic.Int64
	cfg := w.Config
	cfg.Fault = func(p tlog.Point) error {
		if p == point && left.Add(-1) >= 0 {
			return errBroken
		}
		return nil
	}
	l := w.Load(st, cfg)
	const writers, entries = 8, 30
	each(writers, func(i int) {
		for n := range entries {
			if i == 0 && n == entries/2 {
				left.Store(times)
				insist(w, l, "a new entry, so that the fault has a commit to break")
			}
			insist(w, l, fmt.Sprintf("entry %d", n*writers+i/2)) // each twice
		}
	})
	if left.Load() == times {
		w.Errorf("the fault at %s never happened", point)
	}
	if want := writers*entries/2 + 1; w.Acknowledged() != want || l.Size() != int64(want) {
		w.Errorf("%d acknowledged, %d in the log, want %d", w.Acknowledged(), l.Size(), want)
	}
	return l
}

// outage: nothing can be committed for a while. Appends fail, reads go on, and
// the log takes entries again without being told to.
func outage(w *World, st tlog.Storage) *tlog.Log {
	var down atomic.Bool
	cfg := w.Config
	cfg.Fault = func(p tlog.Point) error {
		if down.Load() && p == tlog.BeforeCommit {
			return errBroken
		}
		return nil
	}
	l := w.Load(st, cfg)
	for n := range 300 {
		insist(w, l, fmt.Sprintf("before %d", n))
	}
	down.Store(true)
	before, err := l.Checkpoint(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	each(16, func(i int) {
		if err := w.Append(context.Background(), l, fmt.Sprintf("during %d", i)); !errors.Is(err, tlog.ErrUnavailable) || !errors.Is(err, errBroken) {
			w.Errorf("append during the outage: %v", err)
		}
	})
	after, err := l.Checkpoint(context.Background())
	if err != nil || string(after) != string(before) {
		w.Errorf("the checkpoint moved during the outage: %v", err)
	}
	if _, err := l.Prove(context.Background(), 17); err != nil {
		w.Errorf("read during the outage: %v", err)
	}
	down.Store(false)
	each(16, func(i int) {
		if err := w.Append(context.Background(), l, fmt.Sprintf("during %d", i)); err != nil {
			w.Errorf("append after the outage: %v", err)
		}
	})
	return l
}

// birth is that of the log most tests use.
func birth() tlog.Birth { return tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active} }
