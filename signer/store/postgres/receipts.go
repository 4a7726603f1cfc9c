// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

const (
	sqlReceiptPage = `SELECT ` + store.ReceiptColumns + ` FROM receipts WHERE digest = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3`
	// sqlReceiptTypes looks each type up by itself, so that it reads no row of
	// another type, however many there are.
	sqlReceiptTypes = `SELECT ` + store.ReceiptColumns + ` FROM unnest($4::text[]) AS t (wanted) CROSS JOIN LATERAL (
			SELECT ` + store.ReceiptColumns + ` FROM receipts WHERE digest = $1 AND predicate_type = t.wanted AND seq < $2 ORDER BY seq DESC LIMIT $3) AS r
		ORDER BY seq DESC LIMIT $3`
	// sqlReceiptTypesOf steps from each type to the next in their index, so that it
	// reads as many rows as there are types.
	sqlReceiptTypesOf = `WITH RECURSIVE types (name) AS (
			SELECT min(predicate_type) FROM receipts WHERE digest = $1
			UNION ALL
			SELECT (SELECT min(predicate_type) FROM receipts WHERE digest = $1 AND predicate_type > types.name) FROM types WHERE types.name IS NOT NULL)
		SELECT name FROM types WHERE name IS NOT NULL LIMIT $2`
	sqlUnfinished = `SELECT seq, ` + store.OutlineColumns + ` FROM intents
		WHERE state IN ('recorded', 'signed') AND owner = $1 AND seq > $2 ORDER BY seq LIMIT $3`
)

// ReceiptPage implements signer.ReceiptReader.
func (db *DB) ReceiptPage(ctx context.Context, q signer.ReceiptQuery) ([]signer.ReceiptOutline, error) {
	query, args := sqlReceiptPage, []any{string(q.Digest), store.Before(q), q.Page()}
	if len(q.Types) > 0 {
		query, args = sqlReceiptTypes, append(args, distinct(q.Types))
	}
	rows, err := db.reads.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list receipts of %s: %w", q.Digest, hint(err))
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (signer.ReceiptOutline, error) {
		var r store.OutlineRow
		if err := row.Scan(r.Columns()...); err != nil {
			return signer.ReceiptOutline{}, err
		}
		return r.Receipt()
	})
	if err != nil {
		return nil, fmt.Errorf("list receipts of %s: %w", q.Digest, hint(err))
	}
	return page, nil
}

// ReceiptTypes implements signer.ReceiptReader.
func (db *DB) ReceiptTypes(ctx context.Context, digest attest.Digest) ([]string, error) {
	rows, err := db.reads.Query(ctx, sqlReceiptTypesOf, string(digest), signer.MaxReceiptTypes+1)
	if err != nil {
		return nil, fmt.Errorf("list types of receipts of %s: %w", digest, hint(err))
	}
	types, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list types of receipts of %s: %w", digest, hint(err))
	}
	return types, nil
}

// distinct leaves repetitions out, which would repeat rows.
func distinct(types []string) []string {
	sorted := slices.Clone(types)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Receipt implements signer.ReceiptReader.
func (db *DB) Receipt(ctx context.Context, id string) (r signer.Receipt, err error) {
	var encoded string
	var bundle []byte
	if err = db.finished(ctx, `SELECT receipt, bundle FROM intents WHERE id = $1 AND state = 'finished'`, id, &encoded, &bundle); err == nil {
		r, err = store.DecodeReceipt(encoded, bundle)
	}
	return r, store.IntentError("read receipt of", id, err)
}

// ReceiptBundle implements signer.ReceiptReader.
func (db *DB) ReceiptBundle(ctx context.Context, id string) (bundle []byte, err error) {
	err = db.finished(ctx, `SELECT bundle FROM intents WHERE id = $1 AND state = 'finished'`, id, &bundle)
	return bundle, store.IntentError("read bundle of", id, err)
}

// finished reads columns of one finished intent.
func (db *DB) finished(ctx context.Context, query, id string, into ...any) error {
	err := db.reads.QueryRow(ctx, query, id).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return signer.ErrNoIntent
	}
	return hint(err)
}

// Unfinished implements signer.Journal: it returns this process's intents. With
// the first page those of processes that are gone become this one's. Two
// processes that look at the same time take turns, so that each orphan has one
// taker.
func (db *DB) Unfinished(ctx context.Context, after int64) (page []signer.Intent, next int64, err error) {
	var last int64
	err = db.transact(ctx, func(tx pgx.Tx) error {
		if after == 0 {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(lockRecovery)); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, sqlAdopt, db.presence.id); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, sqlUnfinished, db.presence.id, after, store.MaxUnfinished)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (signer.Intent, error) {
			var in store.IntentRow
			if err := row.Scan(append([]any{&last}, in.Columns()...)...); err != nil {
				return signer.Intent{}, err
			}
			return in.Intent()
		})
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read unfinished intents: %w", err)
	}
	return page, store.NextPage(len(page), last), nil
}

// receiptChecks compare the list of receipts with the intents, for Damage. A
// backup of an older schema has no list.
func receiptChecks(schema int64) []string {
	const sinceReceipts = 6
	if schema < sinceReceipts {
		return nil
	}
	return []string{
		`SELECT format('intent %s: its receipt is not in the list of receipts', id) FROM intents i
			WHERE state = 'finished' AND NOT EXISTS (SELECT FROM receipts r WHERE r.id = i.id AND r.digest = i.digest AND r.predicate_type = i.predicate_type)`,
		`SELECT format('receipt %s: there is no finished intent of that name', id) FROM receipts r
			WHERE NOT EXISTS (SELECT FROM intents i WHERE i.id = r.id AND i.state = 'finished')`,
	}
}
