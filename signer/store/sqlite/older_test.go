// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
)

// TestOlderBackup: a backup of before there was a list of receipts is checked
// for what it has, restored, and brought up to date.
func TestOlderBackup(t *testing.T) {
	db, path := create(t)
	storetest.To(t, db, storetest.Intent("one", "one"), "finished")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, path, `DROP TABLE receipts; DROP TABLE operations; DELETE FROM goose_db_version WHERE version_id >= 6; PRAGMA journal_mode = DELETE`)
	backup := filepath.Join(t.TempDir(), "backup")
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(backup, content, 0o600)
	}
	if err == nil {
		err = sqlite.Seal(t.Context(), backup)
	}
	if err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "hallmark.db")
	if err := sqlite.Restore(t.Context(), backup, restored); err != nil {
		t.Fatal(err)
	}
	page, err := open(t, restored).ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: storetest.Digest})
	if err != nil || len(page) != 1 || page[0].ID != "one" {
		t.Errorf("receipts %+v, %v", page, err)
	}
}
