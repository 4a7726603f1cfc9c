// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Targets at a million entries.
const (
	grownLeast     = 0.7  // closed loop, of an empty log
	grownIdleMost  = 1.2  // idle p50, of an empty log
	cleanOpenMost  = 100  // ms
	crashOpenMost  = 2000 // ms
	searchMost     = 5.0  // ms, p99
	sqliteDiskMost = 700  // bytes per entry beyond its body
)

// large measures a log of a million entries beside an empty one.
func (b *bench) large() error {
	b.report.title(fmt.Sprintf("a log of %d entries, SQLite", b.scale.million))
	grown, err := b.newTarget(fmt.Sprintf("sqlite, %d entries", b.scale.million), lab.Options{})
	if err != nil {
		return err
	}
	if err := b.grow(grown); err != nil {
		return err
	}
	if err := b.search(grown); err != nil {
		return err
	}
	for _, kind := range b.scale.kinds {
		if err := b.compareGrown(grown, kind); err != nil {
			return err
		}
	}
	now, most := grown.resident()
	b.report.atMost("largest resident set of the server, large log", mb(most), residentMax, "MB", fmt.Sprintf("now %.0f MB", mb(now)))
	return b.opening(grown)
}

func openSQLite(t *target) func(context.Context) (store.Database, error) {
	return func(ctx context.Context) (store.Database, error) {
		return sqlite.Open(ctx, filepath.Join(t.servers[0].Dir, "hallmark.db"))
	}
}

// grow stops a target, fills its log of the first kind, proves, and starts it
// again.
func (b *bench) grow(t *target) error {
	kind := b.scale.kinds[0]
	like, err := b.realBody(t, kind)
	if err != nil {
		return err
	}
	b.stop(t)
	before, err := sizeOf(t)
	if err != nil {
		return err
	}
	var filled filling
	err = b.inProcess(t, openSQLite(t), func(_ store.Database, set *tlog.Set) (err error) {
		filled, err = b.fill(set, kind, b.scale.million, like)
		return err
	})
	if err != nil {
		return err
	}
	after, err := sizeOf(t)
	if err != nil {
		return err
	}
	b.report.say("filled in process: %.0f entries/s, bodies of %d bytes, 8 index keys each", float64(filled.entries)/filled.took.Seconds(), len(like))
	b.judgeDisk(fmt.Sprintf("%s: disk per entry, SQLite", kind), after-before, filled, sqliteDiskMost)
	if err := b.proveAll(t); err != nil {
		return err
	}
	t.servers[0].Serve(b.stage)
	return nil
}

// judgeDisk judges what entries take on disk by their canonical bodies and what
// they may take beyond. Bodies are kept packed, so it may be less than they are.
func (b *bench) judgeDisk(what string, grown int64, f filling, beyond float64) {
	body := float64(f.bodies) / float64(f.entries)
	each := float64(grown) / float64(f.entries)
	b.report.atMost(what, each, body+beyond, "B", fmt.Sprintf("%d entries with bodies of %.0f B: %+.0f B beyond", f.entries, body, each-body))
}

// proveAll times proofs in a log that has just been opened: its tiles are cold.
func (b *bench) proveAll(t *target) (err error) {
	db, err := openSQLite(t)(b.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	timed := &timedStorage{Storage: db}
	set, err := b.logsOf(t, timed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close(context.WithoutCancel(b.ctx))) }()
	log, err := set.Active(b.ctx, logKind(b.scale.kinds[0]))
	if err != nil {
		return err
	}
	return b.proofs(b.ctx, timed, log)
}

// sizeOf is what a stopped SQLite database takes on disk.
func sizeOf(t *target) (int64, error) {
	files, err := filepath.Glob(filepath.Join(t.servers[0].Dir, "hallmark.db*"))
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}

