// SPDX-License-Identifier: Apache-2.0

// Package storagetest is what every tlog.Storage must pass, and a storage in
// memory that does.
package storagetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// errBroken stands for a lost connection.
var errBroken = errors.New("connection lost")

// Run checks a storage against the contract of tlog.Storage. open returns an
// empty storage; reopen ends it as a crash would and opens what it left. A
// storage that keeps nothing has a nil reopen.
func Run(t *testing.T, open func(t *testing.T) tlog.Storage, reopen func(t *testing.T, st tlog.Storage) tlog.Storage) {
	tests := map[string]func(*suite){
		"create":                 (*suite).create,
		"missing log":            (*suite).missing,
		"batch":                  (*suite).batch,
		"empty batch":            (*suite).emptyBatch,
		"plan error":             (*suite).planError,
		"two logs":               (*suite).twoLogs,
		"index and leaf unique":  (*suite).unique,
		"existing and missed":    (*suite).existingAndMissed,
		"broken before commit":   (*suite).brokenBefore,
		"broken after commit":    (*suite).brokenAfter,
		"concurrent batches":     (*suite).concurrent,
		"context before":         (*suite).contextBefore,
		"context during":         (*suite).contextDuring,
		"leaves that come late":  (*suite).late,
		"many leaves":            (*suite).manyLeaves,
		"tiles grow":             (*suite).tilesGrow,
		"largest leaf":           (*suite).largest,
		"no transaction is left": (*suite).noneLeft,
	}
	maps.Copy(tests, shardTests())
	maps.Copy(tests, searchTests())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, st: open(t)}
			s.mustCreate("a")
			test(s)
			if reopen != nil {
				// What the test saw is what a restarted process sees.
				before := s.dump("a") + s.states() + s.search(tlog.Query{Keys: []string{"k", "red", "key 0", "lost"}})
				s.st = reopen(t, s.st)
				after := s.dump("a") + s.states() + s.search(tlog.Query{Keys: []string{"k", "red", "key 0", "lost"}})
				if before != after {
					t.Errorf("after reopening:\n%s\nbefore:\n%s", after, before)
				}
			}
		})
	}
}

type suite struct {
	*testing.T
	st tlog.Storage
}

func (s *suite) mustCreate(name string) {
	s.Helper()
	if err := s.st.CreateLog(s.Context(), row(name)); err != nil {
		s.Fatal(err)
	}
}

// row is a pending log. Its tree id is made of its name.
func row(name string) tlog.LogRow {
	sum := merkle.RecordHash([]byte(name))
	return tlog.LogRow{
		Name: name, Kind: tlog.V2, State: tlog.Pending, FirstIndex: tlog.Unplaced,
		TreeID: int64(binary.BigEndian.Uint64(sum[:]) >> 1),
		Origin: "origin of " + name, Key: []byte("key of " + name),
		Head: tlog.Head{Root: tlog.Hash{1}, Time: 10, Checkpoint: []byte("empty " + name)},
	}
}

// entry is leaf n at an index.
func entry(index int64, n int) tlog.Entry {
	body := fmt.Appendf(nil, "leaf %d", n)
	return tlog.Entry{Index: index, Time: 20 + index, Hash: merkle.RecordHash(body), Body: body}
}

// head is a made-up head; storage does not look inside.
func head(size int64) tlog.Head {
	return tlog.Head{
		Size: size, Root: tlog.Hash{2, byte(size)}, Time: 20 + size - 1,
		Checkpoint: fmt.Appendf(nil, "checkpoint %d", size),
	}
}

// write commits leaves of the given numbers behind what is there.
func (s *suite) write(name string, b tlog.Batch, numbers ...int) error {
	b.Log = name
	return s.st.Commit(s.Context(), b, func(l tlog.Locked) (tlog.Write, error) {
		w := tlog.Write{Head: head(l.Head.Size + int64(len(numbers)))}
		for i, n := range numbers {
			w.Entries = append(w.Entries, entry(l.Head.Size+int64(i), n))
		}
		return w, nil
	})
}

func (s *suite) mustWrite(name string, numbers ...int) {
	s.Helper()
	if err := s.write(name, tlog.Batch{}, numbers...); err != nil {
		s.Fatal(err)
	}
}

// maxFind is how many leaves dump looks for at a time.
const maxFind = 1000

