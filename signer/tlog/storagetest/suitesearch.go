// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// searchTests are about what entries are found by.
func searchTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"keys end with their batch": (*suite).keysOfBatch,
		"any or all":                (*suite).anyOrAll,
		"pages":                     (*suite).pages,
		"pages of a growing log":    (*suite).pagesGrow,
		"keys are exact":            (*suite).exactKeys,
		"many keys":                 (*suite).manyKeys,
		"thousands under one key":   (*suite).commonKey,
		"any query":                 (*suite).anyQuery,
		"searches that find none":   (*suite).findNone,
	}
}

// keyed is leaf n with keys.
func keyed(n int, keys ...string) tlog.Entry {
	e := entry(0, n)
	e.Keys = keys
	return e
}

// writeKeyed commits entries behind what is there.
func (s *suite) writeKeyed(st tlog.Storage, b tlog.Batch, entries ...tlog.Entry) error {
	return st.Commit(s.Context(), b, func(l tlog.Locked) (tlog.Write, error) {
		w := tlog.Write{Head: head(l.Head.Size + int64(len(entries))), Entries: slices.Clone(entries)}
		for i := range w.Entries {
			w.Entries[i].Index = l.Head.Size + int64(i)
		}
		return w, nil
	})
}

func (s *suite) mustWriteKeyed(name string, entries ...tlog.Entry) {
	s.Helper()
	if err := s.writeKeyed(s.st, tlog.Batch{Log: name}, entries...); err != nil {
		s.Fatal(err)
	}
}

// search returns what is found as "log:index log:index".
func (s *suite) search(q tlog.Query) string {
	s.Helper()
	if q.Limit == 0 {
		q.Limit = tlog.MaxPage
	}
	found, err := s.st.Search(s.Context(), q)
	if err != nil {
		s.Errorf("search %+v: %v", q, err)
	}
	return places(found)
}

func places(found []tlog.Position) string {
	var all []string
	for _, p := range found {
		all = append(all, fmt.Sprintf("%s:%d", p.Log, p.Index))
	}
	return strings.Join(all, " ")
}

func (s *suite) wantSearch(q tlog.Query, want string) {
	s.Helper()
	if got := s.search(q); got != want {
		s.Errorf("search %+v found %q, want %q", q, got, want)
	}
}

// keysOfBatch: an entry is found from the moment of its commit, and keys of a
// batch that failed are never found.
func (s *suite) keysOfBatch() {
	s.mustWriteKeyed("a", keyed(0, "k"))
	for name, b := range map[string]tlog.Batch{
		"broken before commit": {Log: "a", Fault: faultAt(tlog.BeforeCommit)},
		"no such log":          {Log: "none"},
	} {
		if err := s.writeKeyed(s.st, b, keyed(1, "k", "lost")); err == nil {
			s.Errorf("%s: written", name)
		}
	}
	if err := s.writeKeyed(s.st, tlog.Batch{Log: "a"}, keyed(2, "k", "lost"), keyed(0, "k", "lost")); err == nil {
		s.Error("a leaf twice: written")
	}
	if err := s.st.Commit(s.Context(), tlog.Batch{Log: "a"}, func(tlog.Locked) (tlog.Write, error) {
		s.wantUnlockedSearch("k", "a:0")
		return tlog.Write{Head: head(2), Entries: []tlog.Entry{{Index: 1, Hash: entry(1, 3).Hash, Keys: []string{"lost"}}}}, errBroken
	}); !errors.Is(err, errBroken) {
		s.Errorf("a plan that failed: %v", err)
	}
	s.wantSearch(tlog.Query{Keys: []string{"lost"}}, "")
	s.wantSearch(tlog.Query{Keys: []string{"k"}}, "a:0")
	if err := s.writeKeyed(s.st, tlog.Batch{Log: "a", Fault: faultAt(tlog.AfterCommit)}, keyed(4, "k", "kept")); !errors.Is(err, errBroken) {
		s.Error(err)
	}
	s.wantSearch(tlog.Query{Keys: []string{"kept"}}, "a:1")
	s.wantSearch(tlog.Query{Keys: []string{"k"}}, "a:0 a:1")
}

