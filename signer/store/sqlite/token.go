// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

// UseToken implements store.Database.
func (db *DB) UseToken(ctx context.Context, use signer.TokenUse, request string) error {
	err := store.CheckTokenUse(use)
	if err != nil {
		return err
	}
	var refused error
	err = db.write(ctx, func(t *tx) error {
		counted, verdict, err := t.judge(use, request)
		if refused = verdict; err != nil || verdict != nil || counted {
			return err
		}
		return t.count(use, request)
	})
	if err != nil {
		return fmt.Errorf("count the use of a token: %w", err)
	}
	return refused
}

// judge moves the clock, removes some of what it has passed, and says whether
// the use is counted already, or why it must not be. A verdict is no error: what
// was removed stays removed.
func (t *tx) judge(use signer.TokenUse, request string) (counted bool, verdict, err error) {
	if err := t.forget(use.Now.Unix()); err != nil {
		return false, nil, err
	}
	var clock, requests, thisOne, others int64
	err = t.query().each(`SELECT coalesce((SELECT time FROM token_clock), 0), count(*),
		count(*) FILTER (WHERE request = ?2), count(*) FILTER (WHERE holder <> ?3) FROM token_uses WHERE token = ?1`,
		[]any{use.Token[:], request, use.Holder[:]},
		func(scan func(...any) error) error { return scan(&clock, &requests, &thisOne, &others) })
	if err != nil {
		return false, nil, err
	}
	return thisOne > 0, store.TokenVerdict(use, clock, requests, thisOne, others), nil
}

// forget moves the clock to now, if it is behind, and removes some uses that it
// has passed.
func (t *tx) forget(now int64) error {
	err := t.exec(`INSERT INTO token_clock (id, time) VALUES (1, ?1)
		ON CONFLICT (id) DO UPDATE SET time = excluded.time WHERE excluded.time >= time + ?2`, now, store.TokenClockStep)
	if err != nil {
		return err
	}
	return t.exec(`DELETE FROM token_uses WHERE (token, request) IN (
		SELECT token, request FROM token_uses WHERE until < (SELECT time FROM token_clock WHERE id = 1) ORDER BY until LIMIT ?)`, store.TokenPrune)
}

func (t *tx) count(use signer.TokenUse, request string) error {
	return t.exec(`INSERT INTO token_uses (token, request, holder, until) VALUES (?, ?, ?, ?)`,
		use.Token[:], request, use.Holder[:], use.Until.Unix())
}
