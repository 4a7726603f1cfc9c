// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// The figures of the log on PostgreSQL beside SQLite's and the floor of the
// same run, with everything, the server too, on the same cores:
//
//	go test -run '^$' -bench Replicas -benchtime 1x ./signer/store/postgres
//	HALLMARK_BENCH_ENTRIES=1000000 go test -run '^$' -bench Grown -benchtime 1x -timeout 60m ./signer/store/postgres
//
// The machine is noisy, so that what is compared takes turns.

const (
	// benchEntries is how many entries BenchmarkGrown has in the end.
	benchEntries = "HALLMARK_BENCH_ENTRIES"
	// benchBody is about what a hashedrekord takes, bytes.
	benchBody = 800
	// benchRounds is how often each engine has its turn.
	benchRounds = 3
	// benchPerRound is how many entries it appends then.
	benchPerRound = 3000
	benchWriters  = 64
	benchRate     = 150 // a second, paced
	benchPaced    = 5 * time.Second
)

// say prints a line at once: testing keeps ten of them.
func say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stdout, "\t"+format+"\n", args...) // who watches
}

// latencies collects durations from many goroutines.
type latencies struct {
	mu  sync.Mutex // guards all
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *latencies) String() string {
	slices.Sort(l.all)
	at := func(permille int) float64 { return l.all[(len(l.all)-1)*permille/1000].Seconds() * 1000 }
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, worst %.2f ms", at(500), at(990), at(999), at(1000))
}

// fleet is a log and the processes (here: handles) that append to it.
type fleet struct {
	*testing.B
	name string
	logs []*tlog.Log
	next atomic.Uint64
}

// newFleet makes a log and opens it in every database, which are one.
func newFleet(b *testing.B, name string, dbs ...store.Database) *fleet {
	b.Helper()
	cfg := tlog.Config{Name: "v2", Origin: "log.example", Signer: newKey(b), Shared: len(dbs) > 1}
	if err := tlog.Create(context.Background(), dbs[0], cfg, tlog.Birth{Kind: tlog.V2, TreeID: 7, State: tlog.Active}); err != nil {
		b.Fatal(err)
	}
	f := &fleet{B: b, name: name}
	for _, db := range dbs {
		l, err := tlog.Load(context.Background(), db, cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = l.Close(context.Background()) }) // only measured
		f.logs = append(f.logs, l)
	}
	return f
}

// leaf is a leaf that nothing can compress, with nine keys: five of its own and
// four that many share.
func leaf(n uint64) tlog.Leaf {
	body := make([]byte, benchBody)
	for at := 0; at < len(body); at += sha256.Size {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n<<8+uint64(at)/sha256.Size))
		copy(body[at:], sum[:])
	}
	keys := []string{"issuer:https://issuer.example", fmt.Sprint("repository:", n%40), fmt.Sprint("workflow:", n%80), fmt.Sprint("hundredth:", n%100)}
	for i := range 5 {
		keys = append(keys, fmt.Sprintf("own:%d:%d", i, n))
	}
	return tlog.Leaf{Body: body, Keys: keys}
}

func (f *fleet) append(lat *latencies) {
	n := f.next.Add(1)
	began := time.Now()
	if _, err := f.logs[n%uint64(len(f.logs))].Append(context.Background(), leaf(n)); err != nil {
		f.Error(err)
		return
	}
	lat.add(time.Since(began))
}

// closedLoop appends count entries from so many writers and returns the rate.
func (f *fleet) closedLoop(count, writers int, lat *latencies) float64 {
	var left atomic.Int64
	left.Store(int64(count))
	began := time.Now()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				f.append(lat)
			}
		})
	}
	wg.Wait()
	return float64(count) / time.Since(began).Seconds()
}

// paced appends at a rate, whatever the answers take.
func (f *fleet) paced(length time.Duration) *latencies {
	lat := &latencies{}
	tick := time.NewTicker(time.Second / benchRate)
	defer tick.Stop()
	var wg sync.WaitGroup
	for range benchRate * int(length.Seconds()) {
		<-tick.C
		wg.Go(func() { f.append(lat) })
	}
	wg.Wait()
	return lat
}

