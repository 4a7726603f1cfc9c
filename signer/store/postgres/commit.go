// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// writeTimeout bounds the second half of a batch, from the first row to the
// answer to COMMIT, when the caller's context counts no more. Who waits longer
// does not know how it ended, and asks again.
const writeTimeout = 10 * time.Second

// Statements of a batch. Read committed gives each the database as it is when
// that statement begins: those behind the first see what the last holder of the
// lock has committed.
const (
	sqlBegin = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`
	sqlLock  = `SELECT size, root, time, checkpoint, state = 'frozen' FROM logs WHERE id = $1 FOR UPDATE`
	// sqlFind asks the index once for every leaf. `leaf = ANY ($2)` lets the
	// planner choose, and on a table without statistics it chooses badly.
	sqlFind = `SELECT l.leaf, e.id, e.time FROM unnest($2::bytea[]) AS l (leaf)
		CROSS JOIN LATERAL (SELECT id, time FROM entries WHERE (id >> 40)::integer = $1::integer AND leaf = l.leaf LIMIT 1) AS e`
	// sqlMissed is empty unless the caller's tree ($2) is smaller than the log,
	// and not by more than the engine wants to catch up under the lock ($3).
	sqlMissed = `SELECT leaf FROM entries WHERE id >= $1::bigint << 40 | $2::bigint AND id < ($1::bigint + 1) << 40
		AND (SELECT size - $2::bigint BETWEEN 1 AND $3::bigint FROM logs WHERE id = $1) ORDER BY id`
	// sqlEntries takes the keys of all entries in one array, cut at $6.
	sqlEntries = `INSERT INTO entries (id, time, leaf, keys, body)
		SELECT e.id, e.time, e.leaf, ($5::bigint[])[e.first + 1:e.until], e.body
		FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $6::integer[], $7::integer[]) AS e (id, time, leaf, body, first, until)`
	sqlTiles = `INSERT INTO tiles (id, data) SELECT * FROM unnest($1::bigint[], $2::bytea[])
		ON CONFLICT (id) DO UPDATE SET data = excluded.data`
	sqlHead   = `UPDATE logs SET size = $2, root = $3, time = $4, checkpoint = $5 WHERE id = $1`
	sqlCommit = `COMMIT`
)

// Commit implements tlog.Storage, in two round trips: one that locks the log's
// row and looks, one that writes and commits. If more leaves came meanwhile,
// there is one between them that looks for these: with three replicas, which
// wait for the row most of the time, batches are twice as large that way and
// appends half as many again (measured: 3,700 instead of 2,430/s).
//
// The connection may break anywhere. As long as the server has not read COMMIT
// behind rows that were all good, it rolls the transaction back when it sees
// the connection end; from then on the transaction is durable, answered or not.
func (db *DB) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	id, err := db.logID(ctx, b.Log)
	if err != nil {
		return err
	}
	conn, err := db.writer(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", hint(err))
	}
	defer conn.Release() // closes it if it is still in the transaction, which ends it
	locked, err := lock(ctx, conn, id, b)
	if err != nil {
		return fmt.Errorf("lock log %q: %w", b.Log, hint(err))
	}
	if err := lookAgain(ctx, conn, id, b.More, locked.Existing); err != nil {
		return fmt.Errorf("look up leaves: %w", hint(err))
	}
	write, err := plan(locked)
	if err == nil && len(write.Entries) > 0 && locked.Frozen {
		err = fmt.Errorf("%w: %q", tlog.ErrFrozen, b.Log)
	}
	// From here on ctx counts no more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err != nil || len(write.Entries) == 0 {
		_, rollbackErr := conn.Exec(ctx, `ROLLBACK`)
		_ = rollbackErr // nothing was written, and the row is free when the connection ends
		return err
	}
	if err := db.write(ctx, conn, id, write, b.Fault); err != nil {
		return fmt.Errorf("append to log %q: %w", b.Log, hint(err))
	}
	db.folder.grown(id, locked.Head.Size, write.Head.Size)
	if b.Fault != nil {
		return b.Fault(tlog.AfterCommit)
	}
	return nil
}

// lock begins the transaction, waits for the log's row and reads what a batch
// must know, in one round trip.
func lock(ctx context.Context, conn *pgxpool.Conn, id int64, b tlog.Batch) (tlog.Locked, error) {
	locked := tlog.Locked{Existing: make(map[tlog.Hash]tlog.Place)}
	batch := new(pgx.Batch)
	batch.Queue(sqlBegin)
	batch.Queue(sqlLock, id).QueryRow(func(row pgx.Row) error {
		h := &locked.Head
		err := row.Scan(&h.Size, (*hash)(&h.Root), &h.Time, &h.Checkpoint, &locked.Frozen)
		if errors.Is(err, pgx.ErrNoRows) {
			err = tlog.ErrNoLog
		}
		return err
	})
	if len(b.Leaves) > 0 {
		batch.Queue(sqlFind, id, hashes(b.Leaves)).Query(scanPlaces(locked.Existing))
	}
	batch.Queue(sqlMissed, id, b.EdgeSize, tlog.MaxMissed).Query(func(rows pgx.Rows) error {
		var h tlog.Hash
		_, err := pgx.ForEachRow(rows, []any{(*hash)(&h)}, func() error {
			locked.Missed = append(locked.Missed, h)
			return nil
		})
		return err
	})
	err := conn.SendBatch(ctx, batch).Close()
	return locked, err
}

// lookAgain looks up the leaves that came while the lock was waited for.
func lookAgain(ctx context.Context, conn *pgxpool.Conn, id int64, more func() []tlog.Hash, existing map[tlog.Hash]tlog.Place) error {
	if more == nil {
		return nil
	}
	late := more()
	if len(late) == 0 {
		return nil
	}
	rows, err := conn.Query(ctx, sqlFind, id, hashes(late))
	if err != nil {
		return err
	}
	return scanPlaces(existing)(rows)
}

// write sends all rows and, behind them, COMMIT, without waiting in between. An
// error in any row makes the server skip the rest, COMMIT included.
func (db *DB) write(ctx context.Context, conn *pgxpool.Conn, id int64, w tlog.Write, fault func(tlog.Point) error) error {
	entries, err := db.entryColumns(id, w.Entries)
	if err != nil {
		return err
	}
	p, err := newPipeline(ctx, conn.Conn(), sqlEntries, sqlTiles, sqlHead, sqlCommit)
	if err != nil {
		return err
	}
	defer p.close()
	err = p.send(sqlEntries, entries...)
	if err == nil && len(w.Tiles) > 0 {
		err = p.send(sqlTiles, tileColumns(id, w.Tiles)...)
	}
	if err == nil {
		err = p.send(sqlHead, id, w.Head.Size, w.Head.Root[:], w.Head.Time, w.Head.Checkpoint)
	}
	if err == nil && fault != nil {
		// Everything but COMMIT is with the server when a test cuts the power.
		if err = p.flush(); err == nil {
			err = fault(tlog.BeforeCommit)
		}
	}
	if err == nil {
		err = p.send(sqlCommit)
	}
	if err != nil {
		p.cut()
		return err
	}
	return p.finish()
}

// entryColumns are the parameters of sqlEntries.
func (db *DB) entryColumns(id int64, entries []tlog.Entry) ([]any, error) {
	n := len(entries)
	ids, times := make([]int64, n), make([]int64, n)
	leaves, bodies := make([][]byte, n), make([][]byte, n)
	first, until := make([]int32, n), make([]int32, n)
	var keys []int64
	for i := range entries {
		e := &entries[i]
		hashed, err := store.IndexKeys(db.secret, e.Keys, tlog.MaxKeys)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.Index, err)
		}
		ids[i], times[i], leaves[i], bodies[i] = entryID(id, e.Index), e.Time, e.Hash[:], store.PackBody(e.Body)
		first[i] = int32(len(keys)) //nolint:gosec // at most MaxKeys an entry
		keys = append(keys, hashed...)
		until[i] = int32(len(keys)) //nolint:gosec // as above
	}
	if keys == nil {
		keys = []int64{}
	}
	return []any{ids, times, leaves, bodies, keys, first, until}, nil
}

// tileColumns are the parameters of sqlTiles.
func tileColumns(id int64, tiles []tlog.StoredTile) []any {
	ids, data := make([]int64, len(tiles)), make([][]byte, len(tiles))
	for i := range tiles {
		ids[i], data[i] = tileID(id, tiles[i].TileID), tiles[i].Data
	}
	return []any{ids, data}
}

// pipeline sends prepared statements without waiting for answers. It stands
// beside pgx.Batch because that sends everything at once, and a fault point
// wants to be between two statements.
type pipeline struct {
	conn       *pgx.Conn
	statements map[string]*pgconn.StatementDescription
	p          *pgconn.Pipeline
	sent       int
}

// newPipeline prepares statements, once per connection.
func newPipeline(ctx context.Context, conn *pgx.Conn, statements ...string) (*pipeline, error) {
	p := &pipeline{conn: conn, statements: make(map[string]*pgconn.StatementDescription, len(statements))}
	for _, sql := range statements {
		s, err := conn.Prepare(ctx, sql, sql)
		if err != nil {
			return nil, err
		}
		p.statements[sql] = s
	}
	p.p = conn.PgConn().StartPipeline(ctx)
	return p, nil
}

func (p *pipeline) send(sql string, args ...any) error {
	s := p.statements[sql]
	var q pgx.ExtendedQueryBuilder
	if err := q.Build(p.conn.TypeMap(), s, args); err != nil {
		return err
	}
	p.p.SendQueryStatement(s, q.ParamValues, q.ParamFormats, q.ResultFormats)
	p.sent++
	return nil
}

func (p *pipeline) flush() error { return p.p.Flush() }

// finish asks for the answers and waits for them. The first error is the one
// that matters: the server skips what is behind it.
func (p *pipeline) finish() error {
	if err := p.p.Sync(); err != nil {
		return err
	}
	for range p.sent {
		results, err := p.p.GetResults()
		if err != nil {
			return err
		}
		reader, ok := results.(*pgconn.ResultReader)
		if !ok {
			return fmt.Errorf("the server answered a statement with %T", results)
		}
		if _, err := reader.Close(); err != nil {
			return err
		}
	}
	return p.p.Close()
}

// cut breaks the connection off, with what was sent unanswered.
func (p *pipeline) cut() { _ = p.conn.PgConn().Conn().Close() } // that is what is wanted

func (p *pipeline) close() { _ = p.p.Close() } // of what finish has not read