// dump is everything that can be read of a log.
func (s *suite) dump(name string) string {
	s.Helper()
	row, err := s.st.Log(s.Context(), name)
	if err != nil {
		s.Fatal(err)
	}
	entries, err := s.st.Entries(s.Context(), name, 0, 1<<20)
	if err != nil {
		s.Fatal(err)
	}
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%s %q %q %d %s %d %q\n", row.Name, row.Origin, row.Key, row.Head.Size, row.Head.Root, row.Head.Time, row.Head.Checkpoint)
	for some := range slices.Chunk(entries, maxFind) {
		leaves := make([]tlog.Hash, len(some))
		for i, e := range some {
			leaves[i] = merkle.RecordHash(e.Body)
		}
		found := s.find(name, leaves...)
		for i, e := range some {
			_, _ = fmt.Fprintf(&text, "%d %d %q %v\n", e.Index, e.Time, e.Body, found[leaves[i]])
			delete(found, leaves[i])
		}
		if len(found) > 0 {
			_, _ = fmt.Fprintf(&text, "and besides %v\n", found)
		}
	}
	tiles, err := s.st.Tiles(s.Context(), name, []tlog.TileID{{Level: 0, N: 0}, {Level: 1, N: 0}, {Level: 0, N: 1}, {Level: 7, N: 0}})
	if err != nil {
		s.Fatal(err)
	}
	return text.String() + fmt.Sprintf("%x", tiles)
}

func (s *suite) find(name string, leaves ...tlog.Hash) map[tlog.Hash]tlog.Place {
	s.Helper()
	found, err := s.st.Find(s.Context(), name, leaves)
	if err != nil {
		s.Fatal(err)
	}
	return found
}

func (s *suite) wantSize(name string, want int64) {
	s.Helper()
	row, err := s.st.Log(s.Context(), name)
	if err != nil {
		s.Fatal(err)
	}
	entries, err := s.st.Entries(s.Context(), name, 0, 1<<20)
	if err != nil {
		s.Fatal(err)
	}
	if row.Head.Size != want || int64(len(entries)) != want {
		s.Errorf("log %s has size %d and %d entries, want %d", name, row.Head.Size, len(entries), want)
	}
}

func (s *suite) create() {
	got, err := s.st.Log(s.Context(), "a")
	if err != nil {
		s.Fatal(err)
	}
	if want := row("a"); fmt.Sprint(got) != fmt.Sprint(want) {
		s.Errorf("read %v, want %v", got, want)
	}
	if err := s.st.CreateLog(s.Context(), row("a")); !errors.Is(err, tlog.ErrLogExists) {
		s.Errorf("second create: %v", err)
	}
}

func (s *suite) missing() {
	_, err := s.st.Log(s.Context(), "none")
	_, findErr := s.st.Find(s.Context(), "none", []tlog.Hash{{}})
	_, entriesErr := s.st.Entries(s.Context(), "none", 0, 1)
	_, tilesErr := s.st.Tiles(s.Context(), "none", []tlog.TileID{{}})
	for _, err := range []error{err, findErr, entriesErr, tilesErr, s.write("none", tlog.Batch{}, 1)} {
		if !errors.Is(err, tlog.ErrNoLog) {
			s.Errorf("missing log: %v", err)
		}
	}
}

func (s *suite) batch() {
	s.mustWrite("a", 0, 1, 2)
	s.mustWrite("a", 3)
	s.wantSize("a", 4)
	entries, err := s.st.Entries(s.Context(), "a", 1, 3)
	if err != nil || len(entries) != 2 || entries[0].Index != 1 || string(entries[1].Body) != "leaf 2" || entries[1].Time != 22 {
		s.Errorf("entries 1 to 3: %v, %v", entries, err)
	}
	if found := s.find("a", entry(0, 3).Hash, entry(0, 9).Hash); len(found) != 1 || found[entry(0, 3).Hash] != (tlog.Place{Index: 3, Time: 23}) {
		s.Errorf("found %v", found)
	}
}

func (s *suite) emptyBatch() {
	s.mustWrite("a", 0)
	before := s.dump("a")
	err := s.st.Commit(s.Context(), tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
		return tlog.Write{Head: head(99)}, nil
	})
	if err != nil || s.dump("a") != before {
		s.Errorf("an empty batch changed something, or failed: %v", err)
	}
}

func (s *suite) planError() {
	before := s.dump("a")
	err := s.st.Commit(s.Context(), tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
		return tlog.Write{Head: head(1), Entries: []tlog.Entry{entry(0, 0)}}, errBroken
	})
	if !errors.Is(err, errBroken) || s.dump("a") != before {
		s.Errorf("a plan that failed: %v", err)
	}
}

