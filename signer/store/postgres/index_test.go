// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// numbered are the keys of entry i: one of its own, one that a few share, one
// that every other entry has, and one of all.
func numbered(i int64) []string {
	return []string{fmt.Sprintf("number:%d", i), fmt.Sprintf("group:%d", i%97), fmt.Sprintf("half:%d", i%2), "all"}
}

func madeUp(log string, i int64) tlog.Entry {
	body := fmt.Appendf(nil, "made-up entry %d of %s", i, log)
	return tlog.Entry{Index: i, Body: body, Hash: merkle.RecordHash(body), Keys: numbered(i)}
}

// expected is what a query must find among logs of made-up entries, as slow
// and plain as can be.
func expected(sizes map[string]int64, order []string, q tlog.Query) (found []tlog.Position) {
	for _, log := range order {
		for i := range sizes[log] {
			keys := numbered(i)
			has := func(k string) bool { return slices.Contains(keys, k) }
			hit := slices.ContainsFunc(q.Keys, has)
			if q.All {
				hit = !slices.ContainsFunc(q.Keys, func(k string) bool { return !has(k) })
			}
			if hit && (len(q.Logs) == 0 || slices.Contains(q.Logs, log)) {
				found = append(found, tlog.Position{Log: log, Index: i})
			}
		}
	}
	if q.Newest {
		slices.Reverse(found)
	}
	if q.After != nil {
		rank := func(p tlog.Position) int64 { return int64(slices.Index(order, p.Log))<<40 + p.Index }
		found = slices.DeleteFunc(found, func(p tlog.Position) bool {
			if q.Newest {
				return rank(p) >= rank(*q.After)
			}
			return rank(p) <= rank(*q.After)
		})
	}
	return found[:min(len(found), q.Limit)]
}

// Whatever spans there are, none, small ones, large ones, or some of each, a
// search finds the same, and what a plain one finds.
func TestSearchInSpans(t *testing.T) {
	db, _ := create(t, pglab.Start(t))
	order := []string{"first", "second one"}
	sizes := map[string]int64{"first": postgres.SpanEntries*postgres.FanOut + 3*postgres.SpanEntries + 700, "second one": 1500}
	check := func(when string) {
		t.Helper()
		r := rand.New(rand.NewPCG(1, 2))
		for range 60 {
			n := r.Int64N(sizes["first"])
			pool := append(numbered(n), numbered(r.Int64N(sizes["first"]))...)
			r.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
			few := pool[:1+r.IntN(3)]
			slices.Sort(few)
			q := tlog.Query{Keys: slices.Compact(few), All: r.IntN(2) == 0, Newest: r.IntN(2) == 0, Limit: []int{1, 10, 1000}[r.IntN(3)]}
			if r.IntN(4) == 0 {
				q.Logs = order[r.IntN(2):][:1]
			}
			if r.IntN(2) == 0 {
				log := order[r.IntN(2)]
				q.After = &tlog.Position{Log: log, Index: r.Int64N(sizes[log] + 10)}
			}
			got, err := db.Search(t.Context(), q)
			if want := expected(sizes, order, q); err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %+v after %v: %d hits, want %d, %v", when, q, q.After, len(got), len(want), err)
			}
		}
	}
	// Searches go on while spans are made by two processes at once.
	commitEntries(t, db, "first", int(sizes["first"]))
	commitEntries(t, db, "second one", int(sizes["second one"]))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := db.Fold(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	check("meanwhile")
	wg.Wait()
	fold(t, db, map[int]int{0: 4, 1: 1})
	check("in spans")
	if problems, err := db.Damage(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// fold makes spans until they are as many as wanted, by level. Who finds
// another process, or the one in the background, at work leaves the rest to it.
func fold(t *testing.T, db *postgres.DB, want map[int]int) {
	t.Helper()
	eventually(t, fmt.Sprintf("spans %v", want), func() bool {
		levels, err := db.Fold(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return reflect.DeepEqual(levels, want)
	})
}

// Damage sees what a broken index, a lost row or another body would do.
func TestDamage(t *testing.T) {
	many := copies{pg: pglab.Start(t)}
	for name, test := range map[string]struct{ sql, say string }{
		"body":        {`UPDATE entries SET body = 'x' WHERE id & 4095 = 17`, "entry 17 of log 1: its leaf hash"},
		"lost entry":  {`DELETE FROM entries WHERE id & 4095 = 17`, "log v2: it has size 1100, and 1099 entries"},
		"lost last":   {`DELETE FROM entries WHERE id & 4095 = 1099`, "0 to 1098"},
		"lost keys":   {`UPDATE entries SET keys = keys[2:] WHERE id & 4095 = 17`, "the span from entry 0 does not say"},
		"wrong pair":  {`UPDATE span_keys SET entries[2] = entries[1]`, "the span from entry 0 does not say"},
		"lost pairs":  {`DELETE FROM span_keys`, "the span from entry 0 does not say"},
		"span gap":    {`UPDATE spans SET first = first + 1`, "a span begins at entry 1"},
		"lost event":  {`INSERT INTO audit VALUES (7, 0, '', '', '{}')`, "audit: 1 events, numbered up to 7"},
		"lost answer": {`UPDATE intents SET receipt = NULL`, "intent finished: state finished"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, cfg := many.create(t)
			commitEntries(t, db, "v2", 1100)
			fold(t, db, map[int]int{0: 1})
			other := connect(t, cfg)
			if strings.Contains(test.sql, "intents") {
				finished(t, db)
			}
			if problems, err := db.Damage(t.Context()); err != nil || len(problems) > 0 {
				t.Fatalf("before: %v, %v", problems, err)
			}
			for _, table := range []string{"entries", "audit", "intents"} {
				if _, err := other.Exec(t.Context(), `ALTER TABLE `+table+` DISABLE TRIGGER ALL`); err != nil {
					if _, err := other.Exec(t.Context(), `ALTER TABLE `+table+` DISABLE TRIGGER USER`); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := other.Exec(t.Context(), test.sql); err != nil {
				t.Fatal(err)
			}
			problems, err := db.Damage(t.Context())
			if err != nil || !strings.Contains(strings.Join(problems, "\n"), test.say) {
				t.Errorf("%q, %v, want %q", problems, err, test.say)
			}
		})
	}
}