// wantUnlockedSearch searches while a batch holds the lock, if the storage can:
// Memory cannot, its one mutex is the lock.
func (s *suite) wantUnlockedSearch(key, want string) {
	s.Helper()
	if _, isMemory := s.st.(*Memory); !isMemory {
		s.wantSearch(tlog.Query{Keys: []string{key}}, want)
	}
}

// twoShelves fills a and b with the entries that the tests below look for.
func (s *suite) twoShelves() {
	s.mustCreate("b")
	s.mustWriteKeyed("a", keyed(0, "red"), keyed(1, "red", "big"), keyed(2), keyed(3, "big"))
	s.mustWriteKeyed("b", keyed(0, "big", "red", "round"), keyed(5, "round"))
	s.mustWriteKeyed("a", keyed(6, "round", "big"), keyed(7, "red", "round"))
}

func (s *suite) anyOrAll() {
	s.twoShelves()
	a, b := []string{"a"}, []string{"b"}
	for _, tc := range []struct {
		q    tlog.Query
		want string
	}{
		{tlog.Query{Keys: []string{"red"}}, "a:0 a:1 a:5 b:0"},
		{tlog.Query{Keys: []string{"red"}, All: true}, "a:0 a:1 a:5 b:0"},
		{tlog.Query{Keys: []string{"red"}, Newest: true}, "b:0 a:5 a:1 a:0"},
		{tlog.Query{Keys: []string{"red", "round"}}, "a:0 a:1 a:4 a:5 b:0 b:1"},
		{tlog.Query{Keys: []string{"round", "red"}, All: true}, "a:5 b:0"},
		{tlog.Query{Keys: []string{"round", "red"}, All: true, Newest: true}, "b:0 a:5"},
		{tlog.Query{Keys: []string{"big", "round", "red"}, All: true}, "b:0"},
		{tlog.Query{Keys: []string{"big", "none"}, All: true}, ""},
		{tlog.Query{Keys: []string{"none", "big"}}, "a:1 a:3 a:4 b:0"},
		{tlog.Query{Keys: []string{"red"}, Logs: a}, "a:0 a:1 a:5"},
		{tlog.Query{Keys: []string{"red"}, Logs: b}, "b:0"},
		{tlog.Query{Keys: []string{"red"}, Logs: []string{"b", "a"}}, "a:0 a:1 a:5 b:0"},
		{tlog.Query{Keys: []string{"red"}, Logs: []string{"none", "b"}}, "b:0"},
		{tlog.Query{Keys: []string{"red", "big"}, All: true, Logs: a, Newest: true}, "a:1"},
		{tlog.Query{Keys: []string{"red"}, Limit: 2}, "a:0 a:1"},
		{tlog.Query{Keys: []string{"red"}, Limit: 2, Newest: true}, "b:0 a:5"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "a", Index: 1}}, "a:5 b:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "a", Index: 3}}, "a:5 b:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "a", Index: 99}}, "b:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "a", Index: -1}}, "a:0 a:1 a:5 b:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "b", Index: 0}}, ""},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "b", Index: 0}, Newest: true}, "a:5 a:1 a:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "b", Index: 9}, Newest: true}, "b:0 a:5 a:1 a:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "a", Index: 5}, Newest: true, Limit: 1}, "a:1"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "a", Index: 1}, Logs: b}, "b:0"},
		{tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "b", Index: 1}, Logs: a, Newest: true}, "a:5 a:1 a:0"},
	} {
		s.wantSearch(tc.q, tc.want)
	}
}

// page follows a query to its end, a page at a time.
func (s *suite) page(st tlog.Storage, q tlog.Query) []tlog.Position {
	s.Helper()
	var all []tlog.Position
	for {
		found, err := st.Search(s.Context(), q)
		if err != nil {
			s.Fatalf("search %+v: %v", q, err)
		}
		if len(found) > q.Limit {
			s.Fatalf("search %+v: %d found", q, len(found))
		}
		all = append(all, found...)
		if len(found) < q.Limit {
			return all
		}
		q.After = &found[len(found)-1]
	}
}

