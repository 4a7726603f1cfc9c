// SPDX-License-Identifier: Apache-2.0

// Package store keeps everything Hallmark must not lose in one SQLite file.
package store

import (
	"context"
	"errors"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

var (
	// ErrNoDatabase says that there is no database at that path.
	ErrNoDatabase = errors.New("no database")
	// ErrExists is returned by Create.
	ErrExists = errors.New("database exists already")
	// ErrInUse says that another process writes to the database.
	ErrInUse = errors.New("database is in use by another process")
)

// DB is an open database. It implements tlog.Storage, signer.Journal and
// signer.Audit.
type DB struct {
	tlog.Storage
	signer.Journal
	signer.Audit
}

// Create makes a database and opens it.
func Create(ctx context.Context, path string) (*DB, error) { panic("unwritten") }

// Open opens a database; it never makes one.
func Open(ctx context.Context, path string) (*DB, error) { panic("unwritten") }

// Close closes the database.
func (db *DB) Close() error { panic("unwritten") }

// Receipts returns the receipts about an artifact, newest first.
func (db *DB) Receipts(ctx context.Context, digest attest.Digest) ([]signer.Receipt, error) {
	panic("unwritten")
}
