// SPDX-License-Identifier: Apache-2.0

// Package sqlite keeps a store in one SQLite file, for one process.
//
// Create makes the file and Open opens it; a missing file is an error.
//
// All writes go through one connection, in the order they come. Those that come
// while a commit is under way share the next one (writer.go), so the price of
// one disk flush is divided among everybody who waits. Reads have connections
// of their own and never wait for writes (WAL).
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/hallmark-dev/hallmark/signer/store"
)

const (
	// maxReaders is how many reads run at a time. They are short and mostly
	// served from the page cache: more than a few only fight for cores.
	maxReaders = 4
	// readerBusyMS is how long a read waits for a lock, milliseconds: only
	// recovery after a crash holds one.
	readerBusyMS = 5000
	// writerBusyMS is how long a checkpoint that must start the WAL over waits
	// for the reads under way; all writes wait with it. Reads take less, and
	// a longer one, such as a backup, may let the WAL grow meanwhile.
	writerBusyMS = 100
	// writerCacheKiB and readerCacheKiB bound the page caches of connections; all
	// of them together are bounded by poolPages. With a million entries a writer's
	// cache of 6 MiB costs a tenth of processor time for reading again, one of 16
	// MiB saves nothing; readers with 1 MiB take twice as long to search.
	writerCacheKiB = 8 << 10
	readerCacheKiB = 2 << 10
	// pageBytes is the size of a page: a page for each key of an entry that is
	// looked up by a random key (leaves) speaks for small ones, bodies of two
	// kilobytes, of which one page of 4 KiB holds one, for large ones. Measured
	// with 300,000 entries without an index, bytes per entry over a body of 800
	// and of 2,000 bytes, and CPU seconds per 1,000: 4 KiB 274, 2,153, 0.085 and
	// 0.090; 8 KiB 158, 780, 0.060 and 0.071; 16 KiB 157, 388, 0.068 and 0.083.
	pageBytes = 8 << 10
	// fileMode: the database holds who signed what; nobody else reads it.
	fileMode = 0o600
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database.
type DB struct {
	path   string
	unlock func() error
	writer *writer // nil if read only
	reads  *readers
	secret [32]byte // of the index, see store.IndexKey

	closing  sync.Once // guards closeErr
	closeErr error
}

var _ store.Database = (*DB)(nil)

// Create makes a database and opens it. store.ErrExists if there is a file. The file
// appears under its name when it is complete, or not at all.
func Create(ctx context.Context, path string) (*DB, error) {
	if err := usePool(); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	err := place(path, func(draft string) error {
		if err := setPageSize(ctx, draft); err != nil {
			return err
		}
		return migrate(ctx, draft, makeSecret)
	})
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	return Open(ctx, path)
}

// Open opens a database for writing and brings its schema up to date. It never
// makes one: store.ErrNoDatabase if there is none. store.ErrInUse if another process has it
// open for writing.
func Open(ctx context.Context, path string) (*DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w (hint: hallmark-server init makes one)", path, store.ErrNoDatabase)
	}
	unlock, err := lockFile(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db := &DB{path: path, unlock: unlock}
	if err := db.open(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, db.Close()))
	}
	return db, nil
}

// OpenReadOnly opens a database for reading, also while another process writes
// to it, for checks and reports. Writes fail.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open %s: %w (hint: hallmark-server init makes one)", path, store.ErrNoDatabase)
	}
	db := &DB{path: path, unlock: func() error { return nil }}
	if err := db.openReads(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, db.Close()))
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	if err := usePool(); err != nil {
		return err
	}
	if err := migrate(ctx, db.path, nil); err != nil {
		return err
	}
	w, err := newWriter(ctx, dsn(db.path, false))
	if err != nil {
		return err
	}
	db.writer = w
	return db.openReads(ctx)
}

func (db *DB) openReads(ctx context.Context) (err error) {
	if err := usePool(); err != nil {
		return err
	}
	if db.reads, err = newReaders(ctx, dsn(db.path, true)); err != nil {
		return err
	}
	return db.readSecret(ctx)
}

// Close waits for writes under way and closes the database. Further calls
// return the same.
func (db *DB) Close() error {
	db.closing.Do(func() { db.closeErr = db.closeAll() })
	return db.closeErr
}

func (db *DB) closeAll() error {
	var errs []error
	if db.reads != nil {
		errs = append(errs, db.reads.close())
	}
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	return errors.Join(append(errs, db.unlock())...)
}

// write runs fn in a transaction of its own that shares its commit.
func (db *DB) write(ctx context.Context, fn func(*tx) error) error {
	return db.do(ctx, &op{run: fn})
}

func (db *DB) do(ctx context.Context, o *op) error {
	if db.writer == nil {
		return errors.New("database is open for reading only")
	}
	return db.writer.do(ctx, o)
}

// dsn is the connection string of modernc.org/sqlite. mode=rw never makes a
// file. synchronous=FULL makes a WAL commit wait for the disk.
func dsn(path string, readOnly bool) string {
	busyMS, cacheKiB := writerBusyMS, writerCacheKiB
	if readOnly {
		busyMS, cacheKiB = readerBusyMS, readerCacheKiB
	}
	q := url.Values{"mode": {"rw"}, "_defensive": {"1"}, "_dqs": {"0"}}
	for _, pragma := range []string{
		fmt.Sprintf("busy_timeout(%d)", busyMS),
		"synchronous(FULL)", "foreign_keys(ON)", "trusted_schema(OFF)",
		fmt.Sprintf("cache_size(-%d)", cacheKiB),
		"wal_autocheckpoint(0)", // the copier does it, see checkpoint.go
	} {
		q.Add("_pragma", pragma)
	}
	if readOnly {
		q.Set("_query_only", "1")
	} else {
		q.Add("_pragma", "journal_mode(WAL)") // a backup that was restored has none
	}
	return fileURL(path, q)
}

func fileURL(path string, q url.Values) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

// migrate brings the schema up to date, calls fill, if there is one, and leaves
// no WAL behind.
func migrate(ctx context.Context, path string, fill func(context.Context, *sql.DB) error) (err error) {
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, latest, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > latest {
		return fmt.Errorf("schema version %d is newer than this program, which knows %d (hint: use the newer hallmark-server)", current, latest)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring schema up to date: %w", err)
	}
	if fill == nil {
		return nil
	}
	return fill(ctx, db)
}

// setPageSize makes an empty file a database with pages of pageBytes, which it
// keeps: the size cannot be changed once there is a WAL.
func setPageSize(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", fileURL(path, url.Values{"mode": {"rw"}}))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, fmt.Sprintf("PRAGMA page_size = %d; PRAGMA journal_mode = WAL", pageBytes))
	return err
}

// makeSecret writes the secret of the index, see store.IndexKey.
func makeSecret(ctx context.Context, db *sql.DB) error {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `INSERT INTO secret (id, index_key) VALUES (1, ?)`, secret[:])
	return err
}

func (db *DB) readSecret(ctx context.Context) error {
	return db.read(ctx, func(q queryer) error {
		return q.each(`SELECT index_key FROM secret`, nil, func(scan func(...any) error) error { return scan((*hash)(&db.secret)) })
	})
}
