// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

const (
	sqlReceiptPage = `SELECT ` + store.ReceiptColumns + ` FROM receipts WHERE digest = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3`
	// sqlReceiptTypes reads the index of types alone until it knows which rows are
	// wanted: however many of other types are between them.
	sqlReceiptTypes = `SELECT ` + store.ReceiptColumns + ` FROM receipts WHERE seq IN (
			SELECT seq FROM receipts INDEXED BY receipts_type
			WHERE digest = ?1 AND seq < ?2 AND predicate_type IN (SELECT value FROM json_each(?4)) ORDER BY seq DESC LIMIT ?3)
		ORDER BY seq DESC`
	// sqlReceiptTypesOf steps from each type to the next in their index, so that it
	// reads as many rows as there are types.
	sqlReceiptTypesOf = `WITH RECURSIVE types (name) AS (
			SELECT min(predicate_type) FROM receipts WHERE digest = ?1
			UNION ALL
			SELECT (SELECT min(predicate_type) FROM receipts WHERE digest = ?1 AND predicate_type > types.name) FROM types WHERE types.name IS NOT NULL)
		SELECT name FROM types WHERE name IS NOT NULL LIMIT ?2`
	sqlUnfinished = `SELECT seq, ` + store.OutlineColumns + ` FROM intents WHERE state IN ('recorded', 'signed') AND seq > ? ORDER BY seq LIMIT ?`
)

// keepOutline adds a receipt to the list of them.
func (t *tx) keepOutline(id string, row store.OutlineRow) error {
	return t.one(`INSERT INTO receipts (id, digest, predicate_type, finished, size, outline)
		SELECT id, digest, predicate_type, ?, ?, ? FROM intents WHERE id = ?`, row.Finished, row.Size, row.Outline, id)
}

// ReceiptPage implements signer.ReceiptReader.
func (db *DB) ReceiptPage(ctx context.Context, q signer.ReceiptQuery) ([]signer.ReceiptOutline, error) {
	query, args := sqlReceiptPage, []any{string(q.Digest), store.Before(q), q.Page()}
	if len(q.Types) > 0 {
		types, err := json.Marshal(q.Types)
		if err != nil {
			return nil, fmt.Errorf("list receipts of %s: %w", q.Digest, err)
		}
		query, args = sqlReceiptTypes, append(args, string(types))
	}
	var page []signer.ReceiptOutline
	err := db.read(ctx, func(r queryer) error {
		return r.each(query, args, func(scan func(...any) error) error {
			var row store.OutlineRow
			if err := scan(row.Columns()...); err != nil {
				return err
			}
			outline, err := row.Receipt()
			page = append(page, outline)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list receipts of %s: %w", q.Digest, err)
	}
	return page, nil
}

// ReceiptTypes implements signer.ReceiptReader.
func (db *DB) ReceiptTypes(ctx context.Context, digest attest.Digest) (types []string, err error) {
	err = db.read(ctx, func(q queryer) error {
		return q.each(sqlReceiptTypesOf, []any{string(digest), signer.MaxReceiptTypes + 1}, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			types = append(types, name)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list types of receipts of %s: %w", digest, err)
	}
	return types, nil
}

// Receipt implements signer.ReceiptReader.
func (db *DB) Receipt(ctx context.Context, id string) (r signer.Receipt, err error) {
	var encoded string
	var bundle []byte
	if err = db.finished(ctx, `SELECT receipt, bundle FROM intents WHERE id = ? AND state = 'finished'`, id, &encoded, &bundle); err == nil {
		r, err = store.DecodeReceipt(encoded, bundle)
	}
	return r, store.IntentError("read receipt of", id, err)
}

// ReceiptBundle implements signer.ReceiptReader.
func (db *DB) ReceiptBundle(ctx context.Context, id string) (bundle []byte, err error) {
	err = db.finished(ctx, `SELECT bundle FROM intents WHERE id = ? AND state = 'finished'`, id, &bundle)
	return bundle, store.IntentError("read bundle of", id, err)
}

// finished reads columns of one finished intent.
func (db *DB) finished(ctx context.Context, query, id string, into ...any) error {
	found := false
	err := db.read(ctx, func(q queryer) error {
		return q.each(query, []any{id}, func(scan func(...any) error) error {
			found = true
			return scan(into...)
		})
	})
	if err == nil && !found {
		err = signer.ErrNoIntent
	}
	return err
}

// Unfinished implements signer.Journal.
func (db *DB) Unfinished(ctx context.Context, after int64) (page []signer.Intent, next int64, err error) {
	var last int64
	err = db.read(ctx, func(q queryer) error {
		return q.each(sqlUnfinished, []any{after, store.MaxUnfinished}, func(scan func(...any) error) error {
			var row store.IntentRow
			if err := scan(append([]any{&last}, row.Columns()...)...); err != nil {
				return err
			}
			in, err := row.Intent()
			page = append(page, in)
			return err
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read unfinished intents: %w", err)
	}
	return page, store.NextPage(len(page), last), nil
}

// receiptDamage compares the list of receipts with the intents. A backup of an
// older schema has no list.
func (db *DB) receiptDamage(ctx context.Context) (problems []string, err error) {
	const sinceReceipts = 6
	var schema int64
	err = db.read(ctx, func(q queryer) error {
		err := q.each(`SELECT max(version_id) FROM goose_db_version`, nil, func(scan func(...any) error) error { return scan(&schema) })
		if err != nil || schema < sinceReceipts {
			return err
		}
		return q.each(`SELECT 'intent ' || id || ': its receipt is not in the list of receipts' FROM intents i
				WHERE state = 'finished' AND NOT EXISTS (SELECT 1 FROM receipts r WHERE r.id = i.id AND r.digest = i.digest AND r.predicate_type = i.predicate_type)
			UNION ALL SELECT 'receipt ' || id || ': there is no finished intent of that name' FROM receipts r
				WHERE NOT EXISTS (SELECT 1 FROM intents i WHERE i.id = r.id AND i.state = 'finished') LIMIT ?`, []any{maxDamage},
			func(scan func(...any) error) error {
				var line string
				err := scan(&line)
				problems = append(problems, line)
				return err
			})
	})
	return problems, err
}
