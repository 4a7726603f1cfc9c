// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// What tests look at or do that the service never does.
const (
	SQLFind   = sqlFind
	SQLOldest = sqlHits
	SQLForget = sqlForget
	SQLUse    = sqlUse
	SQLJudge  = sqlJudge

	SQLReceiptPage    = sqlReceiptPage
	SQLReceiptTypes   = sqlReceiptTypes
	SQLReceiptTypesOf = sqlReceiptTypesOf

	SpanEntries  = spanEntries
	FanOut       = fanOut
	HoldTimeout  = 2500 * time.Millisecond // idle_in_transaction_session_timeout
	LostPresence = presenceRetry
)

// Tables are those of a backup.
func Tables() []string { return tables(math.MaxInt64) }

// Settings are those of every connection that choose plans.
func Settings() map[string]string {
	plans := map[string]string{}
	for _, name := range []string{"enable_seqscan", "enable_memoize", "plan_cache_mode", "jit"} {
		plans[name] = settings()[name]
	}
	return plans
}

// Show reads a setting of a writing connection.
func (db *DB) Show(ctx context.Context, name string) (value string, err error) {
	conn, err := db.writer(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Release()
	err = conn.QueryRow(ctx, "SHOW "+name).Scan(&value)
	return value, err
}

// Presence is the id that this process is known by.
func (db *DB) Presence() int64 { return db.presence.id }

// Fold makes all spans that can be made, and returns how many there are at each
// level.
func (db *DB) Fold(ctx context.Context) (levels map[int]int, err error) {
	logs, err := db.allLogs(ctx)
	if err != nil {
		return nil, err
	}
	for i := range logs {
		for _, step := range []func(context.Context, int64) (bool, error){db.folder.foldTail, db.folder.merge} {
			for more := true; more; {
				if more, err = step(ctx, logs[i].id); err != nil {
					return nil, err
				}
			}
		}
	}
	levels = map[int]int{}
	rows, err := db.reads.Query(ctx, `SELECT level FROM spans`)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int])
	for _, level := range found {
		levels[level]++
	}
	return levels, err
}

// BackupOld makes an older schema in an empty database and backs it up, as an
// older program would.
func BackupOld(ctx context.Context, cfg Config, version int64, file string) error {
	c, err := newConnector(cfg)
	if err != nil {
		return err
	}
	if err := c.migrate(ctx, mustBeEmpty, version); err != nil {
		return err
	}
	db := new(DB)
	if db.reads, err = c.pool(ctx, readOnly, maxReads); err != nil {
		return err
	}
	defer db.reads.Close()
	return db.Backup(ctx, file)
}

// MakeOld makes an older schema in an empty database, as an older program would.
func MakeOld(ctx context.Context, cfg Config, version int64) error {
	c, err := newConnector(cfg)
	if err != nil {
		return err
	}
	return c.migrate(ctx, mustBeEmpty, version)
}
