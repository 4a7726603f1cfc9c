// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// A backup made while everybody writes is whole, has everything that was
// acknowledged before it began, and can be restored and written to.
func TestBackupWhileWriting(t *testing.T) {
	for name, reader := range map[string]bool{"in the process that writes": false, "in another process": true} {
		t.Run(name, func(t *testing.T) {
			db, path := create(t)
			key := newKey(t)
			l := startLog(t, db, key)
			appendAll(t, l, "before", 2000)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := l.Append(context.Background(), tlog.Leaf{Body: fmt.Appendf(nil, "during %d %d %0500d", g, i, i)}); err != nil {
							t.Error(err)
						}
						if err := db.Record(context.Background(), storetest.Event("refused", "")); err != nil {
							t.Error(err)
						}
					}
				})
			}
			from := db
			if reader {
				var err error
				if from, err = sqlite.OpenReadOnly(t.Context(), path); err != nil {
					t.Fatal(err)
				}
				defer closeDB(t, from)
			}
			file := filepath.Join(t.TempDir(), "backup")
			err := from.Backup(t.Context(), file)
			close(stop)
			wg.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if err := from.Backup(t.Context(), file); !errors.Is(err, store.ErrExists) {
				t.Errorf("a second backup of one name: %v", err)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			restored := filepath.Join(t.TempDir(), "restored.db")
			if err := sqlite.Restore(t.Context(), file, restored); err != nil {
				t.Fatal(err)
			}
			if left := files(t, filepath.Dir(file)); len(left) != 1 {
				t.Errorf("beside the backup are %v", left)
			}
			copied := open(t, restored)
			report, err := tlog.Fsck(t.Context(), copied, "v2", key.Public())
			if err != nil || report.Err() != nil || report.Size < 2000 || report.Size > l.Size() {
				t.Errorf("%d entries of %d: %v, %v", report.Size, l.Size(), err, report.Err())
			}
			if problems, err := copied.Damage(t.Context()); err != nil || problems != nil {
				t.Errorf("%v, %v", problems, err)
			}
			again, err := tlog.Load(t.Context(), copied, logConfig(key))
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, again, "after", 300)
			if err := again.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		names = append(names, f.Name())
	}
	return names
}

// Backups that end early leave nothing, and the next one works.
func TestBackupThatFails(t *testing.T) {
	db, _ := create(t)
	l := startLog(t, db, newKey(t))
	appendAll(t, l, "entry", 3000)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, filepath.Join(dir, "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "no such folder", "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	// The connection is lost in the middle.
	draft := filepath.Join(t.TempDir(), "draft")
	writeFile(t, draft, nil)
	if lost, err := db.BackupAndLose(t.Context(), draft); lost == nil || err == nil || !strings.Contains(err.Error(), "try again") {
		t.Errorf("a lost connection: %v, %v", lost, err)
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("%v was left behind", left)
	}
	if err := db.Backup(t.Context(), filepath.Join(dir, "c")); err != nil {
		t.Error(err)
	}
	closeDB(t, db)
	if err := db.Backup(t.Context(), filepath.Join(dir, "d")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	dir := t.TempDir()
	db, path := create(t)
	l := startLog(t, db, newKey(t))
	appendAll(t, l, "entry", 3000)
	backup := filepath.Join(dir, "backup")
	if err := db.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	whole := readFile(t, backup)
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		writeFile(t, file, content)
		return file
	}
	damaged := append([]byte(nil), whole...)
	copy(damaged[len(damaged)/2:], strings.Repeat("noise", 4000))
	for name, test := range map[string]struct {
		backup, path string
		want         error // nil: any
	}{
		"there is a database": {backup, path, store.ErrExists},
		"there is a file":     {backup, backup, store.ErrExists},
		"no backup":           {filepath.Join(dir, "none"), filepath.Join(dir, "a"), store.ErrNoDatabase},
		"a live database":     {path, filepath.Join(dir, "b"), nil},
		"damaged":             {write("damaged", damaged), filepath.Join(dir, "c"), tlog.ErrCorrupt},
		"cut":                 {write("cut", whole[:len(whole)/2]), filepath.Join(dir, "d"), nil},
		"empty":               {write("empty", nil), filepath.Join(dir, "e"), nil},
		"no database":         {write("rubbish", []byte(strings.Repeat("rubbish", 5000))), filepath.Join(dir, "f"), nil},
	} {
		before := len(files(t, filepath.Dir(test.path)))
		err := sqlite.Restore(t.Context(), test.backup, test.path)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if after := files(t, filepath.Dir(test.path)); len(after) != before {
			t.Errorf("%s: %v", name, after)
		}
	}
}
