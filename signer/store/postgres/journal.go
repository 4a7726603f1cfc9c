// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// A transaction of the journal that numbers a row goes to the server in one
// piece, so that the lock under which rows are numbered is held for one commit
// and no round trip. A sequence would leave gaps, and show readers a number
// before the smaller one of a slower commit.
const (
	sqlNumber = `SELECT pg_advisory_xact_lock($1)`
	// sqlRecorded inserts an intent, unless there is one of its request key or
	// the use of its token is not counted, and the event only with it.
	sqlRecorded = `WITH made AS (
			INSERT INTO intents (seq, id, request_key, state, owner, created, action, digest, predicate_type, document, statement)
			SELECT coalesce(max(seq), 0) + 1, $1, $2, 'recorded', $3, $4, $5, $6, $7, $8, $9 FROM intents HAVING ` + sqlCounted + `
			ON CONFLICT (request_key) WHERE state <> 'void' DO NOTHING RETURNING 1)
		INSERT INTO audit (seq, time, decision, digest, event)
		SELECT (SELECT coalesce(max(seq), 0) + 1 FROM audit), $10, $11, $12, $13 FROM made`
	sqlSigned = `UPDATE intents SET state = 'signed', signature = $2, certificate = $3, timestamp = $4, more = $5
		WHERE id = $1 AND state = 'recorded'`
	sqlFinished = `WITH done AS (
			UPDATE intents SET state = 'finished', receipt = $2, bundle = $3 WHERE id = $1 AND state = 'signed'
			RETURNING id, digest, predicate_type),
		kept AS (
			INSERT INTO receipts (seq, id, digest, predicate_type, finished, size, outline)
			SELECT (SELECT coalesce(max(seq), 0) + 1 FROM receipts), id, digest, predicate_type, $4, $5, $6 FROM done)
		INSERT INTO audit (seq, time, decision, digest, event)
		SELECT (SELECT coalesce(max(seq), 0) + 1 FROM audit), $7, $8, $9, $10 FROM done`
	sqlVoided = `WITH done AS (
			UPDATE intents SET state = 'void' WHERE id = $1 AND state = 'recorded' RETURNING 1)
		INSERT INTO audit (seq, time, decision, digest, event)
		SELECT (SELECT coalesce(max(seq), 0) + 1 FROM audit), $2, $3, $4, $5 FROM done`
	// sqlAdopt makes an intent ours whose process is gone.
	sqlAdopt = `UPDATE intents SET owner = $1 WHERE state IN ('recorded', 'signed') AND owner <> $1 AND ` + absent
)

// Begin implements signer.Journal. An intent of another process that is gone
// becomes this one's, because its caller goes on with it.
func (db *DB) Begin(ctx context.Context, in signer.Intent, use signer.TokenUse, ev signer.AuditEvent) (stored signer.Intent, created bool, err error) {
	doc, err := store.EncodeDocument(in)
	if err == nil {
		err = store.CheckTokenUse(use)
	}
	if err != nil {
		return signer.Intent{}, false, err
	}
	event, err := eventColumns(ev)
	if err != nil {
		return signer.Intent{}, false, err
	}
	if db.writes == nil {
		return signer.Intent{}, false, fmt.Errorf("record intent: %w", errReadOnly)
	}
	args := append([]any{in.ID, in.RequestKey, db.presence.id, in.Created.UnixNano(), string(in.Action),
		string(in.Artifact.Digest), in.PredicateType, doc, store.NotNull(in.Statement)}, event...)
	args = append(args, use.Token[:], use.Holder[:])
	var n int64
	var refused error
	var live []signer.Intent
	err = db.numbered(ctx, func(b *pgx.Batch) {
		queueUse(b, use, in.RequestKey, &refused)
		b.Queue(sqlRecorded, args...).Exec(count(&n))
		b.Queue(sqlAdopt+` AND request_key = $2`, db.presence.id, in.RequestKey)
		b.Queue(sqlIntents+`request_key = $1 AND state <> 'void'`, in.RequestKey).Query(func(rows pgx.Rows) (err error) {
			live, err = pgx.CollectRows(rows, scanIntent)
			return err
		})
	})
	if err == nil {
		stored, err = begun(live, refused)
	}
	if err != nil {
		return signer.Intent{}, false, fmt.Errorf("record intent: %w", err)
	}
	return stored, n == 1, nil
}

