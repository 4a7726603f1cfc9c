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
