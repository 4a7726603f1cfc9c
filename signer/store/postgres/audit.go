// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// sqlRecord inserts an event.
const sqlRecord = `INSERT INTO audit (seq, time, decision, digest, event)
	SELECT coalesce(max(seq), 0) + 1, $1, $2, $3, $4 FROM audit`

// Record implements signer.Audit.
func (db *DB) Record(ctx context.Context, ev signer.AuditEvent) error {
	event, err := eventColumns(ev)
	if err != nil {
		return err
	}
	err = db.numbered(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRecord, event...)
	})
	if err != nil {
		return fmt.Errorf("record decision: %w", err)
	}
	return nil
}

// sqlRecordOnce inserts an event about an operation that has none.
const sqlRecordOnce = `WITH number AS (SELECT coalesce(max(seq), 0) + 1 AS next FROM audit),
	made AS (INSERT INTO operations (id, seq) SELECT $1, next FROM number ON CONFLICT DO NOTHING RETURNING seq)
	INSERT INTO audit (seq, time, decision, digest, event) SELECT seq, $2, $3, $4, $5 FROM made`

// RecordOnce implements store.Database.
func (db *DB) RecordOnce(ctx context.Context, ev signer.AuditEvent) (recorded bool, err error) {
	if ev.Operation == nil || ev.Operation.ID == "" {
		return false, store.ErrUnnamed
	}
	event, err := eventColumns(ev)
	if err != nil {
		return false, err
	}
	var n int64
	err = db.numbered(ctx, func(b *pgx.Batch) {
		b.Queue(sqlRecordOnce, append([]any{ev.Operation.ID}, event...)...).Exec(count(&n))
	})
	if err != nil {
		return false, fmt.Errorf("record operation: %w", err)
	}
	return n == 1, nil
}

// eventColumns are the columns of an event behind its number.
func eventColumns(ev signer.AuditEvent) ([]any, error) {
	encoded, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("encode audit event: %w", err)
	}
	return []any{ev.Time.UnixNano(), ev.Decision, ev.Digest, string(encoded)}, nil
}

// count keeps how many rows a statement of a batch has changed.
func count(n *int64) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*n = tag.RowsAffected()
		return nil
	}
}

// Events returns a page of recorded decisions.
func (db *DB) Events(ctx context.Context, query store.EventQuery) ([]store.Event, error) {
	if query.Limit <= 0 || query.Limit > store.MaxEvents {
		query.Limit = store.MaxEvents
	}
	rows, err := db.reads.Query(ctx, `SELECT seq, event FROM audit
		WHERE seq > $1 AND ($2 = '' OR digest = $2) AND ($3 = '' OR decision = $3) ORDER BY seq LIMIT $4`,
		query.After, query.Digest, query.Decision, query.Limit)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", hint(err))
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ev store.Event, err error) {
		var encoded string
		if err := row.Scan(&ev.Seq, &encoded); err != nil {
			return ev, err
		}
		return ev, json.Unmarshal([]byte(encoded), &ev.AuditEvent)
	})
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", hint(err))
	}
	return events, nil
}