// BenchmarkReplicas compares SQLite, one replica on PostgreSQL and three.
func BenchmarkReplicas(b *testing.B) {
	pg := pglab.Start(b)
	for range b.N {
		lite, err := sqlite.Create(context.Background(), filepath.Join(b.TempDir(), "hallmark.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = lite.Close() }) // only measured
		one, _ := create(b, pg)
		first, cfg := create(b, pg)
		fleets := []*fleet{newFleet(b, "SQLite", lite), newFleet(b, "one replica", one), newFleet(b, "three replicas", first, open(b, cfg), open(b, cfg))}
		rates, lats := make([][]float64, len(fleets)), make([]latencies, len(fleets))
		for round := range benchRounds + 1 {
			floor(b)
			for i, f := range fleets {
				rate := f.closedLoop(benchPerRound, benchWriters, &lats[i])
				if round > 0 { // the first warms up
					rates[i] = append(rates[i], rate)
				}
			}
		}
		for i, f := range fleets {
			slices.Sort(rates[i])
			say("%s, %d writers: %.0f/s (%.0f), %v", f.name, benchWriters, rates[i][len(rates[i])/2], rates[i], &lats[i])
		}
		for _, f := range fleets {
			say("%s, %d a second: %v", f.name, benchRate, f.paced(benchPaced))
		}
		median := func(i int) float64 { return rates[i][len(rates[i])/2] }
		b.ReportMetric(median(0), "sqlite/s")
		b.ReportMetric(median(1), "one/s")
		b.ReportMetric(median(2), "three/s")
		b.ReportMetric(median(1)/median(0), "one/sqlite")
		b.ReportMetric(median(2)/median(1), "three/one")
		b.ReportMetric(0, "ns/op")
	}
}

// floor says what the machine gives at the moment: P-256 sign and verify pairs
// on all cores, and one durable write of 4 KiB.
func floor(b *testing.B) {
	b.Helper()
	key, ok := newKey(b).(*ecdsa.PrivateKey)
	if !ok {
		b.Fatal("not an ECDSA key")
	}
	digest := sha256.Sum256(nil)
	var pairs atomic.Int64
	const length = 300 * time.Millisecond
	began := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for time.Since(began) < length {
				sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
				if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
					b.Error("a signature that does not verify")
				}
				pairs.Add(1)
			}
		})
	}
	wg.Wait()
	rate := float64(pairs.Load()) / time.Since(began).Seconds()
	f, err := os.Create(filepath.Join(b.TempDir(), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }() // a floor is not kept
	lat := &latencies{}
	for i := range int64(100) {
		began := time.Now()
		if _, err := f.WriteAt(make([]byte, 4<<10), i<<12); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		lat.add(time.Since(began))
	}
	say("floor: %.0f P-256 pairs/s, durable write %v", rate, lat)
}

// BenchmarkGrown measures a log as it grows: appends, disk, searches, opening.
func BenchmarkGrown(b *testing.B) {
	entries := 20_000
	if text := os.Getenv(benchEntries); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		entries = n
	}
	pg := pglab.Start(b)
	for range b.N {
		db, cfg := create(b, pg)
		f := newFleet(b, "one replica", db)
		measure := func() (rate float64) {
			floor(b)
			lat, one := &latencies{}, &latencies{}
			rate = f.closedLoop(benchPerRound, benchWriters, lat)
			say("%d entries, %d writers: %.0f/s, %v", f.logs[0].Size(), benchWriters, rate, lat)
			f.closedLoop(200, 1, one)
			say("%d entries, one by one: %v", f.logs[0].Size(), one)
			return rate
		}
		f.closedLoop(benchPerRound, benchWriters, &latencies{}) // warms up
		empty := measure()
		rate := f.closedLoop(entries-int(f.next.Load()), 512, &latencies{})
		say("filled at %.0f/s", rate)
		grown := measure()
		say("closed loop, grown to empty: %.2f", grown/empty)
		say("%d a second: %v", benchRate, f.paced(benchPaced))
		eventually(b, "all spans are made", func() bool { levels := foldAny(b, db); return levels })
		searches(b, db, f.next.Load())
		disk(b, cfg, f.next.Load())
		began := time.Now()
		again := open(b, cfg)
		say("open: %v", time.Since(began))
		closeDB(b, again)
		file := filepath.Join(b.TempDir(), "backup")
		began = time.Now()
		if err := db.Backup(context.Background(), file); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			b.Fatal(err)
		}
		say("backup: %v, %d MiB", time.Since(began), info.Size()>>20)
		began = time.Now()
		if err := postgres.Restore(context.Background(), file, config(b, pg.NewDatabase(b))); err != nil {
			b.Fatal(err)
		}
		say("restore: %v", time.Since(began))
		b.ReportMetric(grown/empty, "grown/empty")
		b.ReportMetric(0, "ns/op")
	}
}

