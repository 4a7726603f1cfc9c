// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// create makes a database that is closed at the end of the test.
func create(t testing.TB) (*sqlite.DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hallmark.db")
	db, err := sqlite.Create(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db, path
}

func open(t testing.TB, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func closeDB(t testing.TB, db *sqlite.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCreateAndOpen(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain.db", "with space.db", "with?mode=memory&x.db", "with#hash.db", "with%20percent.db", "ünïcode.db"} {
		path := filepath.Join(dir, name)
		if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, store.ErrNoDatabase) || !strings.Contains(err.Error(), "hallmark-server init") {
			t.Errorf("%s: open before create: %v", name, err)
		}
		db, err := sqlite.Create(t.Context(), path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := sqlite.Create(t.Context(), path); !errors.Is(err, store.ErrExists) {
			t.Errorf("%s: second create: %v", name, err)
		}
		if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, store.ErrInUse) {
			t.Errorf("%s: second open: %v", name, err)
		}
		if err := db.Record(t.Context(), storetest.Event("refused", "")); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		closeDB(t, db)
		if n := len(storetest.Events(t, open(t, path))); n != 1 {
			t.Errorf("%s: %d events after reopening", name, n)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", f.Name(), info.Mode(), err)
		}
		if strings.HasPrefix(f.Name(), ".") {
			t.Errorf("%s was left behind", f.Name())
		}
	}
}

func TestConcurrentCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hallmark.db")
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := sqlite.Create(context.Background(), path)
			switch {
			case err == nil:
				made.Add(1)
				closeDB(t, db)
			case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrInUse):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("%d databases were made", made.Load())
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	rubbish := filepath.Join(dir, "rubbish")
	if err := os.WriteFile(rubbish, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), rubbish); err == nil {
		t.Error("rubbish was opened")
	}
	if _, err := sqlite.Create(t.Context(), filepath.Join(dir, "no such folder", "db")); err == nil {
		t.Error("a folder was made")
	}
	db, path := create(t)
	if err := db.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	closeDB(t, db)
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer schema: %v", err)
	}
}

// A check may read while the service writes.
func TestOpenReadOnly(t *testing.T) {
	db, path := create(t)
	key := newKey(t)
	l := startLog(t, db, key)
	appendAll(t, l, "entry", 300)
	for _, writing := range []bool{true, false} {
		ro, err := sqlite.OpenReadOnly(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		report, err := tlog.Fsck(t.Context(), ro, "v2", key.Public())
		if err != nil || report.Err() != nil || report.Size != 300 {
			t.Errorf("%+v, %v", report, err)
		}
		if err := ro.Record(t.Context(), storetest.Event("refused", "")); err == nil {
			t.Error("it writes")
		}
		if err := ro.Commit(t.Context(), tlog.Batch{Log: "v2"}, nil); err == nil {
			t.Error("it commits")
		}
		closeDB(t, ro)
		if writing {
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			closeDB(t, db)
		}
	}
	if _, err := sqlite.OpenReadOnly(t.Context(), path+"x"); !errors.Is(err, store.ErrNoDatabase) {
		t.Errorf("missing: %v", err)
	}
}

// The settings that durability rests on, as the connection has them.
func TestSettings(t *testing.T) {
	db, _ := create(t)
	for name, want := range map[string]string{
		"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "100", "wal_autocheckpoint": "0",
	} {
		if got, err := db.Pragma(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %q, want %q, %v", name, got, want, err)
		}
	}
}

func TestClosed(t *testing.T) {
	db, _ := create(t)
	l := startLog(t, db, newKey(t))
	closeDB(t, db)
	if err := db.Record(t.Context(), storetest.Event("refused", "")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("record: %v", err)
	}
	if _, err := l.Append(t.Context(), tlog.Leaf{Body: []byte("x")}); !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("append: %v", err)
	}
	if _, _, err := db.Unfinished(t.Context(), 0); err == nil {
		t.Error("it reads")
	}
}

// The WAL starts over again and again instead of growing.
func TestWALIsBounded(t *testing.T) {
	db, path := create(t)
	// 120 MB, part of it as text and part as blobs, and readers all the time.
	const writers, each = 8, 200_000 // bytes of one intent, with what it costs beside its texts
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range 120 {
				in := storetest.Intent(fmt.Sprintf("%d %d", g, i), fmt.Sprintf("%d %d", g, i))
				in.Rule, in.Statement = strings.Repeat("x", 60_000), make([]byte, 60_000)
				if _, _, err := db.Begin(context.Background(), in, storetest.Use("a token"), storetest.Event("granted", in.ID)); err != nil {
					t.Error(err)
				}
				if _, err := db.Intent(context.Background(), in.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	info, err := os.Stat(path + "-wal")
	if most := sqlite.LongestWAL(writers * each); err != nil || info.Size() > most {
		t.Errorf("the WAL has %d bytes, at most %d are right, %v", info.Size(), most, err)
	}
}
