// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// CreateLog implements tlog.Storage.
func (db *DB) CreateLog(ctx context.Context, row tlog.LogRow) error {
	err := db.write(ctx, func(t *tx) error {
		n, err := t.changed(`INSERT INTO logs (name, kind, tree_id, state, first_index, origin, key, size, root, time, checkpoint)
			SELECT ?1, ?2, ?3, ?4, CASE WHEN ?4 = 'active' THEN `+sizeOfShards+` END, ?5, ?6, ?7, ?8, ?9, ?10
			ON CONFLICT DO NOTHING`,
			row.Name, string(row.Kind), row.TreeID, string(row.State), row.Origin, row.Key,
			row.Head.Size, row.Head.Root[:], row.Head.Time, row.Head.Checkpoint)
		if err == nil && n == 0 {
			err = tlog.ErrLogExists
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create log %q: %w", row.Name, err)
	}
	return nil
}

// sizeOfShards is how many entries the logs have that are or were active and
// of kind ?2.
const sizeOfShards = `(SELECT coalesce(sum(size), 0) FROM logs WHERE kind = ?2 AND first_index IS NOT NULL)`

// Activate implements tlog.Storage.
func (db *DB) Activate(ctx context.Context, name string) error {
	err := db.write(ctx, func(t *tx) error {
		row, id, err := t.query().log(name)
		switch {
		case err != nil:
			return err
		case row.State == tlog.Active:
			return nil
		case row.State == tlog.Frozen:
			return tlog.ErrFrozen
		}
		if err := t.exec(`UPDATE logs SET state = 'frozen' WHERE kind = ? AND state = 'active'`, string(row.Kind)); err != nil {
			return err
		}
		return t.exec(`UPDATE logs SET state = 'active', first_index = `+sizeOfShards+` WHERE id = ?1`, id, string(row.Kind))
	})
	if err != nil {
		return fmt.Errorf("activate log %q: %w", name, err)
	}
	return nil
}

// Freeze implements tlog.Storage.
func (db *DB) Freeze(ctx context.Context, name string) error {
	err := db.write(ctx, func(t *tx) error {
		_, id, err := t.query().log(name)
		if err != nil {
			return err
		}
		return t.exec(`UPDATE logs SET state = 'frozen' WHERE id = ? AND state <> 'frozen'`, id)
	})
	if err != nil {
		return fmt.Errorf("freeze log %q: %w", name, err)
	}
	return nil
}

// Log implements tlog.Storage.
func (db *DB) Log(ctx context.Context, name string) (row tlog.LogRow, err error) {
	err = db.read(ctx, func(q queryer) (err error) {
		row, _, err = q.log(name)
		return err
	})
	return row, err
}

// Logs implements tlog.Storage.
func (db *DB) Logs(ctx context.Context) (rows []tlog.LogRow, err error) {
	err = db.read(ctx, func(q queryer) (err error) {
		rows, _, err = q.logs()
		return err
	})
	return rows, err
}

const logColumns = `SELECT id, name, kind, tree_id, state, coalesce(first_index, -1), origin, key, size, root, time, checkpoint FROM logs`

func scanLog(scan func(...any) error) (row tlog.LogRow, id int64, err error) {
	h := &row.Head
	err = scan(&id, &row.Name, (*string)(&row.Kind), &row.TreeID, (*string)(&row.State), &row.FirstIndex, &row.Origin, &row.Key,
		&h.Size, (*hash)(&h.Root), &h.Time, &h.Checkpoint)
	return row, id, err
}

// log reads a log's row and its number.
func (q queryer) log(name string) (row tlog.LogRow, id int64, err error) {
	err = q.each(logColumns+` WHERE name = ?`, []any{name}, func(scan func(...any) error) (err error) {
		row, id, err = scanLog(scan)
		return err
	})
	if err != nil {
		return tlog.LogRow{}, 0, fmt.Errorf("read log %q: %w", name, err)
	}
	if id == 0 {
		return tlog.LogRow{}, 0, fmt.Errorf("%w: %q (hint: hallmark-server init makes it)", tlog.ErrNoLog, name)
	}
	return row, id, nil
}

// logs reads all rows and their numbers, in the order of creation.
func (q queryer) logs() (rows []tlog.LogRow, ids []int64, err error) {
	err = q.each(logColumns+` ORDER BY id`, nil, func(scan func(...any) error) error {
		row, id, err := scanLog(scan)
		rows, ids = append(rows, row), append(ids, id)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read logs: %w", err)
	}
	return rows, ids, nil
}
