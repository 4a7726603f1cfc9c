// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The index is in generations. An entry is written with its hashed keys in its
// own row, which costs the append nothing to speak of. When spanEntries of a
// log have come together, their (key, entry) pairs are sorted into a span, rows
// of span_keys with pairsPerRow pairs each; when fanOut spans of a level stand
// side by side, they are merged into one of the next level. Search looks into
// each span with two steps of a B-tree, and reads the rows of the last few
// entries one by one.
//
// Spans are made behind the appends, by whichever process is first, each in a
// transaction of its own. When they are made changes how fast a search is and
// never what it finds: a statement sees an entry in its row, in a small span or
// in a larger one.
//
// What was tried instead, with 200,000 entries of 800 bytes and nine keys, five
// of them unique, batches of 20 from one connection, two cores. The floor, the
// same entries with their keys and no index, was 13,700 to 18,500/s, 1,250
// bytes of WAL and 1,125 of disk an entry, tiles not counted.
//
//   - A table keys (key, entry) with a B-tree: 7,200 to 8,500/s, then 1,900/s
//     as checkpoints began; WAL 2,650 bytes; disk +777 bytes an entry, 1,000
//     and more beyond the body. p99 of a batch 32 ms.
//   - GIN on entries.keys without fastupdate: 1,600 to 8,300/s, WAL 3,980
//     bytes, disk +221; p99 of a batch 70 ms. With fastupdate 5,900 to
//     14,700/s, WAL 2,080, disk +212, but batches of up to 850 ms that clear
//     the list. With both, a search in the order of entries is a gamble of the
//     planner's (p50 of a unique key 125 to 155 ms), and a key that every
//     second entry has costs as much as it has entries, page by page.
//   - Generations: an append costs what the floor does. Behind it, at a million
//     entries, WAL 600 bytes more and disk +300 to 390, half of which is space of
//     merged spans that is used again (BenchmarkGrown).
const (
	// spanEntries is how many entries the smallest span has: what a search may
	// read one by one (about a millisecond).
	spanEntries = 1 << spanBits
	spanBits    = 10
	// fanOut spans become one: more makes searches slower, fewer makes pairs be
	// copied more often.
	fanOut   = 1 << fanBits
	fanBits  = 4
	maxLevel = 2 // spans of 262,144 entries: a few dozen in a log of ten million
	// pairsPerRow makes a row of about 1.1 KB: a small part of a page to read
	// and decode, while row and index overhead stay a tenth.
	pairsPerRow = 64
	// fetchPairs is how many pairs are in memory while a span is written, a
	// multiple of pairsPerRow.
	fetchPairs = 32 << 10
)

// spanSettings are those of a transaction that makes a span. Sorting a large
// one takes seconds.
const spanSettings = `SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '1s'; SET LOCAL work_mem = '32MB'`

// Both levels of work have a lock of their own, so that merging a large span
// never lets the number of entries outside any span grow.
const (
	sqlTryLock = `SELECT pg_try_advisory_xact_lock($1)`
	// sqlTail is where the next smallest span of a log begins, if it is full.
	sqlTail = `SELECT t.at FROM logs l CROSS JOIN LATERAL (SELECT coalesce((SELECT until FROM spans
			WHERE first >= l.id << 40 AND first < (l.id + 1) << 40 ORDER BY first DESC, level DESC LIMIT 1), l.id << 40) AS at) t
		WHERE l.id = $1 AND (l.id << 40 | l.size) - t.at >= $2`
	// sqlSiblings is the first complete group of spans below the top level.
	sqlSiblings = `SELECT level, first >> ($2 + $3 * (level + 1)) << ($2 + $3 * (level + 1)) AS parent FROM spans
		WHERE first >= $1::bigint << 40 AND first < ($1::bigint + 1) << 40 AND level < $4
		GROUP BY level, parent HAVING count(*) = 1 << $3 ORDER BY level, parent LIMIT 1`
	sqlEntryPairs = `SELECT k.key, e.id FROM entries e CROSS JOIN LATERAL unnest(e.keys) AS k (key) WHERE e.id >= %d AND e.id < %d ORDER BY 1, 2`
	sqlSpanPairs  = `SELECT p.key, p.entry FROM span_keys s CROSS JOIN LATERAL unnest(s.keys, s.entries) AS p (key, entry)
		WHERE s.first >= %d AND s.first < %d AND s.level = %d ORDER BY 1, 2`
)

// folder makes spans in the background, as logs grow.
type folder struct {
	pool   *pgxpool.Pool
	logger *slog.Logger
	cancel context.CancelFunc
	wg     sync.WaitGroup
	tails  chan int64 // logs whose last entries may fill a span
	merges chan int64 // logs whose spans may be merged
}

// foldQueue bounds how many logs wait for their turn. One that does not get in
// is looked at when it has grown again.
const foldQueue = 64

func newFolder(pool *pgxpool.Pool, logger *slog.Logger) *folder {
	ctx, cancel := context.WithCancel(context.Background())
	f := &folder{pool: pool, logger: logger, cancel: cancel, tails: make(chan int64, foldQueue), merges: make(chan int64, foldQueue)}
	f.wg.Go(func() { f.work(ctx, f.tails, f.foldTail) })
	f.wg.Go(func() { f.work(ctx, f.merges, f.merge) })
	return f
}

