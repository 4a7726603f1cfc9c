// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func TestDatabase(t *testing.T) {
	paths := make(map[store.Database]string)
	storetest.Run(t, storetest.Engine{
		Create: func(t testing.TB) store.Database {
			db, path := create(t)
			paths[db] = path
			return db
		},
		Reopen: func(t testing.TB, db store.Database) store.Database {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			return open(t, paths[db])
		},
		Restore: func(t testing.TB, backup string) (store.Database, error) {
			path := filepath.Join(t.TempDir(), "restored.db")
			if err := sqlite.Restore(t.Context(), backup, path); err != nil {
				return nil, err
			}
			return open(t, path), nil
		},
		TokenUses: func(t testing.TB, db store.Database) int {
			t.Helper()
			own, ok := db.(*sqlite.DB)
			if !ok {
				t.Fatalf("a database of type %T", db)
			}
			return own.TokenUses(t)
		},
	})
}

// What is append-only cannot be changed by any SQL on this file.
func TestAppendOnly(t *testing.T) {
	db, _ := create(t)
	l := startLog(t, db, newKey(t))
	appendAll(t, l, "entry", 300)
	for name, state := range map[string]tlog.State{"frozen": tlog.Active, "pending": tlog.Pending} {
		row := tlog.LogRow{Name: name, Kind: tlog.V1, TreeID: int64(len(name)), State: state, Origin: name, Key: []byte(name), Head: tlog.Head{Checkpoint: []byte(name)}}
		if err := db.CreateLog(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Freeze(t.Context(), "frozen"); err != nil {
		t.Fatal(err)
	}
	storetest.To(t, db, storetest.Intent("intent", "request"), "finished")
	id := sha256.Sum256(nil)
	if err := db.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: id}, storetest.Event(signer.DecisionIssued, "")); err != nil {
		t.Fatal(err)
	}
	if ok, err := db.UseCertificate(t.Context(), id, id, "v1", id); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for _, query := range []string{
		`DELETE FROM token_uses`,
		`UPDATE token_uses SET until = 0`,
		`UPDATE token_uses SET holder = token`,
		`UPDATE token_clock SET time = time - 1`,
		`DELETE FROM token_clock`,
		`UPDATE certificates SET signature = x'00'`,
		`UPDATE certificates SET v1 = NULL`,
		`UPDATE certificates SET expires = 1`,
		`UPDATE entries SET body = x'00' WHERE id = (SELECT min(id) FROM entries)`,
		`DELETE FROM entries`,
		`UPDATE leaves SET idx = idx + 1`,
		`DELETE FROM leaves`,
		`UPDATE tiles SET data = x'00'`,
		`UPDATE tiles SET id = id + 1`,
		`DELETE FROM tiles`,
		`UPDATE logs SET size = size - 1`,
		`UPDATE logs SET time = 0`,
		`UPDATE logs SET key = x'00'`,
		`UPDATE logs SET origin = 'x'`,
		`UPDATE logs SET name = 'x' WHERE name = 'v2'`,
		`UPDATE logs SET kind = 'v1' WHERE name = 'v2'`,
		`UPDATE logs SET tree_id = 99 WHERE name = 'v2'`,
		`UPDATE logs SET state = 'pending' WHERE name = 'v2'`,
		`UPDATE logs SET state = 'active' WHERE name = 'pending'`, // without a first index
		`UPDATE logs SET state = 'active', first_index = 9 WHERE name = 'frozen'`,
		`UPDATE logs SET state = 'thawed' WHERE name = 'frozen'`,
		`UPDATE logs SET size = size + 1 WHERE name = 'frozen'`,
		`UPDATE logs SET checkpoint = x'00' WHERE name = 'frozen'`,
		`UPDATE logs SET first_index = 5 WHERE name = 'v2'`,
		`UPDATE logs SET first_index = NULL WHERE name = 'v2'`,
		`UPDATE logs SET first_index = 5 WHERE name = 'pending'`,
		`INSERT INTO logs SELECT 99, 'second', kind, 99, state, first_index, origin, key, size, root, time, checkpoint FROM logs WHERE name = 'v2'`,
		`INSERT INTO logs SELECT 99, 'tree', 'v1', tree_id, 'pending', NULL, origin, key, size, root, time, checkpoint FROM logs WHERE name = 'v2'`,
		`INSERT INTO logs SELECT 99, 'kind', 'v3', 99, 'pending', NULL, origin, key, size, root, time, checkpoint FROM logs WHERE name = 'v2'`,
		`DELETE FROM logs`,
		`UPDATE entries SET keys = x'00'`,
		`DELETE FROM postings`,
		`UPDATE postings SET data = x'00'`,
		`DELETE FROM coverage`,
		`UPDATE coverage SET entries = entries - 1`,
		`UPDATE coverage SET level = level + 1`,
		`DELETE FROM secret`,
		`UPDATE secret SET index_key = zeroblob(32)`,
		`INSERT INTO secret VALUES (2, zeroblob(32))`,
		`UPDATE audit SET event = '{}'`,
		`DELETE FROM audit`,
		`DELETE FROM intents`,
		`INSERT INTO leaves (log, leaf, idx) VALUES (99, x'00', 0)`,
		`INSERT INTO intents (id, request_key, state, created, action, digest, predicate_type, document, statement)
			SELECT 'copy', request_key, 'recorded', created, action, digest, predicate_type, document, statement FROM intents`,
	} {
		if err := db.Exec(t.Context(), query); err == nil {
			t.Errorf("allowed: %s", query)
		}
	}
}
