// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/pglab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/storetest"
)

// TestOlderBackup: a backup of an older schema has fewer tables, and is
// restored into a database with all of them.
func TestOlderBackup(t *testing.T) {
	pg := pglab.Start(t)
	db, _ := create(t, pg)
	storetest.To(t, db, storetest.Intent("intent", "request"), "finished")
	file := filepath.Join(t.TempDir(), "backup")
	if err := db.Backup(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	older := filepath.Join(t.TempDir(), "older")
	rewrite(t, file, older)
	cfg := config(t, pg.NewDatabase(t))
	if err := postgres.Restore(context.Background(), older, cfg); err != nil {
		t.Fatal(err)
	}
	restored := open(t, cfg)
	// The list of receipts is made of the intents.
	want, err := db.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: storetest.Digest})
	if err != nil || len(want) != 1 {
		t.Fatal(want, err)
	}
	want[0].Finished = want[0].Finished.Add(time.Hour)
	got, err := restored.ReceiptPage(t.Context(), signer.ReceiptQuery{Digest: storetest.Digest})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if n := len(storetest.Events(t, restored)); n != len(storetest.Events(t, db)) {
		t.Errorf("%d events", n)
	}
	if err := restored.RecordCertificate(t.Context(), signer.IssuedCertificate{ID: sha256.Sum256(nil)}, storetest.Event(signer.DecisionIssued, "")); err != nil {
		t.Error(err)
	}
}

// olderSchema is one of before certificates were recorded, and sinceThen the
// tables that it did not have.
const olderSchema = 4

var sinceThen = []string{"certificates", "receipts", "operations"}

// rewrite makes a backup one of the older schema.
func rewrite(t *testing.T, from, to string) {
	t.Helper()
	archive, err := zip.OpenReader(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }() // only read
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(out)
	for _, member := range archive.File {
		if slices.Contains(sinceThen, member.Name) {
			continue
		}
		r, err := member.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if member.Name == "manifest.json" {
			content = inOlderSchema(t, content)
		}
		m, err := w.CreateHeader(&zip.FileHeader{Name: member.Name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func inOlderSchema(t *testing.T, manifest []byte) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	tables, ok := m["tables"].([]any)
	if !ok {
		t.Fatalf("manifest %s", manifest)
	}
	var kept []any
	for _, table := range tables {
		about, ok := table.(map[string]any)
		if name, isText := about["name"].(string); ok && isText && !slices.Contains(sinceThen, name) {
			kept = append(kept, table)
		}
	}
	m["schema"], m["tables"] = olderSchema, kept
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
