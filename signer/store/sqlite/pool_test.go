// SPDX-License-Identifier: Apache-2.0

package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// TestPool sees that pages are kept in the pool: SQLite takes a pool that is
// configured too late, or whose pages are too small, and allocates beside it
// without a word.
func TestPool(t *testing.T) {
	before, _ := sqlite.PoolUse(t)
	db, err := sqlite.Create(t.Context(), filepath.Join(t.TempDir(), "hallmark.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, outside := sqlite.PoolUse(t)
	// More than the pool has, in one transaction and after it.
	const rows, size = 200, 64 << 10
	if err := db.Exec(t.Context(), `CREATE TABLE filler (id INTEGER PRIMARY KEY, content BLOB)`); err != nil {
		t.Fatal(err)
	}
	fill := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) INSERT INTO filler SELECT i, zeroblob(%d) FROM n`, rows, size)
	if err := db.Exec(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	used, beyond := sqlite.PoolUse(t)
	if used < before+sqlite.WriterPages/2 {
		t.Errorf("%d pages of the pool are in use, %d before: the writer's are somewhere else", used, before)
	}
	if grown := beyond - outside; grown > size {
		t.Errorf("%d bytes of pages are outside of the pool", grown)
	}
}
