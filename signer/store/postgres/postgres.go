// SPDX-License-Identifier: Apache-2.0

// Package postgres keeps a store in a PostgreSQL database (15 or newer), for
// any number of processes.
package postgres

import (
	"context"
	"log/slog"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Config says where the database is.
type Config struct {
	// URL is postgres://user@host/database?sslmode=verify-full, without a
	// password.
	URL string
	// Password of the user; empty for peer or certificate authentication.
	Password string
	// MaxConns bounds the connections of this process; zero means the default.
	MaxConns int
	// Logger is told about connections that were lost; nil means silence.
	Logger *slog.Logger
}

// DB is an open database.
type DB struct{}

var _ store.Database = (*DB)(nil)

// Create makes the schema in an empty database and opens it. store.ErrExists
// if the database has tables.
func Create(ctx context.Context, cfg Config) (*DB, error) { panic("unwritten") }

// Open opens a database and brings its schema up to date. It never makes one:
// store.ErrNoDatabase if there is none.
func Open(ctx context.Context, cfg Config) (*DB, error) { panic("unwritten") }

// OpenReadOnly opens a database for reading. Writes fail.
func OpenReadOnly(ctx context.Context, cfg Config) (*DB, error) { panic("unwritten") }

// Restore fills an empty database from a backup. store.ErrExists if the
// database has anything in it.
func Restore(ctx context.Context, backup string, cfg Config) error { panic("unwritten") }

// Close waits for writes under way and closes the database.
func (db *DB) Close() error { panic("unwritten") }

// CreateLog implements tlog.Storage.
func (db *DB) CreateLog(ctx context.Context, row tlog.LogRow) error { panic("unwritten") }

// Log implements tlog.Storage.
func (db *DB) Log(ctx context.Context, name string) (tlog.LogRow, error) { panic("unwritten") }

// Logs implements tlog.Storage.
func (db *DB) Logs(ctx context.Context) ([]tlog.LogRow, error) { panic("unwritten") }

// Activate implements tlog.Storage.
func (db *DB) Activate(ctx context.Context, name string) error { panic("unwritten") }

// Freeze implements tlog.Storage.
func (db *DB) Freeze(ctx context.Context, name string) error { panic("unwritten") }

// Commit implements tlog.Storage.
func (db *DB) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	panic("unwritten")
}

// Find implements tlog.Storage.
func (db *DB) Find(ctx context.Context, log string, leaves []tlog.Hash) (map[tlog.Hash]tlog.Place, error) {
	panic("unwritten")
}

// Entries implements tlog.Storage.
func (db *DB) Entries(ctx context.Context, log string, from, to int64) ([]tlog.Entry, error) {
	panic("unwritten")
}

// Tiles implements tlog.Storage.
func (db *DB) Tiles(ctx context.Context, log string, ids []tlog.TileID) ([][]byte, error) {
	panic("unwritten")
}

// Search implements tlog.Storage.
func (db *DB) Search(ctx context.Context, q tlog.Query) ([]tlog.Position, error) { panic("unwritten") }

// Begin implements signer.Journal.
func (db *DB) Begin(ctx context.Context, in signer.Intent, ev signer.AuditEvent) (stored signer.Intent, created bool, err error) {
	panic("unwritten")
}

// Sign implements signer.Journal.
func (db *DB) Sign(ctx context.Context, id string, s signer.Signed) error { panic("unwritten") }

// Finish implements signer.Journal.
func (db *DB) Finish(ctx context.Context, id string, r signer.Receipt, ev signer.AuditEvent) error {
	panic("unwritten")
}

// Void implements signer.Journal.
func (db *DB) Void(ctx context.Context, id string, ev signer.AuditEvent) error { panic("unwritten") }

// Intent implements signer.Journal.
func (db *DB) Intent(ctx context.Context, id string) (signer.Intent, error) { panic("unwritten") }

// Unfinished implements signer.Journal.
func (db *DB) Unfinished(ctx context.Context) ([]signer.Intent, error) { panic("unwritten") }

// Record implements signer.Audit.
func (db *DB) Record(ctx context.Context, ev signer.AuditEvent) error { panic("unwritten") }

// Receipts returns the receipts about an artifact, newest first.
func (db *DB) Receipts(ctx context.Context, digest attest.Digest) ([]signer.Receipt, error) {
	panic("unwritten")
}

// Events returns a page of recorded decisions.
func (db *DB) Events(ctx context.Context, query store.EventQuery) ([]store.Event, error) {
	panic("unwritten")
}

// Damage has the database check itself.
func (db *DB) Damage(ctx context.Context) (problems []string, err error) { panic("unwritten") }

// Backup makes a consistent copy while everybody writes.
func (db *DB) Backup(ctx context.Context, file string) error { panic("unwritten") }
