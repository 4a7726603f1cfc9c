// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func writePublicKey(t *testing.T, path string, key crypto.PublicKey) {
	t.Helper()
	pem, err := cryptoutils.MarshalPublicKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(pem))
}

// trustedLogs is what a stock verifier reads in the deployment's trusted root.
func trustedLogs(t *testing.T, dir string) map[string]*root.TransparencyLog {
	t.Helper()
	trusted, err := root.NewTrustedRootFromPath(filepath.Join(dir, "trust", trustedRootName))
	if err != nil {
		t.Fatal(err)
	}
	for id, log := range trusted.RekorLogs() {
		if !log.ValidityPeriodEnd.IsZero() {
			t.Errorf("log %s has an end", id)
		}
	}
	return trusted.RekorLogs()
}

// writable is what a stock client would write to, by version.
func writable(t *testing.T, dir string) map[uint32]string {
	t.Helper()
	config, err := root.NewSigningConfigFromPath(filepath.Join(dir, "trust", signingConfigName))
	if err != nil {
		t.Fatal(err)
	}
	urls := map[uint32]string{}
	for _, s := range config.RekorLogURLs() {
		urls[s.MajorAPIVersion] = s.URL
	}
	return urls
}

// TestRotation walks through a rotation of both kinds.
func TestRotation(t *testing.T) {
	dir := newDeployment(t)
	fill(t, dir, "before", 3)
	if got := logsOf(t, dir); len(got) != 2 || got["v1"].Size != 4 || got["v2"].Size != 3 || got["v1"].State != "active" || !got["v1"].Published || !strings.HasPrefix(got["v1"].Origin, "127.0.0.1 - ") {
		t.Fatalf("logs %+v", got)
	}

	// Verifiers learn the keys first; nobody is sent to the logs.
	says(t, 0, "log activate --dir "+dir+" v1-2", "log", "add", "--dir", dir, "--kind", "v1")
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v2", "--host", "log2.example")
	got := logsOf(t, dir)
	if got["v1-2"].State != "pending" || !got["v1-2"].Published || got["v1-2"].Size != 1 || got["v1-2"].FirstIndex != tlog.Unplaced || got["v2-2"].Origin != "log2.example" {
		t.Errorf("logs %+v", got)
	}
	if n := len(trustedLogs(t, dir)); n != 4 {
		t.Errorf("verifiers know %d logs", n)
	}
	if urls := writable(t, dir); urls[1] != testOrigin || urls[2] != testOrigin {
		t.Errorf("clients write to %v", urls)
	}
	fill(t, dir, "meanwhile", 1)

	// The switch.
	for _, name := range []string{"v1-2", "v2-2"} {
		runs(t, 0, "log", "activate", "--dir", dir, name)
		runs(t, 0, "log", "activate", "--dir", dir, name) // again: nothing to do
	}
	fill(t, dir, "after", 2)
	got = logsOf(t, dir)
	for name, want := range map[string]logState{
		"v1": {State: "frozen", Size: 5}, "v1-2": {State: "active", Size: 3, FirstIndex: 5},
		"v2": {State: "frozen", Size: 4}, "v2-2": {State: "active", Size: 2, FirstIndex: 4},
	} {
		if l := got[name]; l.State != want.State || l.Size != want.Size || l.FirstIndex != want.FirstIndex || !l.Published {
			t.Errorf("log %s: %+v, want %+v", name, l, want)
		}
	}
	if n := len(trustedLogs(t, dir)); n != 4 {
		t.Errorf("verifiers know %d logs", n)
	}
	if urls := writable(t, dir); urls[1] != testOrigin || urls[2] != "http://log2.example:8080" {
		t.Errorf("clients write to %v", urls)
	}
	runs(t, 0, "fsck", "--dir", dir)

	// The end without a successor: nobody is sent there any more.
	says(t, 0, "takes no entry any more", "log", "freeze", "--dir", dir, "v2-2")
	if urls := writable(t, dir); len(urls) != 1 || urls[1] != testOrigin {
		t.Errorf("clients write to %v", urls)
	}
	says(t, exitNo, "frozen", "log", "activate", "--dir", dir, "v2-2")
	runs(t, 0, "fsck", "--dir", dir)
}