func (s *suite) pages() {
	s.twoShelves()
	for limit := 1; limit <= 5; limit++ {
		for _, newest := range []bool{false, true} {
			for _, keys := range [][]string{{"red"}, {"red", "big"}, {"big", "round", "none"}} {
				for _, all := range []bool{false, true} {
					q := tlog.Query{Keys: keys, All: all, Newest: newest, Limit: tlog.MaxPage}
					want := s.search(q)
					q.Limit = limit
					if got := places(s.page(s.st, q)); got != want {
						s.Errorf("pages of %+v: %s, want %s", q, got, want)
					}
				}
			}
		}
	}
}

// pagesGrow: entries that come while somebody pages are seen at the end, oldest
// first, and do not disturb, newest first.
func (s *suite) pagesGrow() {
	for _, newest := range []bool{false, true} {
		name := fmt.Sprint("newest ", newest)
		s.mustCreate(name)
		number := 0
		grow := func(n int) {
			for range n {
				number++
				s.mustWriteKeyed(name, keyed(number, "k"))
			}
		}
		grow(6)
		q := tlog.Query{Keys: []string{"k"}, Logs: []string{name}, Newest: newest, Limit: 4}
		first, err := s.st.Search(s.Context(), q)
		if err != nil || len(first) != 4 {
			s.Fatal(first, err)
		}
		grow(3)
		q.After = &first[3]
		rest := s.page(s.st, q)
		want := []int64{0, 1, 2, 3, 4, 5, 6, 7, 8}
		if newest {
			want = []int64{5, 4, 3, 2, 1, 0}
		}
		var got []int64
		for _, p := range append(first, rest...) {
			got = append(got, p.Index)
		}
		if !slices.Equal(got, want) {
			s.Errorf("newest %v: %v, want %v", newest, got, want)
		}
	}
}

// exactKeys: keys that differ in little.
func (s *suite) exactKeys() {
	long := strings.Repeat("x", tlog.MaxKey-1)
	keys := []string{"k", "K", "k ", " k", "kk", "k\n", "k\x00", "k\xff", "\xff", "ķ", "%", "_", "'", "\\", long, long + "x", long + "y"}
	for i, key := range keys {
		s.mustWriteKeyed("a", keyed(i, key))
	}
	for i, key := range keys {
		s.wantSearch(tlog.Query{Keys: []string{key}}, fmt.Sprintf("a:%d", i))
	}
}

// manyKeys: entries with as many keys as there may be, and the longest query.
func (s *suite) manyKeys() {
	var keys []string
	for i := range tlog.MaxKeys {
		keys = append(keys, fmt.Sprint("key ", i))
	}
	s.mustWriteKeyed("a", keyed(0, keys...), keyed(1, keys[:tlog.MaxQueryKeys]...), keyed(2, keys[tlog.MaxQueryKeys-1:]...))
	s.wantSearch(tlog.Query{Keys: keys[:tlog.MaxQueryKeys], All: true}, "a:0 a:1")
	s.wantSearch(tlog.Query{Keys: keys[:tlog.MaxQueryKeys]}, "a:0 a:1 a:2")
	s.wantSearch(tlog.Query{Keys: keys[tlog.MaxKeys-tlog.MaxQueryKeys:], All: true}, "a:0 a:2")
	for i, key := range keys {
		want := "a:0 a:1"
		if i == tlog.MaxQueryKeys-1 {
			want = "a:0 a:1 a:2"
		} else if i >= tlog.MaxQueryKeys {
			want = "a:0 a:2"
		}
		s.wantSearch(tlog.Query{Keys: []string{key}}, want)
	}
}

