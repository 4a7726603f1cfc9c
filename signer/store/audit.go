// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
)

// maxEvents is the longest page of Events.
const maxEvents = 1000

// Event is a recorded decision. Seq orders events; it has no gaps.
type Event struct {
	Seq int64 `json:"seq"`
	signer.AuditEvent
}

// EventQuery selects events: those after a Seq (exclusive), oldest first, at
// most Limit (0, or more than 1000: 1000), optionally of one artifact or one
// decision.
type EventQuery struct {
	After    int64
	Limit    int
	Digest   string
	Decision string
}

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
func (db *DB) Events(ctx context.Context, query EventQuery) ([]Event, error) {
	if query.Limit <= 0 || query.Limit > maxEvents {
		query.Limit = maxEvents
	}
	var events []Event
	err := db.reader(ctx).each(`SELECT seq, event FROM audit
		WHERE seq > ?1 AND (?2 = '' OR digest = ?2) AND (?3 = '' OR decision = ?3) ORDER BY seq LIMIT ?4`,
		[]any{query.After, query.Digest, query.Decision, query.Limit},
		func(scan func(...any) error) error {
			var ev Event
			var encoded string
			if err := scan(&ev.Seq, &encoded); err != nil {
				return err
			}
			events = append(events, ev)
			return json.Unmarshal([]byte(encoded), &events[len(events)-1].AuditEvent)
		})
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	return events, nil
}