// search times searches by digest over HTTP, one after the other.
func (b *bench) search(t *target) error {
	conn := load.NewConn(t.servers[0].URL)
	defer conn.Close()
	var times []float64
	for range b.scale.probes {
		digest := digestOf(rand.Int64N(b.scale.million)) //nolint:gosec // any will do
		start := time.Now()
		status, body, err := conn.Do(b.ctx, "/hallmark/v1/search?q=hash:sha256:"+digest, nil)
		times = append(times, ms(time.Since(start)))
		if err != nil {
			return err
		}
		var found struct{ Entries []json.RawMessage }
		if err := json.Unmarshal(body, &found); err != nil || status != http.StatusOK || len(found.Entries) != 1 {
			return fmt.Errorf("search for %s: status %d, %w, %.300s", digest, status, err, body)
		}
	}
	slices.Sort(times)
	b.report.atMost("search by digest over HTTP, p99", times[len(times)*99/100], searchMost, "ms", fmt.Sprintf("p50 %.2f ms", median(times)))
	return nil
}

// compareGrown has a large log and an empty one take turns.
func (b *bench) compareGrown(grown *target, kind load.Kind) error {
	var closed, idle []float64
	var large, small written
	for range b.scale.rounds {
		// A new log every time: a closed loop fills it soon.
		empty, err := b.newTarget("sqlite", lab.Options{})
		if err != nil {
			return err
		}
		if small, err = b.closed(empty, kind, b.scale.loop); err != nil {
			return err
		}
		if large, err = b.closed(grown, kind, b.scale.loop); err != nil {
			return err
		}
		closed = append(closed, large.share()/small.share())
		quiet, err := b.open(empty, kind, idleRate, b.scale.loop)
		if err != nil {
			return err
		}
		quietLarge, err := b.open(grown, kind, idleRate, b.scale.loop)
		if err != nil {
			return err
		}
		idle = append(idle, float64(quietLarge.Quantile(0.5))/float64(quiet.Quantile(0.5)))
		b.stop(empty)
	}
	b.report.atLeast(fmt.Sprintf("%s: closed loop, large log to empty", kind), median(closed), grownLeast, "x", fmt.Sprintf("last: %s; empty %s; all %.2f", large, small, closed))
	b.report.atMost(fmt.Sprintf("%s: p50 at 20/s, large log to empty", kind), median(idle), grownIdleMost, "x", fmt.Sprintf("all %.2f", idle))
	return b.judgeWrites(grown, kind)
}

// opening times how long it takes to open the database and its logs: after a
// clean stop, and after kill -9 in the middle of the crowd.
func (b *bench) opening(t *target) error {
	b.stop(t)
	var clean []float64
	for range max(3, b.scale.rounds) {
		took, err := b.openOnce(t)
		if err != nil {
			return err
		}
		clean = append(clean, took)
	}
	b.report.atMost("opening database and logs after a clean stop", median(clean), cleanOpenMost, "ms", fmt.Sprintf("all %.0f", clean))
	var crashed []float64
	for range b.scale.rounds {
		t.servers[0].Serve(b.stage)
		reqs, err := b.requests(int(b.scale.loop.Seconds()*b.expected(t, load.V2)), load.V2)
		if err != nil {
			return err
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			// It ends with the server, in an error that is meant.
			_, _ = load.Closed(b.ctx, t.urls(), crowd, reqs, b.scale.loop)
		}()
		time.Sleep(b.scale.loop / 2) // in the middle of it
		b.kill(t)
		<-ended
		took, err := b.openOnce(t)
		if err != nil {
			return err
		}
		crashed = append(crashed, took)
	}
	b.report.atMost("opening them after kill -9 under 64 clients", slices.Max(crashed), crashOpenMost, "ms", fmt.Sprintf("all %.0f", crashed))
	return nil
}

// openOnce opens and closes the database and logs of a stopped target and
// returns how long opening took, in milliseconds. The logs' keys are in memory
// by then: to derive what opens a key file from its password is slow on purpose.
func (b *bench) openOnce(t *target) (took float64, err error) {
	start := time.Now()
	var opened time.Duration
	err = b.inProcess(t, openSQLite(t), func(store.Database, *tlog.Set) error {
		opened = time.Since(start)
		return nil
	})
	return ms(opened), err
}
