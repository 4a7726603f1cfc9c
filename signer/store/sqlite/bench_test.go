// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// The figures of the log on SQLite, beside their floor, measured in one run:
//
//	go test -run '^$' -bench LogIdle -benchtime 3s ./signer/store/sqlite
//
// LogIdle does one thing at a time, by turns, so that a noisy machine is as
// noisy to both: the floor, which is one durable commit of the bytes of one
// append with the same statements and nothing else (floor-p50-ms), and one
// append (p50-ms, p99-ms). ratio is append to floor, p50: at most 2 is the
// aim. The proof alone is AuditPath in package tlog; a log that has grown is
// BenchmarkMillion.

// benchBody is about what an entry with a certificate takes.
const benchBody = 1500

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

// percentile is in milliseconds.
func (l *latencies) percentile(percent float64) float64 {
	slices.Sort(l.all)
	return float64(l.all[int(float64(len(l.all)-1)*percent/100)].Microseconds()) / 1000
}

// report adds the 50th and 99th percentile and the rate.
func (l *latencies) report(b *testing.B) {
	b.ReportMetric(l.percentile(50), "p50-ms")
	b.ReportMetric(l.percentile(99), "p99-ms")
	b.ReportMetric(float64(len(l.all))/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkLogIdle(b *testing.B) {
	db, _ := create(b)
	l := startLog(b, db, newKey(b))
	floorCfg := logConfig(newKey(b))
	floorCfg.Name, floorCfg.Origin = "floor", "floor.example"
	if err := tlog.Create(context.Background(), db, floorCfg, tlog.Birth{Kind: tlog.V2, TreeID: 2, State: tlog.Pending}); err != nil {
		b.Fatal(err)
	}
	write := tlog.Write{Head: tlog.Head{Checkpoint: make([]byte, 230)}}
	var floor, appends latencies
	for i := 0; b.Loop(); i++ {
		leaf := benchLeaf(uint64(i))
		write.Entries = []tlog.Entry{{Index: int64(i), Body: leaf.Body, Hash: merkle.RecordHash(leaf.Body)}}
		write.Head.Size++
		began := time.Now()
		err := db.Commit(context.Background(), tlog.Batch{Log: "floor", EdgeSize: int64(i)}, func(tlog.Locked) (tlog.Write, error) { return write, nil })
		floor.add(time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
		began = time.Now()
		_, err = l.Append(context.Background(), leaf)
		appends.add(time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
	}
	appends.report(b)
	b.ReportMetric(floor.percentile(50), "floor-p50-ms")
	b.ReportMetric(appends.percentile(50)/floor.percentile(50), "ratio")
}

func benchLeaf(n uint64) tlog.Leaf {
	body := make([]byte, benchBody)
	for at := 0; at+32 <= len(body); at += 32 { // nothing to compress
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n<<8+uint64(at)/32))
		copy(body[at:], sum[:])
	}
	return tlog.Leaf{Body: body}
}
