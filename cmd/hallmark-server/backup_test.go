// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupWhileServing: the copy is whole, whatever is written meanwhile, and
// the restored deployment is the same one.
func TestBackupWhileServing(t *testing.T) {
	dir := newDeployment(t)
	o, closeLogs := open(t, dir)
	o.log(t, "first", 5)
	to := filepath.Join(t.TempDir(), "backup")
	out, _ := runs(t, 0, "backup", "--dir", dir, "--to", to, "-o", "json")
	var m manifest
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatal(err)
	}
	if m.Origin != testOrigin || m.Engine != engineSQLite || len(m.Logs) != 2 || m.Logs[0].Size != 6 || !strings.HasPrefix(m.Logs[0].Checkpoint, m.Logs[0].Origin+"\n6\n") {
		t.Errorf("manifest %+v", m)
	}
	want := map[string]bool{
		"database": true, "hallmark.yaml": true, "signing-policy.yaml": true, "keys/log-v1.key": true, "keys/log-v2.key": true, "keys/ca.key": true,
		"certs/ca-chain.pem": true, "trust/trusted_root.json": true,
	}
	for _, f := range m.Files {
		delete(want, f.Path)
		if strings.Contains(f.Path, "password") {
			t.Errorf("the password is in the backup")
		}
		if info, err := os.Stat(filepath.Join(to, f.Path)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Path, info, err)
		}
	}
	if len(want) > 0 {
		t.Errorf("the backup lacks %v", want)
	}
	v1, v2 := o.checkpoint(t, logV1), o.checkpoint(t, logV2)
	closeLogs()

	says(t, exitNo, "a backup is never overwritten", "backup", "--dir", dir, "--to", to)
	config := filepath.Join(dir, configName)
	outside := writeFile(t, filepath.Join(t.TempDir(), "policy.yaml"), "")
	inside := readFile(t, config)
	writeFile(t, config, strings.Replace(inside, "policy: signing-policy.yaml", "policy: "+outside, 1))
	says(t, 0, "not in the backup: "+outside, "backup", "--dir", dir, "--to", filepath.Join(t.TempDir(), "second"))
	writeFile(t, config, strings.Replace(inside, "policy: signing-policy.yaml", "policy: "+filepath.Join(dir, "signing-policy.yaml"), 1))
	third := filepath.Join(t.TempDir(), "third")
	says(t, 0, "not in the backup: "+filepath.Join(dir, "password"), "backup", "--dir", dir, "--to", third)
	if !exists(filepath.Join(third, "signing-policy.yaml")) {
		t.Error("a policy inside the folder, named by its whole path, is not in the backup")
	}
	writeFile(t, config, inside)
	says(t, exitUsage, "--to is compulsory", "backup", "--dir", dir)

	restored := filepath.Join(t.TempDir(), "restored")
	runs(t, 0, "restore", "--from", to, "--dir", restored, "--not-before", v1, "--not-before", v2)
	runs(t, 0, "fsck", "--dir", restored)
	for _, same := range []string{"trust/trusted_root.json", "trust/signing_config.v0.2.json", "hallmark.yaml", "keys/log-v1.key"} {
		if readFile(t, filepath.Join(restored, same)) != readFile(t, filepath.Join(dir, same)) {
			t.Errorf("%s is another", same)
		}
	}
	// With the password, which is kept elsewhere, it goes on.
	writeFile(t, filepath.Join(restored, "password"), readFile(t, filepath.Join(dir, "password")))
	fill(t, restored, "after", 2)
	runs(t, 0, "fsck", "--dir", restored)
	if got := logsOf(t, restored); got["v1"].Size != 8 || got["v2"].Size != 7 {
		t.Errorf("logs %+v", got)
	}
	says(t, exitNo, "never overwritten", "restore", "--from", to, "--dir", restored, "--without-checkpoint-unsafe")
}

