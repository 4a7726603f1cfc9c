// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestRestoreBesideWAL: SQLite plays what is called like a database's write-ahead
// log into that database, whoever left it there: it would take back what restore
// has checked.
func TestRestoreBesideWAL(t *testing.T) {
	dir := newDeployment(t)
	wal := filepath.Join(dir, databaseName+"-wal")
	o, closeLogs := open(t, dir)
	o.log(t, "first", 5)
	old := readFile(t, wal)
	o.log(t, "second", 3)
	v1, v2 := o.checkpoint(t, logV1), o.checkpoint(t, logV2)
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	closeLogs()
	shown := []string{"--not-before", v1, "--not-before", v2}

	// Of a database that was moved away, alone.
	if err := os.Remove(filepath.Join(dir, databaseName)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, wal, old)
	says(t, exitNo, wal+" is left of a database", append([]string{"restore", "--from", to, "--dir", dir}, shown...)...)
	if err := os.Remove(wal); err != nil {
		t.Fatal(err)
	}
	runs(t, 0, append([]string{"restore", "--from", to, "--dir", dir}, shown...)...)
	runs(t, 0, "fsck", "--dir", dir)

	// As a file of the backup.
	for _, path := range []string{"hallmark.db-wal", "hallmark.db", ".restore/hallmark.db-wal", "keys/../hallmark.db-wal"} {
		into, crafted := filepath.Join(t.TempDir(), "into"), filepath.Join(t.TempDir(), "crafted")
		copyFolder(t, to, crafted)
		if err := os.MkdirAll(filepath.Join(crafted, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(crafted, path), old)
		var m manifest
		if err := json.Unmarshal([]byte(readFile(t, filepath.Join(crafted, manifestName))), &m); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(old))
		m.Files = append(m.Files, backedUpFile{Path: path, Size: int64(len(old)), SHA256: hex.EncodeToString(sum[:])})
		doc, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(crafted, manifestName), string(doc))
		says(t, exitNo, `file "`+path+`"`, append([]string{"restore", "--from", crafted, "--dir", into}, shown...)...)
		if exists(filepath.Join(into, databaseName)) {
			t.Errorf("%s: something was restored", path)
		}
	}
}
