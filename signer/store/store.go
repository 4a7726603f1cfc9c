// SPDX-License-Identifier: Apache-2.0

// Package store keeps everything Hallmark must not lose in one SQL database:
// the logs, the index that finds their entries, the intents and the decisions.
// One database is one thing to back up, and what belongs together, such as an
// entry and its index rows, or an intent and its audit event, is one
// transaction.
//
// The package holds what its two engines share: store/sqlite is one file for
// one process, store/postgres a database for any number of them. Both keep the
// same tables and pass the same suites (signer/tlog/storagetest for the log,
// storetest for the rest).
package store

import (
	"context"
	"errors"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

var (
	// ErrNoDatabase says that there is no database where one should be opened:
	// no file, or no Hallmark schema in it. Nothing creates one as a side
	// effect, because an empty database in its place would be a forked log.
	ErrNoDatabase = errors.New("no database")
	// ErrExists is returned by Create: it never overwrites.
	ErrExists = errors.New("database exists already")
	// ErrInUse says that another process has the database open for writing,
	// which only PostgreSQL allows.
	ErrInUse = errors.New("database is in use by another process")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("database is closed")
	// ErrUnnamed is returned by RecordOnce of an event without an Operation.ID.
	ErrUnnamed = errors.New("an operation has an id")
)

// Database is an open database, as the service uses it.
type Database interface {
	tlog.Storage
	signer.Journal
	signer.Audit
	signer.CertificateRecord
	signer.ReceiptReader
	Certificates

	// UseToken counts the use of a token for a request that makes no intent, as
	// Begin does for one that does: in one transaction, once for each request.
	// *signer.Replayed if the token may not be used for it.
	UseToken(ctx context.Context, use signer.TokenUse, request string) error
	// Events returns a page of recorded decisions.
	Events(ctx context.Context, query EventQuery) ([]Event, error)
	// RecordOnce is Record of an event about an operation, unless one with its
	// Operation.ID is recorded. It says whether it was recorded now.
	RecordOnce(ctx context.Context, ev signer.AuditEvent) (recorded bool, err error)
	// Damage has the database check itself beyond what fsck of the logs does,
	// and returns what is wrong with it, one sentence a problem. It is slow
	// and may run while the service does.
	Damage(ctx context.Context) (problems []string, err error)
	// Backup makes a consistent copy while everybody writes. It is made under
	// another name and has its own when it is complete and durable. ErrExists
	// if there is a file. Whoever relies on a backup checks it, with Damage and
	// fsck of its logs, as it would check the database.
	Backup(ctx context.Context, file string) error
	// Close waits for writes under way and closes the database.
	Close() error
}

// MaxUnfinished is the longest page of Unfinished.
const MaxUnfinished = 256

// MaxEvents is the longest page of Events.
const MaxEvents = 1000

// Event is a recorded decision. Seq orders events; it has no gaps.
type Event struct {
	Seq int64 `json:"seq"`
	signer.AuditEvent
}

// EventQuery selects events: those after a Seq (exclusive), oldest first, at
// most Limit (0, or more than MaxEvents: MaxEvents), optionally of one artifact
// or one decision.
type EventQuery struct {
	After    int64
	Limit    int
	Digest   string
	Decision string
}