// TestRestoreRefusesRollback: a log that is older than what was published stays
// away, unless it is frozen.
func TestRestoreRefusesRollback(t *testing.T) {
	dir := newDeployment(t)
	fill(t, dir, "first", 5)
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	newV1, newV2 := fill(t, dir, "second", 3)
	if err := os.Remove(filepath.Join(dir, databaseName)); err != nil {
		t.Fatal(err)
	}
	// The circle that people ran in: init refuses, serve says init.
	says(t, exitNo, "hallmark-server restore --from FOLDER --dir "+dir, "init", "--dir", dir)
	says(t, exitUndecided, "hallmark-server restore --from FOLDER --dir "+dir, "serve", "--dir", dir)

	args := []string{"restore", "--from", to, "--dir", dir}
	says(t, exitUsage, "no checkpoint was shown of log v1 (127.0.0.1 - ", args...)
	says(t, exitUsage, "no checkpoint was shown of log v2 (127.0.0.1)", append(args, "--not-before", newV1)...)
	says(t, exitUsage, "contradicts", append(args, "--not-before", newV1, "--without-checkpoint-unsafe")...)
	args = append(args, "--not-before", newV1, "--not-before", newV2)
	says(t, exitNo, "log v1 of the backup has 6 entries, a checkpoint was shown of 9", args...)
	says(t, exitNo, "log v2 of the backup has 5 entries, a checkpoint was shown of 8", args...)
	says(t, exitNo, "--freeze-older", args...)
	if exists(filepath.Join(dir, databaseName)) || exists(filepath.Join(dir, restoringName)) {
		t.Fatal("a refused copy is in the deployment")
	}

	says(t, 0, "log v1 lacks 3 entries that were published, and is frozen; next: hallmark-server log add", append(args, "--freeze-older")...)
	got := logsOf(t, dir)
	if got["v1"].State != "frozen" || got["v1"].Size != 6 || got["v2"].State != "frozen" {
		t.Fatalf("logs %+v", got)
	}
	if urls := writable(t, dir); len(urls) != 0 {
		t.Errorf("clients write to %v", urls)
	}
	// The way out.
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	runs(t, 0, "log", "activate", "--dir", dir, "v1-2")
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v2", "--host", "log2.example")
	runs(t, 0, "log", "activate", "--dir", dir, "v2-2")
	fill(t, dir, "third", 1)
	runs(t, 0, "fsck", "--dir", dir)
	if len(trustedLogs(t, dir)) != 4 {
		t.Error("verifiers forgot a log")
	}
}

// TestRestoreRefusesAnotherHistory: a checkpoint with the right signature and
// another root is a fork.
func TestRestoreRefusesAnotherHistory(t *testing.T) {
	dir := newDeployment(t)
	twin := filepath.Join(t.TempDir(), "twin")
	copyFolder(t, dir, twin)
	fill(t, dir, "one", 5)
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	_, goodV2 := fill(t, dir, "one", 5)
	forkedV1, _ := fill(t, twin, "another", 2)
	empty := filepath.Join(t.TempDir(), "empty")
	for _, flags := range [][]string{nil, {"--freeze-older"}} {
		args := append([]string{"restore", "--from", to, "--dir", empty, "--not-before", forkedV1, "--not-before", goodV2}, flags...)
		says(t, exitNo, "two histories were signed with one key", args...)
	}
	if exists(filepath.Join(empty, databaseName)) || exists(filepath.Join(empty, "keys")) {
		t.Error("a refused copy is in the deployment")
	}
}

