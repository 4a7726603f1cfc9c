// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// readers: replicas that read what another one has just acknowledged.
func readers(w *World, st tlog.Storage) *tlog.Log {
	cfg := w.Config
	cfg.Shared = true
	writer, reader := w.Load(st, cfg), w.Load(st, cfg)
	each(8, func(i int) {
		for n := range 40 {
			body := fmt.Sprintf("entry %d of %d", n, i)
			in, err := writer.Append(context.Background(), tlog.Leaf{Body: []byte(body)})
			if err == nil {
				err = w.Remember(body, in)
			}
			if err != nil {
				w.Error(err)
				return
			}
			entry, proof, err := reader.Entry(context.Background(), in.Index)
			if err == nil && (string(entry.Body) != body || entry.Time != in.Time) {
				err = fmt.Errorf("read %q, wrote %q", entry.Body, body)
			}
			if err == nil {
				err = w.Remember(body, proof)
			}
			if err != nil {
				w.Error(err)
			}
			if size := reader.Size(); size <= in.Index {
				w.Errorf("the reader's size is %d, entry %d is acknowledged", size, in.Index)
			}
		}
	})
	return reader
}

// frozenUnderLoad: a log is frozen while two replicas write to it. Whoever was
// acknowledged is in it, nobody else gets in, and it answers for what it has.
func frozenUnderLoad(w *World, st tlog.Storage) *tlog.Log {
	logs := []*tlog.Log{w.Load(st, w.Config), w.Load(st, w.Config), w.Load(st, w.Config)}
	var acknowledged atomic.Int64
	half := make(chan struct{})
	go func() {
		<-half
		if err := st.Freeze(context.Background(), w.Config.Name); err != nil {
			w.Error(err)
		}
	}()
	const writers, enough, tooMany = 8, 100, 100_000
	each(writers, func(i int) {
		for n := range tooMany {
			err := w.Append(context.Background(), logs[i%2], fmt.Sprintf("entry %d of %d", n, i/2))
			if errors.Is(err, tlog.ErrFrozen) {
				return
			}
			if err != nil {
				w.Error(err)
				return
			}
			if acknowledged.Add(1) == enough {
				close(half)
			}
		}
		w.Error("the log does not freeze")
	})
	for _, l := range logs {
		if err := w.Append(context.Background(), l, "one more"); !errors.Is(err, tlog.ErrFrozen) {
			w.Errorf("append to a frozen log: %v", err)
		}
		if err := w.Append(context.Background(), l, "entry 0 of 0"); err != nil {
			w.Errorf("append what a frozen log has: %v", err)
		}
		if row := l.Row(); row.State != tlog.Frozen || row.Head.Size != int64(w.Acknowledged()) {
			w.Errorf("row %+v, %d were acknowledged", row, w.Acknowledged())
		}
	}
	return logs[2]
}

// lostAnswers: two replicas, and on one of them the answers of many commits are
// lost, so that it has to find out behind what the other has committed.
func lostAnswers(w *World, st tlog.Storage) *tlog.Log {
	var commits atomic.Int64
	cfg := w.Config
	cfg.Shared = true // so that it knows of the other's last entries
	cfg.Fault = func(p tlog.Point) error {
		if p == tlog.AfterCommit && commits.Add(1)%3 == 0 {
			return errBroken
		}
		return nil
	}
	unlucky, other := w.Load(st, cfg), w.Load(st, w.Config)
	const writers, entries = 8, 40
	each(writers, func(i int) {
		l := unlucky
		if i%2 == 0 {
			l = other
		}
		for n := range entries {
			insist(w, l, fmt.Sprintf("entry %d of %d", n, i/4*100+i%2*(n%2)))
		}
	})
	if commits.Load() < 3 {
		w.Error("no answer was lost")
	}
	insist(w, unlucky, "last") // and sees what the other has appended
	return unlucky
}