func TestRotationRefuses(t *testing.T) {
	dir := newDeployment(t)
	for _, tt := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, `--kind "": want v1 or v2`, []string{"log", "add"}},
		{exitUsage, `--kind "v3": want v1 or v2`, []string{"log", "add", "--kind", "v3"}},
		{exitUsage, "--host is for v2 logs", []string{"log", "add", "--kind", "v1", "--host", "a.example"}},
		{exitUsage, "--host is compulsory", []string{"log", "add", "--kind", "v2"}},
		{exitUsage, "not a bare host name", []string{"log", "add", "--kind", "v2", "--host", "https://a.example"}},
		{exitUsage, "not a bare host name", []string{"log", "add", "--kind", "v2", "--host", "A.example"}},
		{exitNo, `log "v2" has the origin "127.0.0.1"`, []string{"log", "add", "--kind", "v2", "--host", "127.0.0.1"}},
		{exitUsage, "takes the name of one log", []string{"log", "activate"}},
		{exitUsage, "takes the name of one log", []string{"log", "freeze", "v1", "v2"}},
		{exitNo, `no such log`, []string{"log", "activate", "v1-2"}},
		{exitNo, `no such log`, []string{"log", "freeze", "v3"}},
	} {
		says(t, tt.code, tt.says, append(tt.args, "--dir", dir)...)
	}
	says(t, exitUsage, "which command?", "log")
	if got := logsOf(t, dir); len(got) != 2 || got["v1"].State != "active" || got["v2"].State != "active" {
		t.Errorf("logs %+v", got)
	}
	_, closeLogs := open(t, dir)
	says(t, exitUndecided, "stop the service first", "log", "add", "--kind", "v1", "--dir", dir)
	closeLogs()
}

// TestAddAgain: what an interrupted add left is finished by the next, and a
// second pending log is refused.
func TestAddAgain(t *testing.T) {
	dir := newDeployment(t)
	before := readFile(t, filepath.Join(dir, "trust", trustedRootName))
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	says(t, exitNo, "v1-2 is pending", "log", "add", "--dir", dir, "--kind", "v1")

	// As if the power had failed before the trusted root was written.
	added := readFile(t, filepath.Join(dir, "trust", trustedRootName))
	writeFile(t, filepath.Join(dir, "trust", trustedRootName), before)
	says(t, exitNo, "its key is not in", "log", "activate", "--dir", dir, "v1-2")
	if got := logsOf(t, dir)["v1-2"]; got.Published || got.State != "pending" {
		t.Errorf("log %+v", got)
	}
	runs(t, exitNo, "fsck", "--dir", dir)
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	if got := readFile(t, filepath.Join(dir, "trust", trustedRootName)); strings.Count(got, "baseUrl") != strings.Count(added, "baseUrl") {
		t.Errorf("trusted root %s", got)
	}
	runs(t, 0, "fsck", "--dir", dir)
}

// TestLostKeyIsNotUsedAgain: a key file without a log belongs to a log that was
// lost, and may have signed.
func TestLostKeyIsNotUsedAgain(t *testing.T) {
	dir := newDeployment(t)
	lost := filepath.Join(dir, "keys", "log-v1-2.key")
	content := readFile(t, filepath.Join(dir, "keys", "log-v1.key"))
	writeFile(t, lost, content)
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	if _, ok := logsOf(t, dir)["v1-3"]; !ok || readFile(t, lost) != content {
		t.Errorf("logs %+v", logsOf(t, dir))
	}
}

// TestTrustIsKept: what rotation does not understand in the trusted root, it
// does not touch.
func TestTrustIsKept(t *testing.T) {
	dir := newDeployment(t)
	path := filepath.Join(dir, "trust", trustedRootName)
	var doc map[string]any
	if err := json.Unmarshal([]byte(readFile(t, path)), &doc); err != nil {
		t.Fatal(err)
	}
	doc["comment"] = "ours"
	changed, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(changed))
	says(t, exitUndecided, "unknown field", "log", "add", "--dir", dir, "--kind", "v1")
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, changed) {
		t.Errorf("the file was changed: %s, %v", after, err)
	}
	o, _ := open(t, dir)
	if rows, err := o.db.Logs(t.Context()); err != nil || len(rows) != 2 {
		t.Errorf("a log was made that nobody can be told of: %d logs, %v", len(rows), err)
	}
}

// TestReplicaWithoutTheKey is told before the rotation, not by it.
func TestReplicaWithoutTheKey(t *testing.T) {
	dir := newDeployment(t)
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	if err := os.Remove(filepath.Join(dir, "keys", "log-v1-2.key")); err != nil {
		t.Fatal(err)
	}
	o, _ := open(t, dir) // a pending log is not needed yet
	missing, err := o.keys.prepare(t.Context(), o.db)
	if err != nil || len(missing) != 1 || missing["v1-2"] == nil || !strings.Contains(missing["v1-2"].Error(), "every replica needs") {
		t.Errorf("missing %v, %v", missing, err)
	}
}
