// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// Damage sees what the log's own check cannot: tables beside the log.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hallmark.db")
	db, err := Create(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Record(t.Context(), signer.AuditEvent{Decision: signer.DecisionRefused}); err != nil {
		t.Fatal(err)
	}
	if problems, err := db.Damage(t.Context()); err != nil || problems != nil {
		t.Fatalf("a whole file: %v, %v", problems, err)
	}
	var root, page int
	if err := db.reads.pool.QueryRowContext(t.Context(), "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'audit'").Scan(&root, &page); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The header of the decisions' table becomes noise.
	for i := range 64 {
		raw[(root-1)*page+i] = 0xff
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = damaged.Close() }() // only read
	if problems, err := damaged.Damage(t.Context()); err != nil || len(problems) == 0 {
		t.Errorf("a damaged page was not seen: %q, %v", problems, err)
	}
}