func (f *folder) close() {
	f.cancel()
	f.wg.Wait()
}

// grown tells that a log has grown by a batch.
func (f *folder) grown(log, from, to int64) {
	if from>>spanBits != to>>spanBits {
		f.look(f.tails, log)
	}
}

func (f *folder) look(queue chan int64, log int64) {
	select {
	case queue <- log:
	default:
	}
}

// foldAll looks at all logs: a process that was killed may have left work.
func (db *DB) foldAll(ctx context.Context) error {
	logs, err := db.allLogs(ctx)
	for i := range logs {
		db.folder.look(db.folder.tails, logs[i].id)
		db.folder.look(db.folder.merges, logs[i].id)
	}
	return err
}

func (f *folder) work(ctx context.Context, queue chan int64, step func(ctx context.Context, log int64) (bool, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case log := <-queue:
			began, steps := time.Now(), 0
			for more := true; more && ctx.Err() == nil; steps++ {
				var err error
				if more, err = step(ctx, log); err != nil {
					// Searches are slower meanwhile, and whoever grows the log
					// next tries again.
					f.logger.Warn("search index not brought up to date", "log", log, "error", err)
					break
				}
			}
			f.logger.Debug("search index brought up to date", "log", log, "steps", steps, "took", time.Since(began))
		}
	}
}

// foldTail makes one smallest span, if there are entries for one, and says
// whether there may be more.
func (f *folder) foldTail(ctx context.Context, log int64) (more bool, err error) {
	err = f.transact(ctx, lockTails, func(tx pgx.Tx) error {
		var first int64
		rows, err := tx.Query(ctx, sqlTail, log, spanEntries)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(found) == 0 {
			return err
		}
		more, first = true, found[0]
		until := first + spanEntries
		return write(ctx, tx, span{first, until, 0}, fmt.Sprintf(sqlEntryPairs, first, until))
	})
	if more && err == nil {
		f.look(f.merges, log)
	}
	return more, err
}

// merge makes one span of fanOut smaller ones, if there are such, and says
// whether there may be more.
func (f *folder) merge(ctx context.Context, log int64) (more bool, err error) {
	err = f.transact(ctx, lockMerges, func(tx pgx.Tx) error {
		var level int
		var first int64
		rows, err := tx.Query(ctx, sqlSiblings, log, spanBits, fanBits, maxLevel)
		if err != nil {
			return err
		}
		if _, err := pgx.ForEachRow(rows, []any{&level, &first}, func() error { more = true; return nil }); err != nil || !more {
			return err
		}
		until := first + spanEntries<<(fanBits*(level+1))
		if err := write(ctx, tx, span{first, until, level + 1}, fmt.Sprintf(sqlSpanPairs, first, until, level)); err != nil {
			return err
		}
		for _, sql := range []string{
			`DELETE FROM span_keys WHERE first >= $1 AND first < $2 AND level = $3`,
			`DELETE FROM spans WHERE first >= $1 AND first < $2 AND level = $3`,
		} {
			if _, err := tx.Exec(ctx, sql, first, until, level); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

// transact runs fn in a transaction if no other process does the same.
func (f *folder) transact(ctx context.Context, lock int64, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, spanSettings, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		var free bool
		if err := tx.QueryRow(ctx, sqlTryLock, lock).Scan(&free); err != nil || !free {
			return err
		}
		return fn(tx)
	})
}

// span is a row of the table.
type span struct {
	first, until int64
	level        int
}

// write makes a span of the pairs that a query returns in order. However many
// they are, few are in memory.
func write(ctx context.Context, tx pgx.Tx, s span, pairs string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO spans (first, until, level) VALUES ($1, $2, $3)`, s.first, s.until, s.level); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DECLARE pairs NO SCROLL CURSOR FOR `+pairs, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	for {
		keys, entries, err := fetch(ctx, tx)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		rows := pgx.CopyFromSlice((len(keys)+pairsPerRow-1)/pairsPerRow, func(i int) ([]any, error) {
			from := i * pairsPerRow
			to := min(from+pairsPerRow, len(keys))
			return []any{s.first, int16(s.level), keys[from], entries[from], keys[from:to], entries[from:to]}, nil //nolint:gosec // at most maxLevel
		})
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"span_keys"}, []string{"first", "level", "key", "entry", "keys", "entries"}, rows); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `CLOSE pairs`, pgx.QueryExecModeSimpleProtocol)
	return err
}

// fetch reads the next pairs of the cursor.
func fetch(ctx context.Context, tx pgx.Tx) (keys, entries []int64, err error) {
	rows, err := tx.Query(ctx, fmt.Sprintf(`FETCH FORWARD %d FROM pairs`, fetchPairs), pgx.QueryExecModeDescribeExec)
	if err != nil {
		return nil, nil, err
	}
	var key, entry int64
	_, err = pgx.ForEachRow(rows, []any{&key, &entry}, func() error {
		keys, entries = append(keys, key), append(entries, entry)
		return nil
	})
	return keys, entries, err
}
