// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	// indexBits of an entry's id are its index, levelShift those below a
	// tile's level: a tree of 2^40 entries is out of reach of one file.
	indexBits  = 40
	levelShift = 40
	logShift   = 48

	// findChunk is how many leaves are looked up by one statement. A shorter
	// list is padded with its last leaf, so that three statements are enough.
	findChunk = 32
)

func entryID(log, index int64) int64 { return log<<indexBits | index }

func tileID(log int64, id tlog.TileID) int64 {
	return log<<logShift | int64(id.Level)<<levelShift | id.N
}

// queryer is a reading connection pool or the writer's transaction.
type queryer func(query string, args ...any) (*sql.Rows, error)

// reader reads committed data.
func (db *DB) reader(ctx context.Context) queryer {
	return func(query string, args ...any) (*sql.Rows, error) {
		return db.reads.QueryContext(ctx, query, args...)
	}
}

// each runs a query and calls fn for every row; scan reads its columns.
func (q queryer) each(query string, args []any, fn func(scan func(...any) error) error) (err error) {
	rows, err := q(query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// CreateLog implements tlog.Storage.
func (db *DB) CreateLog(ctx context.Context, row tlog.LogRow) error {
	return db.write(ctx, func(t *tx) error {
		n, err := t.changed(`INSERT INTO logs (name, origin, key, size, root, time, checkpoint)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
			row.Name, row.Origin, row.Key, row.Head.Size, row.Head.Root[:], row.Head.Time, row.Head.Checkpoint)
		if err == nil && n == 0 {
			err = tlog.ErrLogExists
		}
		return err
	})
}

// Log implements tlog.Storage.
func (db *DB) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	row, _, err := db.reader(ctx).log(name)
	return row, err
}

// log reads a log's row and its number.
func (q queryer) log(name string) (row tlog.LogRow, id int64, err error) {
	row.Name = name
	err = q.each(`SELECT id, origin, key, size, root, time, checkpoint FROM logs WHERE name = ?`, []any{name},
		func(scan func(...any) error) error {
			return scan(&id, &row.Origin, &row.Key, &row.Head.Size, (*hash)(&row.Head.Root), &row.Head.Time, &row.Head.Checkpoint)
		})
	if err != nil {
		return tlog.LogRow{}, 0, fmt.Errorf("read log %q: %w", name, err)
	}
	if id == 0 {
		return tlog.LogRow{}, 0, fmt.Errorf("%w: %q (hint: hallmark-server init makes it)", tlog.ErrNoLog, name)
	}
	return row, id, nil
}

// Commit implements tlog.Storage. The writer's transaction, which began with
// BEGIN IMMEDIATE, is the lock.
func (db *DB) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	o := &op{run: func(t *tx) error {
		row, id, err := queryer(t.query).log(b.Log)
		if err != nil {
			return err
		}
		locked, err := t.lookUp(id, row.Head, b)
		if err != nil {
			return err
		}
		write, err := plan(locked)
		if err != nil || len(write.Entries) == 0 {
			return err
		}
		return t.append(id, write)
	}}
	if b.Fault != nil {
		o.beforeCommit = func() error { return b.Fault(tlog.BeforeCommit) }
		o.afterCommit = func() error { return b.Fault(tlog.AfterCommit) }
	}
	return db.do(ctx, o)
}

// lookUp reads what a batch must know under the lock.
func (t *tx) lookUp(id int64, head tlog.Head, b tlog.Batch) (tlog.Locked, error) {
	existing, err := queryer(t.query).find(id, b.Leaves)
	if err != nil {
		return tlog.Locked{}, err
	}
	locked := tlog.Locked{Head: head, Existing: existing}
	if gap := head.Size - b.EdgeSize; gap <= 0 || gap > tlog.MaxMissed {
		return locked, nil
	}
	missed, err := queryer(t.query).entries(id, b.EdgeSize, head.Size)
	for i := range missed {
		locked.Missed = append(locked.Missed, merkle.RecordHash(missed[i].Body))
	}
	return locked, err
}

// append writes a batch.
func (t *tx) append(id int64, write tlog.Write) error {
	for i := range write.Entries {
		e := &write.Entries[i]
		if err := t.exec(`INSERT INTO entries (id, time, body) VALUES (?, ?, ?)`, entryID(id, e.Index), e.Time, e.Body); err != nil {
			return fmt.Errorf("write entry %d: %w", e.Index, err)
		}
		if err := t.exec(`INSERT INTO leaves (log, leaf, idx) VALUES (?, ?, ?)`, id, e.Hash[:], e.Index); err != nil {
			return fmt.Errorf("write leaf of entry %d: %w", e.Index, err)
		}
	}
	for _, tile := range write.Tiles {
		if err := t.exec(`INSERT INTO tiles (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data`,
			tileID(id, tile.TileID), tile.Data); err != nil {
			return fmt.Errorf("write tile: %w", err)
		}
	}
	h := write.Head
	if err := t.exec(`UPDATE logs SET size = ?, root = ?, time = ?, checkpoint = ? WHERE id = ?`,
		h.Size, h.Root[:], h.Time, h.Checkpoint, id); err != nil {
		return fmt.Errorf("write head: %w", err)
	}
	return nil
}

// Find implements tlog.Storage.
func (db *DB) Find(ctx context.Context, log string, leaves []tlog.Hash) (map[tlog.Hash]tlog.Place, error) {
	q := db.reader(ctx)
	_, id, err := q.log(log)
	if err != nil {
		return nil, err
	}
	return q.find(id, leaves)
}

var (
	findOne  = findQuery(1)
	findMany = findQuery(findChunk)
)

func findQuery(n int) string {
	return `SELECT l.leaf, l.idx, e.time FROM leaves l JOIN entries e ON e.id = (l.log << ` + strconv.Itoa(indexBits) + ` | l.idx)
		WHERE l.log = ? AND l.leaf IN (?` + strings.Repeat(", ?", n-1) + `)`
}

func (q queryer) find(id int64, leaves []tlog.Hash) (map[tlog.Hash]tlog.Place, error) {
	found := make(map[tlog.Hash]tlog.Place)
	for start := 0; start < len(leaves); start += findChunk {
		query, n := findMany, findChunk
		if len(leaves)-start == 1 {
			query, n = findOne, 1
		}
		args := make([]any, 1, 1+findChunk)
		args[0] = id
		for i := range n {
			args = append(args, leaves[min(start+i, len(leaves)-1)][:])
		}
		err := q.each(query, args, func(scan func(...any) error) error {
			var h tlog.Hash
			var p tlog.Place
			err := scan((*hash)(&h), &p.Index, &p.Time)
			found[h] = p
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look up leaves: %w", err)
		}
	}
	return found, nil
}

// Entries implements tlog.Storage.
func (db *DB) Entries(ctx context.Context, log string, from, to int64) ([]tlog.Entry, error) {
	q := db.reader(ctx)
	_, id, err := q.log(log)
	if err != nil {
		return nil, err
	}
	return q.entries(id, from, to)
}

func (q queryer) entries(id, from, to int64) ([]tlog.Entry, error) {
	var entries []tlog.Entry
	err := q.each(`SELECT id, time, body FROM entries WHERE id >= ? AND id < ? ORDER BY id`,
		[]any{entryID(id, from), entryID(id, to)},
		func(scan func(...any) error) error {
			var e tlog.Entry
			err := scan(&e.Index, &e.Time, &e.Body)
			e.Index -= entryID(id, 0)
			entries = append(entries, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read entries %d to %d: %w", from, to, err)
	}
	return entries, nil
}

// Tiles implements tlog.Storage.
func (db *DB) Tiles(ctx context.Context, log string, ids []tlog.TileID) ([][]byte, error) {
	q := db.reader(ctx)
	_, id, err := q.log(log)
	if err != nil {
		return nil, err
	}
	tiles := make([][]byte, len(ids))
	for i, tile := range ids {
		err := q.each(`SELECT data FROM tiles WHERE id = ?`, []any{tileID(id, tile)},
			func(scan func(...any) error) error { return scan(&tiles[i]) })
		if err != nil {
			return nil, fmt.Errorf("read tile %d of level %d: %w", tile.N, tile.Level, err)
		}
	}
	return tiles, nil
}

// hash reads a 32-byte column.
type hash tlog.Hash

// Scan implements sql.Scanner.
func (h *hash) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(h) {
		return fmt.Errorf("a hash of %d bytes was expected, not %T", len(h), v)
	}
	copy(h[:], b)
	return nil
}