// foldAny says whether nothing is left to be folded.
func foldAny(b *testing.B, db *postgres.DB) bool {
	b.Helper()
	before, err := db.Fold(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	row, err := db.Log(context.Background(), "v2")
	if err != nil {
		b.Fatal(err)
	}
	covered, width := int64(0), int64(postgres.SpanEntries)
	for level := range len(before) + 3 {
		covered += int64(before[level]) * width
		width *= postgres.FanOut
	}
	return row.Head.Size-covered < postgres.SpanEntries && before[0] < postgres.FanOut && before[1] < postgres.FanOut
}

func searches(b *testing.B, db *postgres.DB, size uint64) {
	b.Helper()
	const times = 300
	own := func(n uint64) string { return fmt.Sprintf("own:3:%d", n) }
	for _, s := range []struct {
		name  string
		query func(i uint64) tlog.Query
	}{
		{"one hit", func(i uint64) tlog.Query { return tlog.Query{Keys: []string{own(1 + i*7919%size)}, Limit: 10} }},
		{"no hit", func(i uint64) tlog.Query { return tlog.Query{Keys: []string{own(i + size*2)}, Limit: 10} }},
		{"the last hundred of all", func(uint64) tlog.Query {
			return tlog.Query{Keys: []string{"issuer:https://issuer.example"}, Newest: true, Limit: 100}
		}},
		{"a page of a hundredth", func(i uint64) tlog.Query {
			return tlog.Query{Keys: []string{fmt.Sprint("hundredth:", i%100)}, After: &tlog.Position{Log: "v2", Index: int64(i * 7919 % size)}, Limit: 100}
		}},
		{"two keys, one hit", func(i uint64) tlog.Query {
			return tlog.Query{All: true, Keys: []string{"issuer:https://issuer.example", own(1 + i*7919%size)}, Limit: 10}
		}},
		{"two keys of many, both rare", func(i uint64) tlog.Query {
			return tlog.Query{All: true, Keys: []string{fmt.Sprint("repository:", i%40), fmt.Sprint("hundredth:", i%100)}, Limit: 100}
		}},
		{"two keys of many, none of both", func(uint64) tlog.Query {
			return tlog.Query{All: true, Keys: []string{"repository:0", "workflow:1"}, Limit: 100}
		}},
	} {
		lat, hits := &latencies{}, 0
		for i := range uint64(times) {
			began := time.Now()
			found, err := db.Search(context.Background(), s.query(i))
			if err != nil {
				b.Fatal(err)
			}
			hits += len(found)
			lat.add(time.Since(began))
		}
		say("search, %s (%.1f hits): %v", s.name, float64(hits)/times, lat)
	}
}

// disk says what the tables take per entry, indexes and TOAST included.
func disk(b *testing.B, cfg postgres.Config, entries uint64) {
	b.Helper()
	conn := connect(b, cfg)
	var total float64
	for _, table := range postgres.Tables() {
		var bytes float64
		if err := conn.QueryRow(context.Background(), `SELECT pg_total_relation_size($1::text::regclass)`, table).Scan(&bytes); err != nil {
			b.Fatal(err)
		}
		if per := bytes / float64(entries); per > 1 {
			say("disk of %s: %.0f bytes per entry", table, per)
		}
		total += bytes / float64(entries)
	}
	var wal float64
	if err := conn.QueryRow(context.Background(), `SELECT wal_bytes FROM pg_stat_wal`).Scan(&wal); err != nil {
		b.Fatal(err)
	}
	say("disk: %.0f bytes per entry, body and %.0f; WAL written %.0f per entry", total, total-benchBody, wal/float64(entries))
	b.ReportMetric(total-benchBody, "bytes/entry-beyond-body")
}
