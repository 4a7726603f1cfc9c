// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
)

const (
	// backupPages is how many pages are copied at a time, between which writes
	// go on: 1 MiB takes a millisecond or two.
	backupPages = 1 << 20 / pageBytes
	// syncSteps is after how many of these the copy is flushed, beside the
	// writes: a gigabyte at the end would keep the disk from everybody else.
	syncSteps = 4
)

// Backup implements store.Database. It copies pages, not rows.
//
// In the process that writes, the pages are copied on the writing connection,
// between transactions: SQLite then writes what changes to the copy, too, so
// that it is the database of the moment when it is complete, and the WAL is
// started over as ever. In any other process the copy is that of the moment
// when it began; the WAL grows until it is complete.
func (db *DB) Backup(ctx context.Context, file string) error {
	err := place(file, func(draft string) error {
		copyTo := db.copySnapshot
		if db.writer != nil {
			copyTo = db.writer.copyTo
		}
		if err := copyTo(ctx, draft); err != nil {
			return err
		}
		if err := settle(ctx, draft); err != nil {
			return err
		}
		return seal(ctx, draft)
	})
	if err != nil {
		return fmt.Errorf("back up to %s: %w", file, err)
	}
	return nil
}

// backup is a copy that is being made of a connection's database.
type backup struct {
	conn  *conn
	draft string
	copy  *sqlite.Backup
}

// newBackup begins a copy. It must be finished before the connection is closed.
func newBackup(c *conn, draft string) (*backup, error) {
	// The file is worth nothing until it is complete, and synced then.
	to := fileURL(draft, url.Values{"mode": {"rw"}, "_pragma": {"synchronous(OFF)"}})
	b := &backup{conn: c, draft: draft}
	return b, c.sql.Raw(func(driverConn any) (err error) {
		from, ok := driverConn.(interface {
			NewBackup(to string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("%T makes no backups", driverConn)
		}
		b.copy, err = from.NewBackup(to)
		return err
	})
}

// step copies some pages and says whether there are more.
func (b *backup) step() (more bool, err error) {
	err = b.conn.sql.Raw(func(any) (err error) {
		more, err = b.copy.Step(backupPages)
		return err
	})
	return more, err
}

// run calls step, which copies some pages, until there are no more.
func (b *backup) run(step func() (more bool, err error)) error {
	for n := 1; ; n++ {
		more, err := step()
		if err != nil || !more {
			return err
		}
		if n%syncSteps == 0 {
			if err := syncFile(b.draft); err != nil {
				return err
			}
		}
	}
}

func (b *backup) finish() error {
	return b.conn.sql.Raw(func(any) error { return b.copy.Finish() })
}

// copySnapshot copies what a reader sees.
func (db *DB) copySnapshot(ctx context.Context, draft string) error {
	return db.reads.do(ctx, func(c *conn) error {
		return c.snapshot(ctx, func(q queryer) (err error) {
			// The snapshot is taken by the first read.
			if _, _, err := q.logs(); err != nil {
				return err
			}
			b, err := newBackup(c, draft)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.finish()) }()
			return b.run(func() (bool, error) {
				if err := context.Cause(ctx); err != nil {
					return false, err
				}
				return b.step()
			})
		})
	})
}

// errBackupLost says that a copy ended with the connection it was made from.
var errBackupLost = errors.New("the database connection was replaced meanwhile (hint: try again)")

// copyTo copies the database of the writing connection, between transactions.
func (w *writer) copyTo(ctx context.Context, draft string) error {
	b, err := w.beginBackup(ctx, draft)
	if err != nil {
		return err
	}
	return w.runBackup(ctx, b)
}

func (w *writer) beginBackup(ctx context.Context, draft string) (b *backup, err error) {
	err = w.alone(ctx, func() (err error) {
		if w.backup != nil {
			return errors.New("another backup is being made")
		}
		if err := w.reconnect(ctx); err != nil {
			return err
		}
		b, err = newBackup(w.tx.conn, draft)
		if err == nil {
			w.backup = b
		}
		return err
	})
	return b, err
}

func (w *writer) runBackup(ctx context.Context, b *backup) error {
	err := b.run(func() (more bool, err error) {
		err = w.alone(ctx, func() (err error) {
			if w.backup != b {
				return errBackupLost
			}
			more, err = b.step()
			return err
		})
		return more, err
	})
	// Without ctx: it must end, or nobody makes another one.
	endErr := w.alone(context.WithoutCancel(ctx), func() error {
		if w.backup != b {
			return errBackupLost
		}
		return w.endBackup()
	})
	return errors.Join(err, endErr)
}

// endBackup ends the copy that is being made, if there is one. What a
// connection copies to ends before the connection does.
func (w *writer) endBackup() error {
	if w.backup == nil {
		return nil
	}
	b := w.backup
	w.backup = nil
	return b.finish()
}

// settle makes a copy one file: a database that needs no WAL beside it to be
// read, also where nothing can be written.
func settle(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", fileURL(path, url.Values{"mode": {"rw"}}))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("journal mode of the copy is %q", mode)
	}
	return nil
}
