// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
)

// beforeReceipts is the schema that had no list of receipts.
const beforeReceipts = 5

// sqlOldFinish is how a server of that schema finishes an intent.
const sqlOldFinish = `UPDATE intents SET state = 'finished', receipt = '{"id": "' || id || '", "others": null}', bundle = 'bundle' WHERE id = $1 AND state = 'signed'`

// oldIntent makes an intent that a server of that schema has signed.
func oldIntent(t *testing.T, conn *pgx.Conn, seq int, id string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), `INSERT INTO intents (seq, id, request_key, state, owner, created, action, digest, predicate_type, document, statement)
		VALUES ($1, $2, $2, 'signed', 1, 1, 'sign', $3, 'type', '{}', '')`, seq, id, string(storetest.Digest)); err != nil {
		t.Fatal(err)
	}
}

// TestReceiptsDuringUpgrade: what an older server finishes while the list of
// receipts is made is in it.
func TestReceiptsDuringUpgrade(t *testing.T) {
	pg := pglab.Start(t)
	cfg := config(t, pg.NewDatabase(t))
	if err := postgres.MakeOld(t.Context(), cfg, beforeReceipts); err != nil {
		t.Fatal(err)
	}
	older, watch := connect(t, cfg), connect(t, cfg)
	oldIntent(t, older, 1, "early")
	oldIntent(t, older, 2, "late")
	if _, err := older.Exec(t.Context(), sqlOldFinish, "early"); err != nil {
		t.Fatal(err)
	}
	tx, err := older.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sqlOldFinish, "late"); err != nil {
		t.Fatal(err)
	}
	type opened struct {
		db  *postgres.DB
		err error
	}
	upgraded := make(chan opened, 1)
	go func() {
		db, err := postgres.Open(context.Background(), cfg)
		upgraded <- opened{db, err}
	}()
	// The upgrade gets as far as it can: it waits for the older server.
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for waits := false; !waits; {
		if err := watch.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'intents'::regclass)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
		select {
		case <-upgraded:
			t.Fatal("the upgrade did not wait for what an older server was doing")
		case <-ticker.C:
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := <-upgraded
	if now.err != nil {
		t.Fatal(now.err)
	}
	t.Cleanup(func() { closeDB(t, now.db) })
	page, err := now.db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: storetest.Digest})
	if err != nil || len(page) != 2 || page[0].ID != "late" || page[1].ID != "early" {
		t.Errorf("receipts %+v, %v", page, err)
	}
	problems, err := now.db.Damage(t.Context())
	if err != nil || strings.Contains(strings.Join(problems, "\n"), "list of receipts") {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestPrivilegesAfterUpgrade: the role that serves goes on when the owner brings
// a newer schema in, an older server too; and what the migrations list is enough
// for those who have granted the rest before.
func TestPrivilegesAfterUpgrade(t *testing.T) {
	pg := pglab.Start(t)
	cfg := config(t, pg.NewDatabase(t))
	if err := postgres.MakeOld(t.Context(), cfg, beforeReceipts); err != nil {
		t.Fatal(err)
	}
	owner := connect(t, cfg)
	const role = "hallmark_upgraded" // roles are those of all databases
	pg.Exec(t, `CREATE ROLE `+role+` LOGIN PASSWORD 'serve'`)
	for line := range strings.Lines(migrations(t)) {
		grant, ok := strings.CutPrefix(line, "--     GRANT ")
		if !ok || strings.Contains(line, " ON receipts ") || strings.Contains(line, " ON operations ") {
			continue
		}
		if _, err := owner.Exec(t.Context(), "GRANT "+strings.Replace(grant, "hallmark_serve", role, 1)); err != nil {
			t.Fatal(err)
		}
	}
	oldIntent(t, owner, 1, "old")
	serving := cfg
	serving.URL, serving.Password = strings.Replace(cfg.URL, pglab.User+"@", role+"@", 1), "serve"
	older := connect(t, serving)
	closeDB(t, reopen(t, cfg)) // the owner's command
	if _, err := older.Exec(t.Context(), sqlOldFinish, "old"); err != nil {
		t.Errorf("an older server cannot finish what it has signed: %v", err)
	}
	db := open(t, serving)
	storetest.To(t, db, storetest.Intent("new", "new"), "finished")
	if _, err := db.RecordOnce(t.Context(), storetest.Operation("operation")); err != nil {
		t.Error(err)
	}
	if page, err := db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: storetest.Digest}); err != nil || len(page) != 2 {
		t.Errorf("receipts %+v, %v", page, err)
	}
}

// reopen opens a database that the test closes itself.
func reopen(t *testing.T, cfg postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
