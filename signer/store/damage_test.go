// SPDX-License-Identifier: Apache-2.0

package store

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
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The last page belongs to a table or index; its header becomes noise.
	for i := len(raw) - 4096; i < len(raw)-4096+64; i++ {
		raw[i] = 0xff
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	damaged, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		return // refused at once, as good
	}
	defer func() { _ = damaged.Close() }() // only read
	if problems, err := damaged.Damage(t.Context()); err == nil && len(problems) == 0 {
		t.Error("a damaged page was not seen")
	}
}
