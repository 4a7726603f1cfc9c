// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	// indexBits of an entry's id are its index, levelShift those below a tile's
	// level, as in store/sqlite: a log has at most 2^40 entries.
	indexBits  = 40
	levelShift = 40
	logShift   = 48
)

func entryID(log, index int64) int64 { return log<<indexBits | index }

func tileID(log int64, id tlog.TileID) int64 {
	return log<<logShift | int64(id.Level)<<levelShift | id.N
}

// logIDs remembers the numbers of logs, which never change.
type logIDs struct {
	mu    sync.Mutex // guards known
	known map[string]int64
}

// logID returns the number of a log. ErrNoLog if there is none of that name.
func (db *DB) logID(ctx context.Context, name string) (int64, error) {
	db.logs.mu.Lock()
	id, ok := db.logs.known[name]
	db.logs.mu.Unlock()
	if ok {
		return id, nil
	}
	err := db.reads.QueryRow(ctx, `SELECT id FROM logs WHERE name = $1`, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, noLog(name)
	}
	if err != nil {
		return 0, fmt.Errorf("read log %q: %w", name, hint(err))
	}
	db.logs.mu.Lock()
	defer db.logs.mu.Unlock()
	if db.logs.known == nil {
		db.logs.known = make(map[string]int64)
	}
	db.logs.known[name] = id
	return id, nil
}

func noLog(name string) error {
	return fmt.Errorf("%w: %q (hint: hallmark-server init and hallmark-server log add make logs)", tlog.ErrNoLog, name)
}

// Log implements tlog.Storage.
func (db *DB) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	rows, err := db.reads.Query(ctx, sqlLogs+` WHERE name = $1`, name)
	if err != nil {
		return tlog.LogRow{}, fmt.Errorf("read log %q: %w", name, hint(err))
	}
	row, err := pgx.CollectExactlyOneRow(rows, scanLog)
	if errors.Is(err, pgx.ErrNoRows) {
		return tlog.LogRow{}, noLog(name)
	}
	if err != nil {
		return tlog.LogRow{}, fmt.Errorf("read log %q: %w", name, hint(err))
	}
	return row.LogRow, nil
}

// Find implements tlog.Storage.
func (db *DB) Find(ctx context.Context, log string, leaves []tlog.Hash) (map[tlog.Hash]tlog.Place, error) {
	id, err := db.logID(ctx, log)
	if err != nil {
		return nil, err
	}
	found := make(map[tlog.Hash]tlog.Place)
	rows, err := db.reads.Query(ctx, sqlFind, id, hashes(leaves))
	if err == nil {
		err = scanPlaces(found)(rows)
	}
	if err != nil {
		return nil, fmt.Errorf("look up leaves: %w", hint(err))
	}
	return found, nil
}

// scanPlaces reads the answer of sqlFind.
func scanPlaces(found map[tlog.Hash]tlog.Place) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var h tlog.Hash
		var p tlog.Place
		_, err := pgx.ForEachRow(rows, []any{(*hash)(&h), &p.Index, &p.Time}, func() error {
			p.Index &= 1<<indexBits - 1
			found[h] = p
			return nil
		})
		return err
	}
}

// Entries implements tlog.Storage.
func (db *DB) Entries(ctx context.Context, log string, from, to int64) ([]tlog.Entry, error) {
	id, err := db.logID(ctx, log)
	if err != nil {
		return nil, err
	}
	rows, err := db.reads.Query(ctx, `SELECT id, time, body FROM entries WHERE id >= $1 AND id < $2 ORDER BY id`,
		entryID(id, from), entryID(id, to))
	if err != nil {
		return nil, fmt.Errorf("read entries %d to %d: %w", from, to, hint(err))
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e tlog.Entry, err error) {
		var packed []byte
		if err = row.Scan(&e.Index, &e.Time, &packed); err == nil {
			e.Body, err = store.UnpackBody(packed)
		}
		e.Index -= entryID(id, 0)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read entries %d to %d: %w", from, to, hint(err))
	}
	return entries, nil
}

// Tiles implements tlog.Storage.
func (db *DB) Tiles(ctx context.Context, log string, ids []tlog.TileID) ([][]byte, error) {
	id, err := db.logID(ctx, log)
	if err != nil {
		return nil, err
	}
	asked := make([]int64, len(ids))
	for i := range ids {
		asked[i] = tileID(id, ids[i])
	}
	rows, err := db.reads.Query(ctx, `SELECT t.data FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, n)
		LEFT JOIN LATERAL (SELECT data FROM tiles WHERE id = asked.id LIMIT 1) AS t ON true ORDER BY asked.n`, asked)
	if err != nil {
		return nil, fmt.Errorf("read tiles: %w", hint(err))
	}
	tiles, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("read tiles: %w", hint(err))
	}
	return tiles, nil
}

// hash reads a 32-byte column.
type hash tlog.Hash

// ScanBytes implements pgtype.BytesScanner.
func (h *hash) ScanBytes(b []byte) error {
	if len(b) != len(h) {
		return fmt.Errorf("a hash of %d bytes was expected, not %d", len(h), len(b))
	}
	copy(h[:], b)
	return nil
}

// hashes are a parameter of type bytea[].
func hashes(leaves []tlog.Hash) [][]byte {
	b := make([][]byte, len(leaves))
	for i := range leaves {
		b[i] = leaves[i][:]
	}
	return b
}