func (s *suite) twoLogs() {
	s.mustCreate("b")
	s.mustWrite("a", 0, 1)
	s.mustWrite("b", 1)
	s.wantSize("a", 2)
	s.wantSize("b", 1)
	if p := s.find("b", entry(0, 1).Hash, entry(0, 0).Hash); len(p) != 1 || p[entry(0, 1).Hash].Index != 0 {
		s.Errorf("logs are not apart: %v", p)
	}
}

func (s *suite) unique() {
	s.mustWrite("a", 0, 1)
	before := s.dump("a")
	for name, entries := range map[string][]tlog.Entry{
		"index taken": {entry(1, 5)},
		"leaf taken":  {entry(2, 5), entry(3, 1)},
		"leaf twice":  {entry(2, 6), entry(3, 6)},
	} {
		err := s.st.Commit(s.Context(), tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
			return tlog.Write{Head: head(4), Entries: entries}, nil
		})
		if err == nil || s.dump("a") != before {
			s.Errorf("%s: error %v, or something was written", name, err)
		}
	}
}

func (s *suite) existingAndMissed() {
	s.mustWrite("a", 0, 1, 2, 3)
	see := func(b tlog.Batch) (seen tlog.Locked) {
		b.Log = "a"
		if err := s.st.Commit(s.Context(), b, func(l tlog.Locked) (tlog.Write, error) {
			seen = l
			return tlog.Write{}, nil
		}); err != nil {
			s.Fatal(err)
		}
		return seen
	}
	l := see(tlog.Batch{EdgeSize: 2, Leaves: []tlog.Hash{entry(0, 7).Hash, entry(0, 1).Hash, entry(0, 3).Hash}})
	if fmt.Sprint(l.Head) != fmt.Sprint(head(4)) {
		s.Errorf("head under the lock: %v", l.Head)
	}
	if len(l.Existing) != 2 || l.Existing[entry(0, 1).Hash] != (tlog.Place{Index: 1, Time: 21}) {
		s.Errorf("existing: %v", l.Existing)
	}
	if len(l.Missed) != 2 || l.Missed[0] != entry(0, 2).Hash || l.Missed[1] != entry(0, 3).Hash {
		s.Errorf("missed: %v", l.Missed)
	}
	if l := see(tlog.Batch{EdgeSize: 4}); l.Missed != nil || len(l.Existing) != 0 {
		s.Errorf("nothing was asked and missed: %v", l)
	}
	var more []int
	for n := range tlog.MaxMissed {
		more = append(more, 100+n)
	}
	s.mustWrite("a", more...)
	if l := see(tlog.Batch{EdgeSize: 4}); len(l.Missed) != tlog.MaxMissed {
		s.Errorf("missed %d, want %d", len(l.Missed), tlog.MaxMissed)
	}
	if l := see(tlog.Batch{EdgeSize: 3}); l.Missed != nil {
		s.Errorf("missed more than MaxMissed: %d", len(l.Missed))
	}
}

// late: a storage that asks for more leaves looks them up like the first.
func (s *suite) late() {
	s.mustWrite("a", 0, 1, 2)
	asked := 0
	err := s.st.Commit(s.Context(), tlog.Batch{
		Log: "a", EdgeSize: 3, Leaves: []tlog.Hash{entry(0, 1).Hash, entry(0, 7).Hash},
		More: func() []tlog.Hash {
			asked++
			return []tlog.Hash{entry(0, 2).Hash, entry(0, 8).Hash}
		},
	}, func(l tlog.Locked) (tlog.Write, error) {
		if l.Existing[entry(0, 1).Hash] != (tlog.Place{Index: 1, Time: 21}) {
			s.Errorf("existing: %v", l.Existing)
		}
		if asked == 1 && (len(l.Existing) != 2 || l.Existing[entry(0, 2).Hash] != (tlog.Place{Index: 2, Time: 22})) {
			s.Errorf("existing with those that came late: %v", l.Existing)
		}
		return tlog.Write{}, nil
	})
	if err != nil || asked > 1 {
		s.Errorf("asked %d times, %v", asked, err)
	}
}

// faultAt fails at a point, once.
func faultAt(point tlog.Point) func(tlog.Point) error {
	return func(p tlog.Point) error {
		if p == point {
			return errBroken
		}
		return nil
	}
}

