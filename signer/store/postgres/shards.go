// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// logRow is a log and its number.
type logRow struct {
	tlog.LogRow
	id int64
}

const sqlLogs = `SELECT id, name, kind, tree_id, state, coalesce(first_index, -1), origin, key, size, root, time, checkpoint FROM logs`

func scanLog(row pgx.CollectableRow) (r logRow, err error) {
	err = row.Scan(&r.id, &r.Name, (*string)(&r.Kind), &r.TreeID, (*string)(&r.State), &r.FirstIndex, &r.Origin, &r.Key,
		&r.Head.Size, (*hash)(&r.Head.Root), &r.Head.Time, &r.Head.Checkpoint)
	return r, err
}

// Logs implements tlog.Storage.
func (db *DB) Logs(ctx context.Context) ([]tlog.LogRow, error) {
	rows, err := db.allLogs(ctx)
	if err != nil {
		return nil, err
	}
	logs := make([]tlog.LogRow, len(rows))
	for i := range rows {
		logs[i] = rows[i].LogRow
	}
	return logs, nil
}

func (db *DB) allLogs(ctx context.Context) ([]logRow, error) {
	rows, err := db.reads.Query(ctx, sqlLogs+` ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", hint(err))
	}
	logs, err := pgx.CollectRows(rows, scanLog)
	if err != nil {
		return nil, fmt.Errorf("read logs: %w", hint(err))
	}
	return logs, nil
}

// shards runs fn in a transaction that nobody else makes or moves a log in.
func (db *DB) shards(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return db.transact(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(lockShards)); err != nil {
			return err
		}
		return fn(tx)
	})
}

// transact runs fn in a transaction.
func (db *DB) transact(ctx context.Context, fn func(tx pgx.Tx) error) error {
	conn, err := db.writer(ctx)
	if err != nil {
		return hint(err)
	}
	defer conn.Release()
	return hint(pgx.BeginFunc(ctx, conn, fn))
}

// ofKind locks and returns the logs of a kind, in the order of creation: no
// batch of theirs is under way until the transaction ends.
func ofKind(ctx context.Context, tx pgx.Tx, kind tlog.Kind) ([]logRow, error) {
	rows, err := tx.Query(ctx, sqlLogs+` WHERE kind = $1 ORDER BY id FOR UPDATE`, string(kind))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanLog)
}

// nextIndex is the global index behind the last entry of a kind.
func nextIndex(logs []logRow) (next int64) {
	for i := range logs {
		if logs[i].FirstIndex != tlog.Unplaced {
			next = max(next, logs[i].FirstIndex+logs[i].Head.Size)
		}
	}
	return next
}

func activeOf(logs []logRow) int {
	return slices.IndexFunc(logs, func(r logRow) bool { return r.State == tlog.Active })
}

// CreateLog implements tlog.Storage.
func (db *DB) CreateLog(ctx context.Context, row tlog.LogRow) error {
	err := db.shards(ctx, func(tx pgx.Tx) error {
		var first *int64 // NULL: not placed
		if row.State == tlog.Active {
			logs, err := ofKind(ctx, tx, row.Kind)
			if err != nil {
				return err
			}
			next := nextIndex(logs)
			first = &next
		}
		h := row.Head
		_, err := tx.Exec(ctx, `INSERT INTO logs (id, name, kind, tree_id, state, first_index, origin, key, size, root, time, checkpoint)
			SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM logs`,
			row.Name, string(row.Kind), row.TreeID, string(row.State), first, row.Origin, row.Key, h.Size, h.Root[:], h.Time, h.Checkpoint)
		if code(err) == uniqueViolation { // of the name, the tree id, or being the active one
			return fmt.Errorf("%w: %w", tlog.ErrLogExists, err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create log %q: %w", row.Name, err)
	}
	return nil
}

// Activate implements tlog.Storage.
func (db *DB) Activate(ctx context.Context, name string) error {
	err := db.shards(ctx, func(tx pgx.Tx) error {
		logs, at, err := shardsWith(ctx, tx, name)
		if err != nil {
			return err
		}
		switch logs[at].State {
		case tlog.Active:
			return nil
		case tlog.Frozen:
			return tlog.ErrFrozen
		}
		if before := activeOf(logs); before >= 0 {
			if err := setState(ctx, tx, logs[before].id, tlog.Frozen); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `UPDATE logs SET state = 'active', first_index = $2 WHERE id = $1`, logs[at].id, nextIndex(logs))
		return err
	})
	if err != nil {
		return fmt.Errorf("activate log %q: %w", name, err)
	}
	return nil
}

// Freeze implements tlog.Storage.
func (db *DB) Freeze(ctx context.Context, name string) error {
	err := db.shards(ctx, func(tx pgx.Tx) error {
		logs, at, err := shardsWith(ctx, tx, name)
		if err != nil {
			return err
		}
		return setState(ctx, tx, logs[at].id, tlog.Frozen)
	})
	if err != nil {
		return fmt.Errorf("freeze log %q: %w", name, err)
	}
	return nil
}

func setState(ctx context.Context, tx pgx.Tx, id int64, state tlog.State) error {
	_, err := tx.Exec(ctx, `UPDATE logs SET state = $2 WHERE id = $1`, id, string(state))
	return err
}

// shardsWith is ofKind of the kind that a log has, and says which of them it is.
// tlog.ErrNoLog if there is none of that name.
func shardsWith(ctx context.Context, tx pgx.Tx, name string) (logs []logRow, at int, err error) {
	rows, err := tx.Query(ctx, `SELECT kind FROM logs WHERE name = $1`, name)
	if err != nil {
		return nil, 0, err
	}
	kinds, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(kinds) == 0 {
		err = noLog(name)
	}
	if err != nil {
		return nil, 0, err
	}
	logs, err = ofKind(ctx, tx, tlog.Kind(kinds[0]))
	return logs, slices.IndexFunc(logs, func(r logRow) bool { return r.Name == name }), err
}
