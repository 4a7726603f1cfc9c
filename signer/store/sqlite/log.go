// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/store"
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

// Commit implements tlog.Storage. The writer's transaction, which began with
// BEGIN IMMEDIATE, is the lock.
func (db *DB) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	o := &op{run: func(t *tx) error {
		row, id, err := t.query().log(b.Log)
		if err != nil {
			return err
		}
		locked, err := t.lookUp(id, row, b)
		if err != nil {
			return err
		}
		write, err := plan(locked)
		if err != nil || len(write.Entries) == 0 {
			return err
		}
		if locked.Frozen {
			return fmt.Errorf("write to log %q: %w", b.Log, tlog.ErrFrozen)
		}
		return t.append(id, db.secret, write)
	}}
	if b.Fault != nil {
		o.beforeCommit = func() error { return b.Fault(tlog.BeforeCommit) }
		o.afterCommit = func() error { return b.Fault(tlog.AfterCommit) }
	}
	return db.do(ctx, o)
}

// lookUp reads what a batch must know under the lock.
func (t *tx) lookUp(id int64, row tlog.LogRow, b tlog.Batch) (tlog.Locked, error) {
	existing, err := t.query().find(id, b.Leaves)
	if err != nil {
		return tlog.Locked{}, err
	}
	locked := tlog.Locked{Head: row.Head, Frozen: row.State == tlog.Frozen, Existing: existing}
	if gap := row.Head.Size - b.EdgeSize; gap <= 0 || gap > tlog.MaxMissed {
		return locked, nil
	}
	missed, err := t.query().entries(id, b.EdgeSize, row.Head.Size)
	for i := range missed {
		locked.Missed = append(locked.Missed, merkle.RecordHash(missed[i].Body))
	}
	return locked, err
}

var (
	insertEntries = insertInto("entries (id, time, keys, body)")
	insertLeaves  = insertInto("leaves (log, leaf, idx)")
)

// append writes a batch.
func (t *tx) append(id int64, secret [32]byte, write tlog.Write) error {
	entries, leaves := make([]any, 0, 4*len(write.Entries)), make([]any, 0, 3*len(write.Entries))
	for i := range write.Entries {
		e := &write.Entries[i]
		keys, err := store.IndexKeys(secret, e.Keys, tlog.MaxKeys)
		if err != nil {
			return fmt.Errorf("write entry %d: %w", e.Index, err)
		}
		entries = append(entries, entryID(id, e.Index), e.Time, encodeKeys(keys), store.PackBody(e.Body))
		leaves = append(leaves, id, e.Hash[:], e.Index)
	}
	if err := insertEntries.run(t, entries); err != nil {
		return fmt.Errorf("write entries: %w", err)
	}
	if err := insertLeaves.run(t, leaves); err != nil {
		return fmt.Errorf("write leaves: %w", err)
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
	return t.index(id, h.Size)
}

// readLog calls fn with a connection and the number of a log.
func (db *DB) readLog(ctx context.Context, name string, fn func(q queryer, id int64) error) error {
	return db.read(ctx, func(q queryer) error {
		_, id, err := q.log(name)
		if err != nil {
			return err
		}
		return fn(q, id)
	})
}

// Find implements tlog.Storage.
func (db *DB) Find(ctx context.Context, log string, leaves []tlog.Hash) (map[tlog.Hash]tlog.Place, error) {
	var found map[tlog.Hash]tlog.Place
	err := db.readLog(ctx, log, func(q queryer, id int64) (err error) {
		found, err = q.find(id, leaves)
		return err
	})
	return found, err
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
	var entries []tlog.Entry
	err := db.readLog(ctx, log, func(q queryer, id int64) (err error) {
		entries, err = q.entries(id, from, to)
		return err
	})
	return entries, err
}

func (q queryer) entries(id, from, to int64) ([]tlog.Entry, error) {
	var entries []tlog.Entry
	err := q.each(`SELECT id, time, body FROM entries WHERE id >= ? AND id < ? ORDER BY id`,
		[]any{entryID(id, from), entryID(id, to)},
		func(scan func(...any) error) error {
			var e tlog.Entry
			var packed sql.RawBytes
			err := scan(&e.Index, &e.Time, &packed)
			if err == nil {
				e.Body, err = store.UnpackBody(packed)
			}
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
	tiles := make([][]byte, len(ids))
	err := db.readLog(ctx, log, func(q queryer, id int64) error {
		for i, tile := range ids {
			err := q.each(`SELECT data FROM tiles WHERE id = ?`, []any{tileID(id, tile)},
				func(scan func(...any) error) error { return scan(&tiles[i]) })
			if err != nil {
				return fmt.Errorf("read tile %d of level %d: %w", tile.N, tile.Level, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
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
