// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/store"
)

// maxDamage bounds how many problems of one kind are told.
const maxDamage = 100

// checkSettings make the look-ups of a check go through the indexes that are to
// be checked.
const checkSettings = `SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off`

// checks return a sentence for every problem. What a log's tree says about its
// entries is checked by fsck.
func checks() []string {
	return []string{
		`SELECT format('log %s: it has size %s, and %s entries, %s to %s', l.name, l.size, e.n, e.lo, e.hi) FROM logs l
			CROSS JOIN LATERAL (SELECT count(*) AS n, min(id) - (l.id << 40) AS lo, max(id) - (l.id << 40) AS hi
				FROM entries WHERE id >= l.id << 40 AND id < (l.id + 1) << 40) AS e
			WHERE e.n <> l.size OR (l.size > 0 AND (e.lo <> 0 OR e.hi <> l.size - 1))`,
		`SELECT format('entry %s of log %s: it is not in the index of leaves', id & (1::bigint << 40) - 1, id >> 40) FROM entries e
			WHERE NOT EXISTS (SELECT FROM entries i WHERE (i.id >> 40)::integer = (e.id >> 40)::integer AND i.leaf = e.leaf AND i.id = e.id)`,
		// Spans stand side by side from the beginning of each log.
		`SELECT format('search index of log %s: a span begins at entry %s, the one before it ends at %s',
				first >> 40, first & (1::bigint << 40) - 1, before & (1::bigint << 40) - 1)
			FROM (SELECT first, coalesce(lag(until) OVER (PARTITION BY first >> 40 ORDER BY first, level), first >> 40 << 40) AS before
				FROM spans) AS s WHERE first <> before`,
		// And have the pairs of their entries, no other and no fewer.
		`SELECT format('search index of log %s: the span from entry %s does not say what its entries say', s.first >> 40, s.first & (1::bigint << 40) - 1)
			FROM spans s
			CROSS JOIN LATERAL (SELECT count(*) AS n, sum(hashint8extended(k, e.id)::numeric) AS h
				FROM entries e CROSS JOIN LATERAL unnest(e.keys) AS k WHERE e.id >= s.first AND e.id < s.until) AS want
			CROSS JOIN LATERAL (SELECT count(*) AS n, sum(hashint8extended(p.k, p.e)::numeric) AS h
				FROM span_keys r CROSS JOIN LATERAL unnest(r.keys, r.entries) AS p (k, e) WHERE r.first = s.first AND r.level = s.level) AS have
			WHERE want.n <> have.n OR want.h <> have.h`,
		`SELECT format('audit: %s events, numbered up to %s', count(*), max(seq)) FROM audit HAVING count(*) <> coalesce(max(seq), 0)`,
		`SELECT format('intent %s: state %s, but not what belongs to it', id, state) FROM intents
			WHERE (state IN ('signed', 'finished')) <> (signature IS NOT NULL) OR (state = 'finished') <> (receipt IS NOT NULL)`,
	}
}

// Damage implements store.Database: it has the server read everything and
// compares what is kept twice.
func (db *DB) Damage(ctx context.Context) (problems []string, err error) {
	err = db.snapshot(ctx, func(conn *pgx.Conn) (err error) {
		problems, err = damage(ctx, conn)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check the database: %w", err)
	}
	return problems, nil
}

// damage runs the checks in a transaction. A table or index too broken to be
// read is damage too, and ends the transaction.
func damage(ctx context.Context, conn *pgx.Conn) (problems []string, err error) {
	if _, err := conn.Exec(ctx, checkSettings, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, err
	}
	var schema int64
	if err := conn.QueryRow(ctx, sqlSchema).Scan(&schema); err != nil {
		return nil, err
	}
	found, err := badLeaves(ctx, conn)
	problems = append(problems, found...)
	for _, sql := range append(checks(), receiptChecks(schema)...) {
		if err != nil {
			break
		}
		var rows pgx.Rows
		if rows, err = conn.Query(ctx, fmt.Sprintf(`%s LIMIT %d`, sql, maxDamage)); err == nil {
			found, err = pgx.CollectRows(rows, pgx.RowTo[string])
			problems = append(problems, found...)
		}
	}
	if strings.HasPrefix(code(err), corrupt) {
		return append(problems, "database: "+err.Error()), nil
	}
	return problems, err
}

// badLeaves compares entries with their leaf hashes. Every page of both is
// read, and with checksums of pages (initdb --data-checksums) checked by the
// server itself.
func badLeaves(ctx context.Context, conn *pgx.Conn) (problems []string, err error) {
	var (
		id           int64
		leaf, packed []byte
	)
	rows, err := conn.Query(ctx, `SELECT id, leaf, body FROM entries`)
	if err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&id, &leaf, &packed}, func() error {
		body, err := store.UnpackBody(packed)
		if hash := merkle.RecordHash(body); err == nil && bytes.Equal(hash[:], leaf) {
			return nil
		}
		if len(problems) < maxDamage {
			problems = append(problems, fmt.Sprintf("entry %d of log %d: its leaf hash is not that of its body", id&(1<<indexBits-1), id>>indexBits))
		}
		return nil
	})
	return problems, err
}
