// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// opener makes databases for a suite and reopens them.
func opener() (openNew func(*testing.T) tlog.Storage, reopen func(*testing.T, tlog.Storage) tlog.Storage) {
	paths := make(map[tlog.Storage]string)
	openNew = func(t *testing.T) tlog.Storage {
		db, path := create(t)
		paths[db] = path
		return db
	}
	reopen = func(t *testing.T, st tlog.Storage) tlog.Storage {
		db, ok := st.(*sqlite.DB)
		if !ok {
			t.Fatalf("%T is not ours", st)
		}
		closeDB(t, db)
		path := paths[st]
		again := open(t, path)
		paths[again] = path
		return again
	}
	return openNew, reopen
}

func TestStorage(t *testing.T) {
	openNew, reopen := opener()
	storagetest.Run(t, openNew, reopen)
}

func TestEngine(t *testing.T) {
	openNew, reopen := opener()
	storagetest.RunEngine(t, openNew, reopen)
}

func TestModel(t *testing.T) {
	openNew, reopen := opener()
	storagetest.RunModel(t, openNew, reopen)
}