// TestRestoreWantsOneDeployment: backups, folders and checkpoints that do not
// belong together.
func TestRestoreWantsOneDeployment(t *testing.T) {
	dir := newDeployment(t)
	v1, v2 := fill(t, dir, "first", 2)
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	note := readFile(t, v2)
	shown := func(v1, v2 string) []string {
		return []string{"restore", "--from", to, "--dir", filepath.Join(t.TempDir(), "into"), "--not-before", v1, "--not-before", v2}
	}
	foreign := writeFile(t, filepath.Join(t.TempDir(), "foreign"), strings.Replace(note, "127.0.0.1\n", "log.example\n", 1))
	forged := writeFile(t, filepath.Join(t.TempDir(), "forged"), strings.Replace(note, "\n2\n", "\n1\n", 1))
	says(t, exitNo, `is a checkpoint of "log.example", and the backup has no such log`, shown(v1, foreign)...)
	says(t, exitNo, "is no checkpoint of log v2", shown(v1, forged)...)
	says(t, exitUsage, "read checkpoint", shown(v1, filepath.Join(t.TempDir(), "nothing"))...)
	says(t, exitUsage, "is no backup: it has no manifest.json", "restore", "--from", dir, "--dir", t.TempDir(), "--without-checkpoint-unsafe")
	says(t, exitUsage, "--from is compulsory", "restore", "--dir", dir)

	// A folder of another deployment: other keys, or another origin.
	other := newDeployment(t)
	if err := os.Remove(filepath.Join(other, databaseName)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(other, "keys", "ca.key"), "another")
	says(t, exitNo, "that would mix two deployments", "restore", "--from", to, "--dir", other, "--without-checkpoint-unsafe")
	writeFile(t, filepath.Join(other, configName), strings.Replace(readFile(t, filepath.Join(other, configName)), testOrigin, "http://127.0.0.2:8080", 1))
	says(t, exitUsage, "the backup is of "+testOrigin, "restore", "--from", to, "--dir", other, "--without-checkpoint-unsafe")

	// Any changed byte of the backup.
	for _, path := range []string{"database", "keys/log-v2.key", "trust/trusted_root.json"} {
		broken := filepath.Join(t.TempDir(), "broken")
		copyFolder(t, to, broken)
		content := []byte(readFile(t, filepath.Join(broken, path)))
		content[len(content)/2] ^= 1
		writeFile(t, filepath.Join(broken, path), string(content))
		says(t, exitNo, "file "+path+" has changed", "restore", "--from", broken, "--dir", filepath.Join(t.TempDir(), "into"), "--without-checkpoint-unsafe")
	}
	for _, change := range [][2]string{
		{`"path": "keys/ca.key"`, `"path": "../ca.key"`}, {`"format": 1`, `"format": 2`}, {`"format": 1`, `"fromat": 1`}, {`"path": "database"`, `"path": "databasf"`},
	} {
		broken := filepath.Join(t.TempDir(), "broken")
		copyFolder(t, to, broken)
		m := filepath.Join(broken, manifestName)
		writeFile(t, m, strings.Replace(readFile(t, m), change[0], change[1], 1))
		runs(t, exitNo, "restore", "--from", broken, "--dir", filepath.Join(t.TempDir(), "into"), "--without-checkpoint-unsafe")
	}
}

// TestRestoreKeepsWhatIsNewer: the deployment lost its database only, and has
// rotated since the backup.
func TestRestoreKeepsWhatIsNewer(t *testing.T) {
	dir := newDeployment(t)
	fill(t, dir, "first", 1)
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	if err := os.Remove(filepath.Join(dir, databaseName)); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, configName)
	writeFile(t, config, readFile(t, config)+"# changed since\n")
	_, words := runs(t, 0, "restore", "--from", to, "--dir", dir, "--without-checkpoint-unsafe")
	if !strings.Contains(words, "kept "+config) || !strings.HasSuffix(readFile(t, config), "# changed since\n") {
		t.Errorf("words %q", words)
	}
	if len(trustedLogs(t, dir)) != 3 {
		t.Error("verifiers forgot the log that was added")
	}
	// The lost log's key is not used for another.
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	if _, ok := logsOf(t, dir)["v1-3"]; !ok {
		t.Errorf("logs %+v", logsOf(t, dir))
	}
	runs(t, 0, "fsck", "--dir", dir)
}
