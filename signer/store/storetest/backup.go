// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// backupEntries are more than what an engine keeps unsorted at the end of its
// index.
const backupEntries = 2500

// newLog makes the log of the backup tests.
func newLog(t *testing.T, db store.Database) (*tlog.Log, tlog.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := tlog.Config{Name: "v2", Origin: "log.example", Signer: key}
	if err := tlog.Create(t.Context(), db, cfg, tlog.Birth{Kind: tlog.V2, TreeID: 7, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	l, err := tlog.Load(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) }) // its storage may be gone
	return l, cfg
}

// appendAll appends entries from <= n < to, from many goroutines.
func appendAll(t *testing.T, l *tlog.Log, from, to int) {
	t.Helper()
	const goroutines = 64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for n := from + g; n < to; n += goroutines {
				leaf := tlog.Leaf{Body: fmt.Appendf(nil, "entry %d", n), Keys: []string{fmt.Sprintf("number:%d", n), "all"}}
				if _, err := l.Append(context.Background(), leaf); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// backup: what is backed up while everybody writes is one moment of the
// database, and a restored database is that moment.
func backup(t *testing.T, e Engine) {
	db := e.Create(t)
	l, cfg := newLog(t, db)
	appendAll(t, l, 0, backupEntries)
	To(t, db, Intent("finished", "finished"), "finished")
	To(t, db, Intent("signed", "signed"), "signed")
	sizeBefore, eventsBefore := l.Size(), len(Events(t, db))

	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for n := backupEntries; ; n++ {
			select {
			case <-stop:
				return
			default:
				appendAll(t, l, n, n+1)
				To(t, db, Intent(fmt.Sprint("meanwhile ", n), fmt.Sprint("meanwhile ", n)), "recorded")
			}
		}
	})
	file := filepath.Join(t.TempDir(), "backup")
	err := db.Backup(t.Context(), file)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %v, %v", info.Mode(), err)
	}
	restored, err := e.Restore(t, file)
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := restored.Damage(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("damage: %v, %v", problems, err)
	}
	report, err := tlog.Fsck(t.Context(), restored, cfg.Name, cfg.Signer.Public())
	if err != nil || report.Err() != nil || report.Size < sizeBefore || report.Size > l.Size() {
		t.Errorf("the log was at %d to %d: %+v, %v", sizeBefore, l.Size(), report, err)
	}
	for _, n := range []int{0, 1500, backupEntries - 1} {
		q := tlog.Query{Keys: []string{fmt.Sprintf("number:%d", n), "all"}, All: true, Limit: 10}
		want, err := db.Search(t.Context(), q)
		if err != nil || len(want) != 1 {
			t.Fatalf("search %d: %v, %v", n, want, err)
		}
		if got, err := restored.Search(t.Context(), q); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("search %d: %v, want %v, %v", n, got, want, err)
		}
	}
	got, err := restored.Intent(t.Context(), "finished")
	if err != nil || got.Receipt == nil || !reflect.DeepEqual(*got.Receipt, Receipt(Intent("finished", "finished"))) {
		t.Errorf("restored %+v, %v", got, err)
	}
	if n := len(Events(t, restored)); n < eventsBefore {
		t.Errorf("%d events, want %d or more", n, eventsBefore)
	}
	goOn(t, restored, cfg)
}

// goOn: a restored database takes everything that the first one did.
func goOn(t *testing.T, db store.Database, cfg tlog.Config) {
	t.Helper()
	unfinished, _, err := db.Unfinished(t.Context(), 0)
	if err != nil || len(unfinished) == 0 || unfinished[0].ID != "signed" {
		t.Fatalf("unfinished %v, %v", unfinished, err)
	}
	if err := db.Finish(t.Context(), "signed", Receipt(unfinished[0]), Event(signer.DecisionSigned, "signed")); err != nil {
		t.Error(err)
	}
	To(t, db, Intent("after", "after"), "finished")
	l, err := tlog.Load(t.Context(), db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := l.Size()
	appendAll(t, l, 1_000_000, 1_000_100)
	if got := l.Size(); got != before+100 {
		t.Errorf("the log grew from %d to %d", before, got)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func backupExists(t *testing.T, e Engine) {
	db := e.Create(t)
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(t.Context(), file); !errors.Is(err, store.ErrExists) {
		t.Errorf("backup over a file: %v", err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "precious" { //nolint:gosec // our own
		t.Errorf("the file is %q, %v", got, err)
	}
	if err := db.Backup(t.Context(), filepath.Join(t.TempDir(), "no such folder", "backup")); err == nil {
		t.Error("a backup in no folder")
	}
	files, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	if _, err := e.Restore(t, filepath.Join(t.TempDir(), "none")); !errors.Is(err, store.ErrNoDatabase) {
		t.Errorf("restore of no file: %v", err)
	}
}

// damagedBackups: a backup that was cut, or has one wrong byte in what it
// keeps, is not restored.
func damagedBackups(t *testing.T, e Engine) {
	db := e.Create(t)
	l, _ := newLog(t, db)
	appendAll(t, l, 0, 300)
	dir := t.TempDir()
	if err := db.Backup(t.Context(), filepath.Join(dir, "whole")); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole")) //nolint:gosec // our own
	if err != nil {
		t.Fatal(err)
	}
	wrong := append([]byte(nil), whole...)
	at := len(wrong) / 3
	for i := range wrong[at:] { // in the body of an entry, or its hash
		if wrong[at+i] == 'e' && string(wrong[at+i:at+i+6]) == "entry " {
			wrong[at+i] ^= 1
			break
		}
	}
	for name, content := range map[string][]byte{
		"empty": {}, "cut": whole[:len(whole)/2], "cut by a byte": whole[:len(whole)-1], "wrong": wrong, "rubbish": []byte("not a database, not a backup"),
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Restore(t, file); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}
