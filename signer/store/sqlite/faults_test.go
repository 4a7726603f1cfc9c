// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// startLog makes a log and opens it.
func startLog(t testing.TB, db *sqlite.DB, key crypto.Signer) *tlog.Log {
	t.Helper()
	if err := tlog.Create(context.Background(), db, logConfig(key), tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	return storagetest.NewWorld(t, logConfig(key)).Load(db, logConfig(key))
}

// appendAll appends n entries from eight goroutines.
func appendAll(t testing.TB, l *tlog.Log, name string, n int) {
	t.Helper()
	const goroutines = 8
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n; i += goroutines {
				if _, err := l.Append(context.Background(), tlog.Leaf{Body: fmt.Appendf(nil, "%s %d", name, i), Keys: []string{"all", fmt.Sprint("number:", i)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// appendWithKeys is World.Append with crashKeys.
func appendWithKeys(w *storagetest.World, l *tlog.Log, body string) error {
	in, err := l.Append(context.Background(), tlog.Leaf{Body: []byte(body), Keys: crashKeys([]byte(body))})
	if err == nil {
		err = w.Remember(body, in)
	}
	return err
}

// fault is a disk that takes no more, and its repair.
type fault struct {
	name   string
	begin  func(t *testing.T, db *sqlite.DB, path string)
	repair func(t *testing.T, db *sqlite.DB)
}

func faults() []fault {
	var before syscall.Rlimit
	return []fault{
		{
			// SQLite itself refuses to allocate pages.
			name: "database full",
			begin: func(t *testing.T, db *sqlite.DB, _ string) {
				if _, err := db.Pragma(t.Context(), "max_page_count(1)"); err != nil { // the present size
					t.Fatal(err)
				}
			},
			repair: func(t *testing.T, db *sqlite.DB) {
				if _, err := db.Pragma(t.Context(), "max_page_count(1000000)"); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			// The kernel refuses writes to the WAL, in the middle of a commit.
			name: "write error",
			begin: func(t *testing.T, _ *sqlite.DB, path string) {
				signal.Ignore(syscall.SIGXFSZ)
				t.Cleanup(func() { signal.Reset(syscall.SIGXFSZ) })
				info, err := os.Stat(path + "-wal")
				if err != nil {
					t.Fatal(err)
				}
				if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
					t.Fatal(err)
				}
				limit := before
				limit.Cur = uint64(info.Size()) + 5000 // a page and a bit
				if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
					t.Fatal(err)
				}
			},
			repair: func(t *testing.T, _ *sqlite.DB) {
				if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
}

// While the disk takes nothing, every write fails, reads go on, and nothing
// half-written is seen. When it takes writes again, so do we, by ourselves.
func TestDiskFull(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			db, path := create(t)
			key := newKey(t)
			if err := tlog.Create(t.Context(), db, logConfig(key), tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}); err != nil {
				t.Fatal(err)
			}
			w := storagetest.NewWorld(t, logConfig(key))
			l := w.Load(db, w.Config)
			for i := range 250 { // a run of the index is due while the disk is full, or after it
				if err := appendWithKeys(w, l, fmt.Sprintf("before %d", i)); err != nil {
					t.Fatal(err)
				}
			}
			storetest.To(t, db, storetest.Intent("before", "request before"), "signed")

			f.begin(t, db, path)
			refused := 0
			for i := range 40 { // a few may still fit into pages that exist
				err := appendWithKeys(w, l, fmt.Sprintf("during %d: %01000d", i, i))
				if err != nil && !errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("append: %v", err)
				}
				in := storetest.Intent(fmt.Sprintf("during %d", i), fmt.Sprintf("request during %d", i))
				in.Statement = make([]byte, 20_000)
				_, _, beginErr := db.Begin(t.Context(), in, storetest.Use("a token"), storetest.Event(signer.DecisionGranted, in.ID))
				if err != nil && beginErr != nil {
					refused++
				}
			}
			if refused == 0 {
				t.Error("the disk was never full")
			}
			if _, err := l.Prove(t.Context(), 3); err != nil {
				t.Errorf("read: %v", err)
			}
			if got, err := db.Intent(t.Context(), "before"); err != nil || got.Signed == nil {
				t.Errorf("read: %v", err)
			}

			f.repair(t, db)
			for i := range 40 {
				if err := appendWithKeys(w, l, fmt.Sprintf("after %d", i)); err != nil {
					t.Errorf("append after: %v", err)
				}
			}
			if err := db.Finish(t.Context(), "before", storetest.Receipt(storetest.Intent("before", "")), storetest.Event(signer.DecisionSigned, "before")); err != nil {
				t.Errorf("finish after: %v", err)
			}
			w.Check(db, l)
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
			closeDB(t, db)
			db = open(t, path)
			checkKeys(t, db)
			w.Check(db, w.Load(db, w.Config))
			if got, err := db.Intent(t.Context(), "before"); err != nil || got.Receipt == nil {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// Fsck must see what somebody with a SQL shell did.
func TestFsckSeesTampering(t *testing.T) {
	for name, queries := range map[string][]string{
		"body changed":       {`DROP TRIGGER entries_kept_2`, `UPDATE entries SET body = x'00' WHERE id % 1000 = 5`},
		"last body changed":  {`DROP TRIGGER entries_kept_2`, `UPDATE entries SET body = x'00' WHERE id = (SELECT max(id) FROM entries)`},
		"entry removed":      {`DROP TRIGGER entries_kept_1`, `DELETE FROM entries WHERE id % 1000 = 5`},
		"entry added":        {`INSERT INTO entries SELECT max(id) + 1, max(time), x'', x'00' FROM entries`},
		"time changed":       {`DROP TRIGGER entries_kept_2`, `UPDATE entries SET time = time + 5 WHERE id % 1000 = 5`},
		"last time changed":  {`DROP TRIGGER entries_kept_2`, `UPDATE entries SET time = time + 5 WHERE id = (SELECT max(id) FROM entries)`},
		"leaf moved":         {`DROP TRIGGER leaves_kept_2`, `UPDATE leaves SET idx = 6 WHERE idx = 5`},
		"leaf removed":       {`DROP TRIGGER leaves_kept_1`, `DELETE FROM leaves WHERE idx = 5`},
		"tile changed":       {`UPDATE tiles SET data = zeroblob(length(data)) WHERE id = (SELECT min(id) FROM tiles)`},
		"inner node changed": {`UPDATE tiles SET data = CAST(substr(data, 1, 8200) || zeroblob(504) AS BLOB) WHERE length(data) = 8704`},
		"upper tile changed": {`UPDATE tiles SET data = zeroblob(length(data)) WHERE id = (SELECT max(id) FROM tiles)`},
		"tile removed":       {`DROP TRIGGER tiles_kept_1`, `DELETE FROM tiles WHERE id = (SELECT min(id) FROM tiles)`},
		"size grown":         {`UPDATE logs SET size = size + 1`},
		"root changed":       {`UPDATE logs SET root = zeroblob(32)`},
		"checkpoint changed": {`UPDATE logs SET checkpoint = CAST(replace(checkpoint, 'log.example', 'log.exampla') AS BLOB)`},
		"head time changed":  {`UPDATE logs SET time = time + 1`},
		"rolled back": {`DROP TRIGGER logs_kept_2`, `DROP TRIGGER entries_kept_1`, `DROP TRIGGER leaves_kept_1`,
			`DELETE FROM entries WHERE id = (SELECT max(id) FROM entries)`, `DELETE FROM leaves WHERE idx = 599`, `UPDATE logs SET size = size - 1`},
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := create(t)
			key := newKey(t)
			l := startLog(t, db, key)
			appendAll(t, l, "entry", 600)
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			report, err := tlog.Fsck(t.Context(), db, "v2", key.Public())
			if err != nil || report.Err() != nil {
				t.Fatalf("before: %v %v", err, report.Err())
			}
			for _, query := range queries {
				if err := db.Exec(t.Context(), query); err != nil {
					t.Fatalf("%s: %v", query, err)
				}
			}
			report, err = tlog.Fsck(t.Context(), db, "v2", key.Public())
			if err != nil || len(report.Problems) == 0 || !errors.Is(report.Err(), tlog.ErrCorrupt) {
				t.Errorf("not seen: %v, %+v", err, report)
			}
		})
	}
}

// A writing connection that is lost in a transaction takes the transaction
// with it, and is replaced.
func TestLostConnection(t *testing.T) {
	db, _ := create(t)
	key := newKey(t)
	l := startLog(t, db, key)
	for i := range 3 {
		appendAll(t, l, fmt.Sprint("round ", i), 20)
		if err := db.LoseConnection(t.Context()); err == nil {
			t.Error("nothing was noticed")
		}
		if err := db.Record(t.Context(), storetest.Event(signer.DecisionRefused, "")); err != nil {
			t.Errorf("after it: %v", err)
		}
	}
	if n := len(storetest.Events(t, db)); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
	if got, err := db.Pragma(t.Context(), "synchronous"); err != nil || got != "2" {
		t.Errorf("the new connection's synchronous is %q, %v", got, err)
	}
	report, err := tlog.Fsck(t.Context(), db, "v2", key.Public())
	if err != nil || report.Err() != nil || report.Size != 60 {
		t.Errorf("%+v, %v", report, err)
	}
}
