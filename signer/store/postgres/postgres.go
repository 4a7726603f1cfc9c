// SPDX-License-Identifier: Apache-2.0

// Package postgres keeps a store in a PostgreSQL database (15 or newer), for
// any number of processes.
//
// Create makes the schema in an empty database and Open opens it; a database
// without the schema is an error. Processes share nothing but the database: a
// log's row is the lock of whoever appends to it (commit.go), a request has one
// intent whoever takes it up (journal.go), and what a process that died was
// working on is found by the lock that it held (presence.go).
//
// Whatever the server's defaults are, a transaction is read committed, its
// commit waits for the server's disk, and neither a lock, a statement nor a
// client that went silent in the middle of a transaction lasts for ever
// (connect.go). Pooling proxies that hand one connection to several clients are
// not supported: locks and prepared statements belong to a connection.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/hallmark-dev/hallmark/signer/store"
)

// A process opens 12 connections at most: those of three replicas are a third of
// what PostgreSQL allows by default. Of the two beside these pools one says that
// the process lives (presence.go), one has its turns (turns.go).
const (
	maxWrites = 5
	maxReads  = 5
)

// Config says where the database is.
type Config struct {
	// URL is postgres://user@host/database?sslmode=verify-full, without a
	// password. TLS is verified unless sslmode says otherwise. Hosts may be a
	// list, of which the first that is a primary is taken. Whatever else
	// libpq understands in a URL works here: sslrootcert, connect_timeout, …
	URL string
	// Password of the user; empty for peer or certificate authentication.
	Password string
	// Logger is told about connections that were lost; nil means silence.
	Logger *slog.Logger
}

// DB is an open database. It keeps connections for writing apart from those for
// reading, so that no number of slow searches keeps an entry from being logged.
type DB struct {
	writes   *pgxpool.Pool // nil if read only
	reads    *pgxpool.Pool
	presence *presence // nil if read only
	turns    *turns    // nil if read only
	folder   *folder   // nil if read only
	secret   [32]byte
	logs     logIDs

	closed  atomic.Bool
	closing sync.Once
}

var _ store.Database = (*DB)(nil)

// Create makes the schema in an empty database and opens it. store.ErrExists if
// the database has tables: it never overwrites, and shares with nobody.
func Create(ctx context.Context, cfg Config) (*DB, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.migrate(ctx, mustBeEmpty, latestSchema); err != nil {
		return nil, c.explain("make the schema in", err)
	}
	return c.open(ctx)
}

// Open opens a database and brings its schema up to date. It never makes one:
// store.ErrNoDatabase if there is none.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	return c.open(ctx)
}

func (c *connector) open(ctx context.Context) (*DB, error) {
	db := new(DB)
	if err := db.open(ctx, c); err != nil {
		return nil, c.explain("open", errors.Join(err, db.Close()))
	}
	return db, nil
}

// OpenReadOnly opens a database for reading, for checks, reports and backups.
// Writes fail.
func OpenReadOnly(ctx context.Context, cfg Config) (*DB, error) {
	c, err := newConnector(cfg)
	if err != nil {
		return nil, err
	}
	c.config.ConnConfig.ValidateConnect = nil // a standby will do
	db := new(DB)
	if err := db.openReads(ctx, c); err != nil {
		return nil, c.explain("open", errors.Join(err, db.Close()))
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, c *connector) error {
	err := db.openReads(ctx, c)
	if errors.Is(err, errOlder) {
		db.reads.Close()
		if err := c.migrate(ctx, mustExist, latestSchema); err != nil {
			return err
		}
		err = db.openReads(ctx, c)
	}
	if err != nil {
		return err
	}
	if db.writes, err = c.pool(ctx, readWrite, maxWrites); err != nil {
		return err
	}
	if db.presence, err = c.present(ctx); err != nil {
		return err
	}
	db.turns = newTurns(c)
	db.folder = newFolder(db.writes, c.logger)
	return db.foldAll(ctx)
}

func (db *DB) openReads(ctx context.Context, c *connector) error {
	var err error
	if db.reads, err = c.pool(ctx, readOnly, maxReads); err != nil {
		return err
	}
	if err := db.checkServer(ctx); err != nil {
		return err
	}
	if err := db.checkSchema(ctx); err != nil {
		return err
	}
	var secret []byte
	err = db.reads.QueryRow(ctx, `SELECT index_key FROM secret`).Scan(&secret)
	if err == nil && len(secret) != len(db.secret) {
		err = fmt.Errorf("index key has %d bytes", len(secret))
	}
	copy(db.secret[:], secret)
	return err
}

// checkServer refuses a server that does not keep what it says it has written.
func (db *DB) checkServer(ctx context.Context) error {
	for _, setting := range []string{"fsync", "full_page_writes"} {
		var value string
		if err := db.reads.QueryRow(ctx, "SHOW "+setting).Scan(&value); err != nil {
			return err
		}
		if value != "on" {
			return fmt.Errorf("the server runs with %s=%s and would lose or tear acknowledged log entries in a power cut (hint: set it to on)", setting, value)
		}
	}
	return nil
}

// errOlder says that migrations are missing.
var errOlder = errors.New("the schema is older than this program's")

// checkSchema refuses a schema of another version than this program's.
func (db *DB) checkSchema(ctx context.Context) error {
	var version *int64
	err := db.reads.QueryRow(ctx, sqlSchema).Scan(&version)
	if missing(err) || err == nil && (version == nil || *version == 0) {
		return errNoSchema
	}
	if err != nil {
		return err
	}
	latest, err := newest()
	if err != nil {
		return err
	}
	if *version < latest {
		return fmt.Errorf("%w: it is %d, this program's is %d (hint: hallmark-server serve brings it up to date)", errOlder, *version, latest)
	}
	return known(*version, latest)
}

// Close waits for writes under way and closes the database. Further calls do
// nothing.
func (db *DB) Close() error {
	db.closed.Store(true)
	db.closing.Do(func() {
		if db.folder != nil {
			db.folder.close()
		}
		if db.writes != nil {
			db.writes.Close()
		}
		if db.turns != nil {
			db.turns.close()
		}
		if db.presence != nil {
			db.presence.close()
		}
		if db.reads != nil {
			db.reads.Close()
		}
	})
	return nil
}

// errReadOnly is what writes get from OpenReadOnly.
var errReadOnly = errors.New("database is open for reading only")

// writer returns a connection for a transaction. Its caller releases it; one
// that is still in a transaction then is closed, which ends the transaction.
func (db *DB) writer(ctx context.Context) (*pgxpool.Conn, error) {
	if db.writes == nil {
		return nil, errReadOnly
	}
	if db.closed.Load() {
		return nil, store.ErrClosed
	}
	return db.writes.Acquire(ctx)
}