// runRotation is RunEngine's test of sets: the active log is rotated again and
// again while replicas write the same entries, with commits whose answers are
// lost. Every entry is in one shard, once, and global indexes are dense.
func runRotation(t *testing.T, st tlog.Storage) {
	const shards, replicas, writers = 4, 3, 12
	keys := make(map[string]crypto.Signer)
	for i := range shards {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		name, id := fmt.Sprint("v1-", i), int64(100+i)
		birth := tlog.Birth{Kind: tlog.V1, TreeID: id, State: tlog.Pending}
		if i == 0 {
			birth.State = tlog.Active
		}
		keys[name] = key
		if err := tlog.Create(t.Context(), st, tlog.Config{Name: name, Origin: fmt.Sprintf("log.example - %d", id), Signer: key}, birth); err != nil {
			t.Fatal(err)
		}
	}
	signer := func(row tlog.LogRow) (crypto.Signer, error) { return keys[row.Name], nil }
	var commits, writing atomic.Int64
	var rotated atomic.Bool // the last shard is active, or cannot be
	sets := make([]*tlog.Set, replicas)
	for i := range sets {
		var err error
		sets[i], err = tlog.LoadSet(t.Context(), st, tlog.SetConfig{Signer: signer, Config: tlog.Config{Shared: true, Fault: func(p tlog.Point) error {
			if p == tlog.AfterCommit && commits.Add(1)%7 == 0 {
				return errBroken
			}
			return nil
		}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sets[i].Close(context.Background()) })
	}
	var mu sync.Mutex
	acked := make(map[string]string) // where, by body
	writing.Store(writers - 1)
	each(writers, func(i int) {
		if i == 0 {
			defer rotated.Store(true)
			for n := 1; n < shards; n++ {
				for commits.Load() < int64(n*20) && writing.Load() > 0 {
					if _, err := sets[0].Logs(context.Background(), tlog.V1); err != nil {
						t.Error(err)
						return
					}
				}
				if err := st.Activate(context.Background(), fmt.Sprint("v1-", n)); err != nil {
					t.Error(err)
					return
				}
			}
			return
		}
		defer writing.Add(-1)
		for n := 0; !rotated.Load() || n%50 > 0; n++ {
			body := fmt.Sprintf("entry %d of %d", n, i/2) // by two of the writers
			l, in, err := sets[(i+n)%replicas].Append(context.Background(), tlog.V1, tlog.Leaf{Body: []byte(body), Keys: []string{"entry"}})
			if errors.Is(err, tlog.ErrUnavailable) {
				continue
			}
			if err != nil {
				t.Errorf("append: %v", err)
				return
			}
			where := fmt.Sprint(l.Row().Name, in.Index, in.Time)
			mu.Lock()
			if before, ok := acked[body]; ok && before != where {
				t.Errorf("%q is at %s and at %s", body, before, where)
			}
			acked[body] = where
			mu.Unlock()
		}
	})
	checkShards(t, st, sets, acked)
}

// checkShards reads everything back.
func checkShards(t *testing.T, st tlog.Storage, sets []*tlog.Set, acked map[string]string) {
	t.Helper()
	reports, err := tlog.FsckAll(t.Context(), st, tlog.FsckConfig{
		Keys: func(tlog.LogRow, []byte) ([]string, error) { return []string{"entry"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, r := range reports {
		total += r.Size
		if r.Err() != nil {
			t.Errorf("log %s: %v", r.Log, r.Err())
		}
	}
	for _, s := range sets {
		logs, err := s.Logs(t.Context(), tlog.V1)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]string)
		var all []tlog.Position
		for _, l := range logs {
			row := l.Row()
			if row.FirstIndex != int64(len(seen)) {
				t.Errorf("log %s begins at %d, %d entries are before it", row.Name, row.FirstIndex, len(seen))
			}
			for index := range row.Head.Size {
				e, _, err := l.Entry(t.Context(), index)
				if err != nil {
					t.Fatal(err)
				}
				if before, ok := seen[string(e.Body)]; ok {
					t.Errorf("%q is at %s and in %s, too", e.Body, before, row.Name)
				}
				all = append(all, tlog.Position{Log: row.Name, Index: index})
				seen[string(e.Body)] = fmt.Sprint(row.Name, e.Index, e.Time)
			}
		}
		for body, where := range acked {
			if seen[body] != where {
				t.Errorf("%q was acknowledged at %s and is at %q", body, where, seen[body])
			}
		}
		found, err := s.Search(t.Context(), tlog.Query{Keys: []string{"entry"}, Newest: true, Limit: tlog.MaxPage})
		if err != nil || int64(len(found)) != min(total, tlog.MaxPage) || int64(len(all)) != total {
			t.Fatalf("%d found, %d read of %d; %v", len(found), len(all), total, err)
		}
		slices.Reverse(all)
		if !slices.Equal(found, all[:len(found)]) {
			t.Error("entries are not found in the order in which their logs were created")
		}
	}
}