func (s *suite) brokenBefore() {
	s.mustWrite("a", 0)
	if err := s.write("a", tlog.Batch{Fault: faultAt(tlog.BeforeCommit)}, 1); !errors.Is(err, errBroken) {
		s.Fatal(err)
	}
	s.wantSize("a", 1)
	s.mustWrite("a", 2)
	s.wantSize("a", 2)
}

func (s *suite) brokenAfter() {
	if err := s.write("a", tlog.Batch{Fault: faultAt(tlog.AfterCommit)}, 0, 1); !errors.Is(err, errBroken) {
		s.Fatal(err)
	}
	s.wantSize("a", 2)
	s.mustWrite("a", 2)
	s.wantSize("a", 3)
}

// concurrent adds one to a size read under the lock, from many goroutines: a
// lost update or a gap would show.
func (s *suite) concurrent() {
	s.mustCreate("b")
	const writers, each = 16, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := s.write([]string{"a", "b"}[w%2], tlog.Batch{}, w*each+i); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.wantSize("a", writers*each/2)
	s.wantSize("b", writers*each/2)
}

func (s *suite) contextBefore() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	err := s.st.Commit(ctx, tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
		return tlog.Write{Head: head(1), Entries: []tlog.Entry{entry(0, 0)}}, nil
	})
	// Ending early is allowed, half a batch is not.
	if err != nil {
		s.wantSize("a", 0)
	} else {
		s.wantSize("a", 1)
	}
}

func (s *suite) contextDuring() {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	err := s.st.Commit(ctx, tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
		cancel()
		return tlog.Write{Head: head(1), Entries: []tlog.Entry{entry(0, 0)}}, nil
	})
	if err != nil {
		s.Errorf("a planned batch must be seen through: %v", err)
	}
	s.wantSize("a", 1)
}

func (s *suite) manyLeaves() {
	const n = 700
	var numbers []int
	var leaves []tlog.Hash
	for i := range n {
		numbers = append(numbers, i)
		leaves = append(leaves, entry(0, i).Hash, entry(0, i+n).Hash)
	}
	s.mustWrite("a", numbers...)
	if found := s.find("a", leaves...); len(found) != n || found[entry(0, n-1).Hash].Index != n-1 {
		s.Errorf("found %d of %d", len(found), n)
	}
}

func (s *suite) tilesGrow() {
	commit := func(index int64, tiles ...tlog.StoredTile) {
		s.Helper()
		err := s.st.Commit(s.Context(), tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
			return tlog.Write{Head: head(index + 1), Entries: []tlog.Entry{entry(index, int(index))}, Tiles: tiles}, nil
		})
		if err != nil {
			s.Fatal(err)
		}
	}
	low, high := tlog.TileID{Level: 0, N: 3}, tlog.TileID{Level: 1, N: 0}
	commit(0, tlog.StoredTile{TileID: low, Data: make([]byte, 8704)}, tlog.StoredTile{TileID: high, Data: []byte("one")})
	commit(1, tlog.StoredTile{TileID: high, Data: []byte("one two")})
	got, err := s.st.Tiles(s.Context(), "a", []tlog.TileID{high, {Level: 1, N: 1}, low})
	if err != nil || len(got) != 3 || string(got[0]) != "one two" || got[1] != nil || len(got[2]) != 8704 {
		s.Errorf("tiles %q, %v", got, err)
	}
}

func (s *suite) largest() {
	body := make([]byte, tlog.MaxLeaf)
	for i := range body {
		body[i] = byte(i * i)
	}
	err := s.st.Commit(s.Context(), tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
		return tlog.Write{Head: head(1), Entries: []tlog.Entry{{Time: 20, Hash: merkle.RecordHash(body), Body: body}}}, nil
	})
	if err != nil {
		s.Fatal(err)
	}
	got, err := s.st.Entries(s.Context(), "a", 0, 1)
	if err != nil || len(got) != 1 || string(got[0].Body) != string(body) {
		s.Errorf("%d entries, %v", len(got), err)
	}
}

// noneLeft mixes every way a batch can end with ones that must go on working.
func (s *suite) noneLeft() {
	size := int64(0)
	for i := range 30 {
		b := tlog.Batch{}
		switch i % 3 {
		case 1:
			b.Fault = faultAt(tlog.BeforeCommit)
		case 2:
			b.Fault = faultAt(tlog.AfterCommit)
		}
		err := s.write("a", b, i)
		if (err != nil) != (i%3 != 0) {
			s.Errorf("batch %d: %v", i, err)
		}
		if i%3 != 1 {
			size++
		}
		s.wantSize("a", size)
	}
}
