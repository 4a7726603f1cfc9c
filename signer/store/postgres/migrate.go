// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/hallmark-dev/hallmark/signer/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Advisory locks of the database, by what they are taken for. The numbers are
// any that other programs are unlikely to take in a database of ours: "hallmark"
// and one more byte.
const (
	lockSchema   = 0x68616c6c6d61_00 + iota // replicas that start together
	lockShards                              // logs are made, activated and frozen one at a time
	lockJournal                             // intents and audit events are numbered one at a time
	lockRecovery                            // orphaned intents are given to one process
	lockTails                               // the smallest spans of the index are made by one process
	lockMerges                              // and larger ones by one, too
)

// migrationSettings: a migration may rewrite a large table, and replicas that
// start together wait for it.
var migrationSettings = map[string]string{
	"statement_timeout": "0", "lock_timeout": "60s", "idle_in_transaction_session_timeout": "0", "enable_seqscan": "on",
}

// errNoSchema says that the database is there and Hallmark's tables are not.
var errNoSchema = fmt.Errorf("%w: no tables of Hallmark in it (hint: hallmark-server init makes them)", store.ErrNoDatabase)

// goal is what a caller wants of the schema before it is brought up to date.
type goal int

const (
	mustExist   goal = iota // store.ErrNoDatabase if there is none
	mustBeEmpty             // store.ErrExists if there is any table
	mayBeFresh              // as mustBeEmpty, but a schema that was never used will do
)

// latestSchema is the newest version that this program knows.
const latestSchema = -1

// migrate brings the schema up to a version. Processes that do so at the same
// time take turns.
func (c *connector) migrate(ctx context.Context, want goal, version int64) (err error) {
	config := c.config.ConnConfig.Copy()
	for name, value := range migrationSettings {
		config.RuntimeParams[name] = value
	}
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // the lock ends with the session
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(lockSchema)); err != nil {
		return fmt.Errorf("wait for another process that works on the schema: %w", err)
	}
	if err := check(ctx, lock, want); err != nil {
		return err
	}
	return up(ctx, db, version)
}

// check says whether the schema is what its caller wants.
func check(ctx context.Context, conn *sql.Conn, want goal) error {
	var tables, versions int
	err := conn.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE tablename = 'goose_db_version')
		FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`).Scan(&tables, &versions)
	if err != nil {
		return err
	}
	var applied sql.NullInt64
	if versions == 1 {
		err := conn.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&applied)
		if err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
	}
	made := applied.Int64 > 0
	// An init that was interrupted before its first table leaves goose's own.
	untouched := tables == 0 || tables == versions && !made
	switch {
	case want == mustExist && !made:
		return errNoSchema
	case want == mustExist, untouched:
		return nil
	case want == mayBeFresh && made:
		return unused(ctx, conn)
	}
	return fmt.Errorf("%w: it has %d tables (hint: use an empty database; an existing deployment is opened with serve)", store.ErrExists, tables)
}

// sqlUsed says whether a schema has ever been written to.
const sqlUsed = `SELECT EXISTS (SELECT FROM logs) OR EXISTS (SELECT FROM intents) OR EXISTS (SELECT FROM audit)`

func unused(ctx context.Context, conn *sql.Conn) error {
	var used bool
	err := conn.QueryRowContext(ctx, sqlUsed).Scan(&used)
	if err == nil && used {
		err = fmt.Errorf("%w: it is in use (hint: use an empty database)", store.ErrExists)
	}
	return err
}

// up runs the migrations that are missing up to a version.
func up(ctx context.Context, db *sql.DB, version int64) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	current, latest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version == latestSchema {
		version = latest
	}
	if err := known(max(current, version), latest); err != nil {
		return err
	}
	if current == version {
		return nil // a role that may not make tables can open what is up to date
	}
	if current > version {
		return fmt.Errorf("schema version %d is newer than the backup's, %d (hint: use an empty database)", current, version)
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		return fmt.Errorf("bring schema up to date: %w", err)
	}
	return nil
}

// newest is the version of the last migration that this program has.
func newest() (int64, error) {
	files, err := migrations.ReadDir("migrations") // sorted
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(files[len(files)-1].Name())
}

// known refuses a schema that a newer program has made.
func known(version, latest int64) error {
	if version > latest {
		return fmt.Errorf("schema version %d is newer than this program, which knows %d (hint: use the newer hallmark-server)", version, latest)
	}
	return nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