// commonKey: one key that every entry has, and some that few have, in two logs
// and in many batches.
func (s *suite) commonKey() {
	s.mustCreate("b")
	const size, batch = 3000, 500
	for from := 0; from < size; from += batch {
		for _, name := range []string{"a", "b"} {
			var entries []tlog.Entry
			for n := from; n < from+batch; n++ {
				keys := []string{"common", fmt.Sprint("own ", name, n)}
				if n%1000 == 7 {
					keys = append(keys, "rare")
				}
				entries = append(entries, keyed(n, keys...))
			}
			s.mustWriteKeyed(name, entries...)
		}
	}
	s.wantSearch(tlog.Query{Keys: []string{"common", "rare"}, All: true}, "a:7 a:1007 a:2007 b:7 b:1007 b:2007")
	s.wantSearch(tlog.Query{Keys: []string{"rare"}, Newest: true, Limit: 2}, "b:2007 b:1007")
	s.wantSearch(tlog.Query{Keys: []string{"own a1234", "own b77"}}, "a:1234 b:77")
	s.wantSearch(tlog.Query{Keys: []string{"common", "own b77"}, All: true}, "b:77")
	s.wantSearch(tlog.Query{Keys: []string{"common"}, After: &tlog.Position{Log: "a", Index: 2998}, Limit: 3}, "a:2999 b:0 b:1")
	for _, newest := range []bool{false, true} {
		all := s.page(s.st, tlog.Query{Keys: []string{"common"}, Newest: newest, Limit: 700})
		if newest {
			slices.Reverse(all)
		}
		for i, p := range all {
			if want := (tlog.Position{Log: "ab"[i/size : i/size+1], Index: int64(i % size)}); p != want {
				s.Fatalf("newest %v: entry %d of the pages is %v, want %v", newest, i, p, want)
			}
		}
		if len(all) != 2*size {
			s.Errorf("newest %v: %d found", newest, len(all))
		}
	}
}

// anyQuery compares with Memory, which looks at every entry, over many
// queries made up at random.
func (s *suite) anyQuery() {
	const seed1, seed2 = 3, 141592653589793 // the same queries each time
	random := rand.New(rand.NewPCG(seed1, seed2))
	names := []string{"a", "c", "b"}
	model := NewMemory()
	for i, name := range names {
		if i > 0 {
			s.mustCreate(name)
		}
		if err := model.CreateLog(s.Context(), row(name)); err != nil {
			s.Fatal(err)
		}
	}
	some := func(most int) (keys []string) {
		for _, i := range random.Perm(10)[:random.IntN(most+1)] {
			keys = append(keys, fmt.Sprint("key ", i*i)) // some rarer than others
		}
		return keys
	}
	for n := range 60 {
		b := tlog.Batch{Log: names[random.IntN(len(names))]}
		entries := []tlog.Entry{keyed(2*n, some(4)...), keyed(2*n+1, some(2)...)}
		for _, st := range []tlog.Storage{s.st, model} {
			if err := s.writeKeyed(st, b, entries...); err != nil {
				s.Fatal(err)
			}
		}
	}
	hits := 0
	for range 400 {
		q := tlog.Query{Keys: append(some(3), "key 4"), Limit: 1 + random.IntN(12), All: random.IntN(2) == 0, Newest: random.IntN(2) == 0}
		q.Keys = slices.Compact(slices.Sorted(slices.Values(q.Keys)))
		if random.IntN(3) == 0 {
			q.Logs = names[random.IntN(2):][:1+random.IntN(2)]
		}
		if random.IntN(2) == 0 {
			q.After = &tlog.Position{Log: names[random.IntN(len(names))], Index: int64(random.IntN(50) - 2)}
		}
		want, err := model.Search(s.Context(), q)
		if err != nil {
			s.Fatal(err)
		}
		s.wantSearch(q, places(want))
		hits += len(want)
	}
	if hits < 400 {
		s.Errorf("only %d hits: the queries ask for too much", hits)
	}
}

func (s *suite) findNone() {
	s.wantSearch(tlog.Query{Keys: []string{"k"}}, "")
	s.mustWriteKeyed("a", keyed(0, "k"))
	s.wantSearch(tlog.Query{Keys: []string{"k"}, Logs: []string{"none"}}, "")
	_, err := s.st.Search(s.Context(), tlog.Query{Keys: []string{"k"}, Limit: 1, After: &tlog.Position{Log: "none"}})
	if !errors.Is(err, tlog.ErrNoLog) {
		s.Errorf("after an entry of no log: %v", err)
	}
	s.mustFreeze("a")
	s.wantSearch(tlog.Query{Keys: []string{"k"}}, "a:0")
}
