// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Seal ends a backup.
func Seal(ctx context.Context, path string) error { return seal(ctx, path) }

// LongestWAL is how large the WAL may become, bytes, while readers are short:
// what is waited for, what is written until the next look at it, and the
// transaction during which either is passed. Each page has a frame's header.
func LongestWAL(transaction int64) int64 {
	const frameHeader = 24
	return (maxWALPages+checkpointPages)*(pageBytes+frameHeader) + transaction
}

// Exec runs SQL as the writer does, for tests that play another program.
func (db *DB) Exec(ctx context.Context, query string, args ...any) error {
	return db.write(ctx, func(t *tx) error { return t.exec(query, args...) })
}

// Pragma reads a setting of the writing connection.
func (db *DB) Pragma(ctx context.Context, name string) (value string, err error) {
	err = db.write(ctx, func(t *tx) error {
		return t.query().each("PRAGMA "+name, nil, func(scan func(...any) error) error { return scan(&value) })
	})
	return value, err
}

// LoseConnection throws the writing connection away inside a transaction, after
// it has written something.
func (db *DB) LoseConnection(ctx context.Context) error {
	return db.write(ctx, func(t *tx) error {
		if err := t.exec(`INSERT INTO audit (time, decision, digest, event) VALUES (?, '', '', '{}')`, 0); err != nil {
			return err
		}
		db.writer.disconnect()
		return nil
	})
}

// BackupAndLose begins a backup, loses the connection, and goes on.
func (db *DB) BackupAndLose(ctx context.Context, draft string) (lost, backup error) {
	b, err := db.writer.beginBackup(ctx, draft)
	if err != nil {
		return nil, err
	}
	return db.LoseConnection(ctx), db.writer.runBackup(ctx, b)
}

// Runs counts the runs of the index, whatever they are good for.
func (db *DB) Runs(t testing.TB) (n int) {
	err := db.read(t.Context(), func(q queryer) error {
		return q.each(`SELECT count(DISTINCT run) FROM postings`, nil, func(scan func(...any) error) error { return scan(&n) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TokenUses counts the uses of tokens that are kept.
func (db *DB) TokenUses(t testing.TB) (n int) {
	err := db.read(t.Context(), func(q queryer) error {
		return q.each(`SELECT count(*) FROM token_uses`, nil, func(scan func(...any) error) error { return scan(&n) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// WriterPages is how many pages the writer keeps.
const WriterPages = writerCacheKiB << 10 / pageBytes

// PoolUse returns how many pages of the pool are in use by all connections of
// this process, and how many bytes of pages had no place there.
func PoolUse(t testing.TB) (pages, beyond int) {
	t.Helper()
	tls := libc.NewTLS()
	defer tls.Close()
	const current, highest = 0, 4 // bytes of two numbers
	values := libc.NewVaListN(2)
	defer libc.Xfree(tls, values)
	ask := func(what int32) int {
		if code := sqlite3.Xsqlite3_status(tls, what, values+current, values+highest, 0); code != sqlite3.SQLITE_OK {
			t.Fatalf("sqlite3_status: code %d", code)
		}
		return int(libc.AtomicLoadPInt32(values + current))
	}
	return ask(sqlite3.SQLITE_STATUS_PAGECACHE_USED), ask(sqlite3.SQLITE_STATUS_PAGECACHE_OVERFLOW)
}