// begun returns the live intent of a request, which its token may have whatever
// it was used for before, as long as the token itself is not refused.
func begun(live []signer.Intent, refused error) (signer.Intent, error) {
	var replayed *signer.Replayed
	exhausted := errors.As(refused, &replayed) && replayed.Reason == signer.ReplayExhausted
	switch {
	case refused != nil && !(exhausted && len(live) == 1):
		return signer.Intent{}, refused
	case len(live) != 1:
		return signer.Intent{}, fmt.Errorf("%d intents of one request", len(live))
	}
	return live[0], nil
}

// Sign implements signer.Journal.
func (db *DB) Sign(ctx context.Context, id string, s signer.Signed) error {
	more, err := store.EncodeMore(s)
	if err != nil {
		return store.IntentError("sign", id, err)
	}
	conn, err := db.writer(ctx)
	if err != nil {
		return store.IntentError("sign", id, hint(err))
	}
	defer conn.Release()
	tag, err := conn.Exec(ctx, sqlSigned, id, store.NotNull(s.Signature), store.NotNull(s.Certificate), store.NotNull(s.Timestamp), more)
	if err == nil && tag.RowsAffected() != 1 {
		err = signer.ErrNoIntent
	}
	return store.IntentError("sign", id, hint(err))
}

// Finish implements signer.Journal.
func (db *DB) Finish(ctx context.Context, id string, r signer.Receipt, ev signer.AuditEvent) error {
	receipt, err := store.EncodeReceipt(r)
	if err != nil {
		return store.IntentError("finish", id, err)
	}
	row, err := store.EncodeOutline(r, ev.Time)
	if err != nil {
		return store.IntentError("finish", id, err)
	}
	return store.IntentError("finish", id, db.end(ctx, sqlFinished, ev, id, receipt, store.NotNull(r.Bundle), row.Finished, row.Size, row.Outline))
}

// Void implements signer.Journal.
func (db *DB) Void(ctx context.Context, id string, ev signer.AuditEvent) error {
	return store.IntentError("void", id, db.end(ctx, sqlVoided, ev, id))
}

// end runs an update that must find its intent, with its event.
func (db *DB) end(ctx context.Context, sql string, ev signer.AuditEvent, args ...any) error {
	event, err := eventColumns(ev)
	if err != nil {
		return err
	}
	var n int64
	err = db.numbered(ctx, func(b *pgx.Batch) { b.Queue(sql, append(args, event...)...).Exec(count(&n)) })
	if err == nil && n != 1 {
		err = signer.ErrNoIntent
	}
	return err
}

// numbered runs statements in a transaction that may number rows, in one round
// trip. If one of them fails the server skips the rest, COMMIT included.
func (db *DB) numbered(ctx context.Context, queue func(*pgx.Batch)) error {
	conn, err := db.writer(ctx)
	if err != nil {
		return hint(err)
	}
	defer conn.Release() // closes it if it is still in the transaction, which ends it
	b := new(pgx.Batch)
	b.Queue(sqlBegin)
	b.Queue(sqlNumber, int64(lockJournal))
	queue(b)
	b.Queue(sqlCommit)
	return hint(conn.SendBatch(ctx, b).Close())
}

// Intent returns the intent of an id in whatever state, void ones too.
// signer.ErrNoIntent if there never was one.
func (db *DB) Intent(ctx context.Context, id string) (signer.Intent, error) {
	found, err := db.intents(ctx, `id = $1`, id)
	if err == nil && len(found) == 0 {
		err = signer.ErrNoIntent
	}
	if err != nil {
		return signer.Intent{}, fmt.Errorf("read intent %s: %w", id, err)
	}
	return found[0], nil
}

const sqlIntents = `SELECT ` + store.IntentColumns + ` FROM intents WHERE `

// intents reads the intents that a constant condition selects.
func (db *DB) intents(ctx context.Context, where string, args ...any) ([]signer.Intent, error) {
	rows, err := db.reads.Query(ctx, sqlIntents+where, args...)
	if err != nil {
		return nil, hint(err)
	}
	found, err := pgx.CollectRows(rows, scanIntent)
	return found, hint(err)
}

func scanIntent(row pgx.CollectableRow) (signer.Intent, error) {
	var in store.IntentRow
	if err := row.Scan(in.Columns()...); err != nil {
		return signer.Intent{}, err
	}
	return in.Intent()
}
