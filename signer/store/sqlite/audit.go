// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// Record implements signer.Audit.
func (db *DB) Record(ctx context.Context, ev signer.AuditEvent) error {
	if err := db.write(ctx, func(t *tx) error { return t.record(ev) }); err != nil {
		return fmt.Errorf("record decision: %w", err)
	}
	return nil
}

// RecordOnce implements store.Database.
func (db *DB) RecordOnce(ctx context.Context, ev signer.AuditEvent) (recorded bool, err error) {
	if ev.Operation == nil || ev.Operation.ID == "" {
		return false, store.ErrUnnamed
	}
	err = db.write(ctx, func(t *tx) error {
		recorded = false
		var known int64
		err := t.query().each(`SELECT count(*) FROM operations WHERE id = ?`, []any{ev.Operation.ID},
			func(scan func(...any) error) error { return scan(&known) })
		if err != nil || known > 0 {
			return err
		}
		if err := t.record(ev); err != nil {
			return err
		}
		recorded = true
		return t.exec(`INSERT INTO operations (id, seq) VALUES (?, last_insert_rowid())`, ev.Operation.ID)
	})
	if err != nil {
		return false, fmt.Errorf("record operation: %w", err)
	}
	return recorded, nil
}

func (t *tx) record(ev signer.AuditEvent) error {
	encoded, err := json.Marshal(ev)
	if err != nil {
		return fmt.Errorf("encode audit event: %w", err)
	}
	return t.exec(`INSERT INTO audit (time, decision, digest, event) VALUES (?, ?, ?, ?)`,
		ev.Time.UnixNano(), ev.Decision, ev.Digest, string(encoded))
}

// Events returns a page of recorded decisions.
func (db *DB) Events(ctx context.Context, query store.EventQuery) ([]store.Event, error) {
	if query.Limit <= 0 || query.Limit > store.MaxEvents {
		query.Limit = store.MaxEvents
	}
	var events []store.Event
	err := db.read(ctx, func(q queryer) error {
		return q.each(`SELECT seq, event FROM audit
		WHERE seq > ?1 AND (?2 = '' OR digest = ?2) AND (?3 = '' OR decision = ?3) ORDER BY seq LIMIT ?4`,
			[]any{query.After, query.Digest, query.Decision, query.Limit},
			func(scan func(...any) error) error {
				var ev store.Event
				var encoded string
				if err := scan(&ev.Seq, &encoded); err != nil {
					return err
				}
				events = append(events, ev)
				return json.Unmarshal([]byte(encoded), &events[len(events)-1].AuditEvent)
			})
	})
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	return events, nil
}
