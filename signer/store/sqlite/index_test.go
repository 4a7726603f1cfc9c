// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// indexed is a log without a tree, filled as fast as the database takes it, and
// what its entries must be found by.
type indexed struct {
	*testing.T
	db   *sqlite.DB
	name string
	keys map[string][]int64 // entries in order
	size int64
}

func newIndexed(t *testing.T, db *sqlite.DB, name string, treeID int64) *indexed {
	t.Helper()
	err := db.CreateLog(t.Context(), tlog.LogRow{
		Name: name, Kind: tlog.V2, TreeID: treeID, State: tlog.Pending, Key: []byte(name), Head: tlog.Head{Checkpoint: []byte(name)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &indexed{T: t, db: db, name: name, keys: make(map[string][]int64)}
}

// fill appends n entries in batches of changing sizes.
func (x *indexed) fill(n int64, keysOf func(index int64) []string) {
	x.Helper()
	for end := x.size + n; x.size < end; {
		batch := min(1+x.size*7919%512, end-x.size)
		var w tlog.Write
		for range batch {
			e := tlog.Entry{Index: x.size, Body: []byte{1}, Keys: keysOf(x.size)}
			binary.BigEndian.PutUint64(e.Hash[:], uint64(x.size))
			for _, key := range e.Keys {
				if list := x.keys[key]; len(list) == 0 || list[len(list)-1] != x.size {
					x.keys[key] = append(list, x.size)
				}
			}
			w.Entries = append(w.Entries, e)
			x.size++
		}
		w.Head = tlog.Head{Size: x.size, Checkpoint: []byte(x.name)}
		err := x.db.Commit(context.Background(), tlog.Batch{Log: x.name}, func(tlog.Locked) (tlog.Write, error) { return w, nil })
		if err != nil {
			x.Fatal(err)
		}
	}
}

// want is what a query must find in this log, from the beginning or end.
func (x *indexed) want(q tlog.Query) []int64 {
	count := make([]int, x.size)
	for _, key := range q.Keys {
		for _, index := range x.keys[key] {
			count[index]++
		}
	}
	var found []int64
	for index, n := range count {
		if n == len(q.Keys) || n > 0 && !q.All {
			found = append(found, int64(index))
		}
	}
	if q.Newest {
		slices.Reverse(found)
	}
	return found
}

// pages reads pages until there are no more, or hits enough.
func (x *indexed) pages(q tlog.Query, enough int) (found []int64) {
	x.Helper()
	for {
		page, err := x.db.Search(x.Context(), q)
		if err != nil {
			x.Fatal(err)
		}
		for _, p := range page {
			found = append(found, p.Index)
		}
		if len(page) < q.Limit || len(found) >= enough {
			return found
		}
		q.After = &page[len(page)-1]
	}
}

// A log long enough for runs of three levels, in which a key is had by every
// entry, by one in a thousand, by one, or by none for a long time, is searched
// while runs are being merged, and finds what a list of all entries finds.
func TestIndexAcrossLevels(t *testing.T) {
	db, path := create(t)
	x := newIndexed(t, db, "a", 1)
	other := newIndexed(t, db, "b", 2)
	keysOf := func(index int64) []string {
		keys := []string{"every", fmt.Sprint("own:", index), fmt.Sprint("thousand:", index%1000), fmt.Sprint("half:", index&1)}
		if index > 30_000 && index < 31_000 {
			keys = append(keys, "once", "once") // twice is once
		}
		if index%5 == 0 && index < 20_000 {
			return nil
		}
		return keys
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int64{255, 256, 300, 5_000, 16_000, 40_000, 66_000, 69_000, 75_000} {
		x.fill(size-x.size, keysOf)
		other.fill(37, keysOf)
		for _, keys := range [][]string{
			{"every"}, {"once"}, {"never"}, {"thousand:7"}, {"half:0", "half:1"}, {"every", "thousand:12"}, {"thousand:1", "thousand:2"},
			{"half:0", "thousand:31"}, {"once", "thousand:500", "every"}, {fmt.Sprint("own:", random.Int64N(size))},
			{fmt.Sprint("own:", random.Int64N(size)), "every"}, {fmt.Sprint("own:", size-1), fmt.Sprint("own:", 0), "never"},
		} {
			for i := range 4 {
				q := tlog.Query{Keys: keys, All: i&1 == 1, Newest: i&2 == 2, Logs: []string{"a"}, Limit: 1 + random.IntN(500)}
				want := x.want(q)
				enough := 3 * q.Limit
				got := x.pages(q, enough)
				if len(want) > len(got) && len(got) >= enough {
					want = want[:len(got)]
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%d entries: %+v: %d hits, want %d", size, q, len(got), len(want))
				}
				// From the middle of nowhere.
				from := random.Int64N(size)
				q.After = &tlog.Position{Log: "a", Index: from}
				want = slices.DeleteFunc(x.want(q), func(index int64) bool { return (index <= from) != q.Newest || index == from })
				if got := x.pages(q, 1); !slices.Equal(got, want[:min(len(want), q.Limit)]) {
					t.Fatalf("%d entries: %+v after %d: %d hits, want %d", size, q, from, len(got), min(len(want), q.Limit))
				}
			}
		}
		if problems, err := db.Damage(t.Context()); err != nil || problems != nil {
			t.Fatalf("%d entries: %v, %v", size, problems, err)
		}
	}
	// 75,000 entries are a run of 65,536, two of 4,096, and a few of 256: the
	// rest may be merged by now, or not yet.
	if runs := db.Runs(t); runs > 2*16*3 {
		t.Errorf("%d runs: merged ones are not dropped", runs)
	}
	closeDB(t, db)
	x.db = open(t, path)
	if got := x.pages(tlog.Query{Keys: []string{"once"}, Limit: 1000}, 1000); len(got) != 999 {
		t.Errorf("%d hits after reopening", len(got))
	}
}

// Damage sees an index that does not belong to its entries.
func TestDamagedIndex(t *testing.T) {
	db, _ := create(t)
	x := newIndexed(t, db, "a", 1)
	x.fill(6_000, func(index int64) []string { return []string{"every", fmt.Sprint("own:", index)} })
	if problems, err := db.Damage(t.Context()); err != nil || problems != nil {
		t.Fatalf("before: %v, %v", problems, err)
	}
	for name, queries := range map[string][]string{
		"block gone":      {`DROP TRIGGER postings_kept_1`, `DELETE FROM postings WHERE id = (SELECT min(id) FROM postings WHERE run >> 40 & 255 = 2)`},
		"block changed":   {`DROP TRIGGER postings_kept_2`, `UPDATE postings SET data = CAST(substr(data, 1, 60) || x'01' || substr(data, 62) AS BLOB) WHERE run >> 40 & 255 = 2`},
		"block cut":       {`DROP TRIGGER postings_kept_2`, `UPDATE postings SET data = CAST(substr(data, 1, 60) AS BLOB) WHERE run >> 40 & 255 = 2`},
		"block moved":     {`DROP TRIGGER postings_kept_2`, `UPDATE postings SET key = key + 1 WHERE run >> 40 & 255 = 2`},
		"block of no run": {`INSERT INTO postings (run, key, entry, data) SELECT (run | 0xff) + 77, key, entry, data FROM postings WHERE run >> 40 & 255 = 2 LIMIT 1`},
		"key removed":     {`DROP TRIGGER entries_kept_2`, `UPDATE entries SET keys = CAST(substr(keys, 1, 8) AS BLOB) WHERE id % 1000 = 7`},
		"key added":       {`DROP TRIGGER entries_kept_2`, `UPDATE entries SET keys = CAST(keys || x'0102030405060708' AS BLOB) WHERE id % 1000 = 7`},
		"said to be done": {`UPDATE coverage SET entries = 65536 WHERE level = 2`},
		"said to be more": {`UPDATE coverage SET entries = entries + 256 WHERE level = 1`},
	} {
		t.Run(name, func(t *testing.T) {
			file := t.TempDir() + "/backup"
			if err := db.Backup(t.Context(), file); err != nil {
				t.Fatal(err)
			}
			if err := sqlite.Restore(t.Context(), file, file+".db"); err != nil {
				t.Fatal(err)
			}
			copied := open(t, file+".db")
			for _, query := range queries {
				if err := copied.Exec(t.Context(), query); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
			}
			problems, err := copied.Damage(t.Context())
			if err != nil || len(problems) == 0 || !strings.Contains(strings.Join(problems, "\n"), `index of log "a"`) {
				t.Errorf("not seen: %q, %v", problems, err)
			}
		})
	}
}
