// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// Uses of tokens are counted under the lock that numbers intents, so that no two
// replicas count at the same time, and each statement sees what the others have
// committed.
const (
	// sqlClock moves the clock of tokens. A clock that is ahead, the server's or
	// a replica's, must not have all tokens refused: the earlier of the two
	// counts, and a replica comes here only with a token that it finds valid.
	sqlClock = `INSERT INTO token_clock (id, time) VALUES (1, least($1::bigint, extract(epoch FROM now())::bigint))
		ON CONFLICT (id) DO UPDATE SET time = excluded.time WHERE excluded.time >= token_clock.time + $2`
	sqlForget = `DELETE FROM token_uses WHERE (token, request) IN (
		SELECT token, request FROM token_uses WHERE until < (SELECT time FROM token_clock WHERE id = 1) ORDER BY until LIMIT $1)`
	// sqlUse counts a use that may be counted, unless its request has an intent
	// that is not void.
	sqlUse = `INSERT INTO token_uses (token, request, holder, until)
		SELECT $1, $2, $3, $4 WHERE $4 >= (SELECT coalesce(max(time), 0) FROM token_clock)
			AND NOT EXISTS (SELECT FROM token_uses WHERE token = $1 AND holder <> $3)
			AND (SELECT count(*) FROM token_uses WHERE token = $1) < $5
			AND NOT EXISTS (SELECT FROM intents WHERE request_key = $2 AND state <> 'void')
		ON CONFLICT DO NOTHING`
	sqlJudge = `SELECT (SELECT coalesce(max(time), 0) FROM token_clock), count(*),
		count(*) FILTER (WHERE request = $2), count(*) FILTER (WHERE holder <> $3) FROM token_uses WHERE token = $1`
	// sqlCounted is a condition of sqlRecorded: the use of token $14 by holder
	// $15 for request $2 is counted.
	sqlCounted = `EXISTS (SELECT FROM token_uses WHERE token = $14 AND request = $2 AND holder = $15
		AND until >= (SELECT coalesce(max(time), 0) FROM token_clock))`
)

// queueUse counts a use, or sets refused to why it may not be.
func queueUse(b *pgx.Batch, use signer.TokenUse, request string, refused *error) {
	b.Queue(sqlClock, use.Now.Unix(), store.TokenClockStep)
	b.Queue(sqlForget, store.TokenPrune)
	b.Queue(sqlUse, use.Token[:], request, use.Holder[:], use.Until.Unix(), use.Most)
	b.Queue(sqlJudge, use.Token[:], request, use.Holder[:]).QueryRow(func(row pgx.Row) error {
		var clock, requests, thisOne, others int64
		if err := row.Scan(&clock, &requests, &thisOne, &others); err != nil {
			return err
		}
		*refused = store.TokenVerdict(use, clock, requests, thisOne, others)
		return nil
	})
}

// UseToken implements store.Database.
func (db *DB) UseToken(ctx context.Context, use signer.TokenUse, request string) error {
	if err := store.CheckTokenUse(use); err != nil {
		return err
	}
	var refused error
	if err := db.numbered(ctx, func(b *pgx.Batch) { queueUse(b, use, request, &refused) }); err != nil {
		return fmt.Errorf("count the use of a token: %w", err)
	}
	return refused
}
