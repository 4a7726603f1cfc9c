// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/pglab"
)

// usesDatabase writes a configuration with a PostgreSQL database to a folder.
func usesDatabase(t *testing.T, dir, database string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "db-password"), password+"\n")
	writeFile(t, filepath.Join(dir, "password"), "correct horse battery staple\n")
	writeFile(t, filepath.Join(dir, signingPolicyName), "")
	writeFile(t, filepath.Join(dir, configName), "origin: "+testOrigin+"\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nregistry: {host: r.example}\npassword: {file: password}\n"+
		"policy: signing-policy.yaml\ndatabase: {url: '"+u.String()+"', passwordFile: db-password}\nsigning: {bundleLog: both}\n")
}

// TestPostgres is the life of a deployment on PostgreSQL: made once, rotated
// under two running replicas, backed up, and restored into another database.
func TestPostgres(t *testing.T) {
	server := pglab.Start(t)
	dir := filepath.Join(t.TempDir(), "d")
	database := server.NewDatabase(t)
	usesDatabase(t, dir, database)
	runs(t, 0, "init", "--dir", dir)
	says(t, exitNo, "a deployment is created once", "init", "--dir", dir)
	if exists(filepath.Join(dir, databaseName)) || exists(filepath.Join(dir, stagingName)) {
		t.Error("init left files that are not needed")
	}
	other := filepath.Join(t.TempDir(), "other")
	usesDatabase(t, other, database)
	says(t, exitNo, "a deployment gets a database of its own", "init", "--dir", other)
	says(t, exitNo, "a deployment gets a database of its own", "init", "--dir", other) // also at the second try
	if exists(filepath.Join(other, "keys")) {
		t.Error("a refused init left keys")
	}

	// Two replicas follow a rotation that neither of them makes.
	one, closeOne := open(t, dir)
	two, closeTwo := open(t, dir)
	one.log(t, "one", 2)
	two.log(t, "two", 2)
	oldV1, oldV2 := one.checkpoint(t, logV1), one.checkpoint(t, logV2)
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	two.log(t, "meanwhile", 1)
	for _, replica := range []*opened{one, two} {
		if missing, err := replica.keys.prepare(t.Context(), replica.db); err != nil || len(missing) > 0 || replica.keys.open["v1-2"] == nil {
			t.Errorf("a replica is not prepared: %v, %v", missing, err)
		}
	}
	runs(t, 0, "log", "activate", "--dir", dir, "v1-2")
	one.log(t, "three", 2)
	two.log(t, "four", 2)
	if got := logsOf(t, dir); got["v1"].Size != 6 || got["v1"].State != "frozen" || got["v1-2"].Size != 5 || got["v1-2"].FirstIndex != 6 || got["v2"].Size != 9 {
		t.Errorf("logs %+v", got)
	}
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	backedUp1, backedUp2 := one.checkpoint(t, "v1-2"), one.checkpoint(t, logV2)
	one.log(t, "five", 1)
	newV1, newV2 := one.checkpoint(t, "v1-2"), one.checkpoint(t, logV2)
	closeOne()
	closeTwo()
	runs(t, 0, "fsck", "--dir", dir)

	// Older than what was published: refused before the database is touched.
	into := filepath.Join(t.TempDir(), "into")
	fresh := server.NewDatabase(t)
	usesDatabase(t, into, fresh)
	args := []string{"restore", "--from", to, "--dir", into}
	says(t, exitNo, "a checkpoint was shown of", append(args, "--not-before", newV1, "--not-before", newV2)...)
	runs(t, 0, append(args, "--not-before", backedUp1, "--not-before", backedUp2, "--not-before", oldV1, "--not-before", oldV2)...)
	if got := logsOf(t, into); got["v1"].State != "frozen" || got["v1-2"].Size != 5 || got["v1-2"].State != "active" || got["v2"].Size != 9 {
		t.Errorf("restored logs %+v", got)
	}
	fill(t, into, "six", 1)
	runs(t, 0, "fsck", "--dir", into)
	says(t, exitNo, "an empty database", "restore", "--from", to, "--dir", into, "--without-checkpoint-unsafe")
}

// TestPostgresRefusedCopyIsFrozen: a fork shows only when the copy is in the
// database, from which it cannot be taken back.
func TestPostgresRefusedCopyIsFrozen(t *testing.T) {
	server := pglab.Start(t)
	dir, twin := filepath.Join(t.TempDir(), "d"), filepath.Join(t.TempDir(), "twin")
	usesDatabase(t, dir, server.NewDatabase(t))
	runs(t, 0, "init", "--dir", dir)
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	usesDatabase(t, twin, server.NewDatabase(t))
	runs(t, 0, "restore", "--from", to, "--dir", twin, "--without-checkpoint-unsafe")
	v1, _ := fill(t, twin, "another", 2)
	_, v2 := fill(t, dir, "one", 3)
	longer := filepath.Join(t.TempDir(), "longer")
	runs(t, 0, "backup", "--dir", dir, "--to", longer)

	into := filepath.Join(t.TempDir(), "into")
	usesDatabase(t, into, server.NewDatabase(t))
	_, words := runs(t, exitNo, "restore", "--from", longer, "--dir", into, "--not-before", v1, "--not-before", v2)
	if !strings.Contains(words, "two histories were signed") || !strings.Contains(words, "drop the database") {
		t.Errorf("it says %q", words)
	}
	copyFolder(t, filepath.Join(longer, "trust"), filepath.Join(into, "trust"))
	for name, l := range logsOf(t, into) {
		if l.State != "frozen" {
			t.Errorf("log %s is %s", name, l.State)
		}
	}
}

// TestInterruptedInitOnPostgres: the next init goes on with the keys that the
// database has seen already.
func TestInterruptedInitOnPostgres(t *testing.T) {
	server := pglab.Start(t)
	whole := filepath.Join(t.TempDir(), "whole")
	usesDatabase(t, whole, server.NewDatabase(t))
	runs(t, 0, "init", "--dir", whole)
	key := readFile(t, filepath.Join(whole, "keys", "log-v1.key"))
	// As if the power had failed after the last write to the database.
	staging := filepath.Join(whole, stagingName)
	if err := os.Mkdir(staging, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(staging, startedName), "")
	for _, part := range []string{"keys", "certs", "trust"} {
		if err := os.Rename(filepath.Join(whole, part), filepath.Join(staging, part)); err != nil {
			t.Fatal(err)
		}
	}
	runs(t, 0, "init", "--dir", whole)
	if readFile(t, filepath.Join(whole, "keys", "log-v1.key")) != key || exists(staging) {
		t.Error("init made other keys")
	}
	if got := logsOf(t, whole); got["v1"].Size != 1 || got["v2"].State != "active" {
		t.Errorf("logs %+v", got)
	}
	runs(t, 0, "fsck", "--dir", whole)
}
