// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// TestLogHonest is what the commands say of a service that tells the truth.
func TestLogHonest(t *testing.T) {
	v1, v2 := twoLogs(t)
	s := newTestService(t, v1, v2)
	uuid := func(l *testLog, i int) string {
		hash := merkle.RecordHash(l.leaves[i])
		return hex.EncodeToString(hash[:])
	}
	s.found = []logHint{v1.hint(t, 5), v2.hint(t, 5)}
	digest := "sha256:" + string(v1.leaves[5][bytes.LastIndex(v1.leaves[5], []byte(`"value":"`))+9:][:64])
	plain := s.URL + "/hallmark/v1/logs/v2"
	for _, tc := range []struct {
		args string
		code int
		says string
	}{
		{"list", 0, "v1-2\tv1\tactive\tfrom 40\thallmark.example - 77\t300 entries\n"},
		{"get 45", 0, "entry\t45\nindex in this log\t5\nuuid\t" + uuid(v1, 5) + "\nentry id\t000000000000004d" + uuid(v1, 5)},
		{"get 45", 0, "logged at\t2025-10-09 08:53:26 UTC\nproven\tin the tree of 300 entries with root "},
		{"get 5 --log v1-2", 0, "entry\t45\n"},
		{"get 299 --log v2", 0, "log\tv2.example\nentry\t299\nuuid\t" + uuid(v2, 299) + "\nkind\thashedrekord 0.0.1\nproven"},
		{"get " + uuid(v2, 7), 0, "log\tv2.example\nentry\t7\n"},
		{"get " + uuid(v1, 7), 0, "entry\t47\n"},
		{"get 000000000000004d" + uuid(v1, 256), 0, "index in this log\t256\n"},
		{"get 299 --url " + plain, 0, "log\tv2.example\nentry\t299\n"},
		{"prove 45", 0, "proven\tin the tree of 300"},
		{"prove 3 --url " + plain, 0, "entry\t3\n"},
		{"prove " + digest, 0, "about\t" + digest + ", which the entry names\n"},
		{"search " + digest, 0, "v1-2  5      2025-10-09 08:53:26 UTC  rekord 0.0.1        " + digest[:19]},
		{"search image:registry.example/acme/app --all --newest --limit 1", 0, "rekord 0.0.1  registry.example/acme/app  -\n"},
		{"fsck", 0, "whole\thallmark.example - 77\t300 entries\troot "},
		{"fsck --log v2", 0, "whole\tv2.example\t300 entries"},
		{"fsck --url " + plain, 0, "whole\tv2.example\t300 entries"},

		{"get 340", 1, "has 300 entries, no index 300"},
		{"get 39", 1, "no v1 log that the global index 39 could be in"},
		{"get 5 --log v3", 1, `no log "v3" (hint: it has v1-2, v2)`},
		{"get " + strings.Repeat("0", 64), 1, "is in no log of the service"},
		{"get 000000000000004e" + uuid(v1, 5), 1, "no log with the tree id 78"},
		{"get 000000000000004d" + uuid(v2, 5), 1, "is in no log of the service"},
		{"prove sha256:" + strings.Repeat("0", 64), 1, "the service found 2, and none of them names it"},
		{"get 300 --url " + plain, 1, "no index 300"},

		{"get -- -1", 2, "is no entry"},
		{"get 99999999999999999999", 2, "is no entry"},
		{"get 9999999999999999999", 2, "out of range"},
		{"get " + strings.ToUpper(uuid(v1, 5)), 2, "in lower case"},
		{"get " + uuid(v2, 5) + " --url " + plain, 2, "a log at --url is not searched"},
		{"get 1 --url " + plain + " --log v2", 2, "--url names one log"},
		{"get 1 --url ftp://x", 2, "is not a URL"},
		{"get", 2, "takes one entry"},
		{"prove", 2, "takes one file, digest or index"},
		{"prove sha256:abc", 2, "is no digest"},
		{"prove nowhere.bin", 2, "no such file"},
		{"prove 1 --save x", 2, "--save goes with --since"},
		{"prove 1 --since x", 2, "no other argument"},
		{"search", 2, "takes 1 to 32 terms"},
		{"search nonsense", 2, "say what it is"},
		{"search " + digest + " --limit 0", 2, "--limit 0"},
		{"list --trusted-root nowhere.json", 2, "no such file"},
		{"list --server nowhere", 2, "is not a URL"},
		{"frobnicate", 2, `unknown command "frobnicate"`},
		{"list --server http://127.0.0.1:1", 3, "connection refused"},
		{"get 1 --url http://127.0.0.1:1", 3, "connection refused"},
		{"fsck --url http://127.0.0.1:1", 3, "connection refused"},
		{"search " + digest + " --server http://127.0.0.1:1", 3, "connection refused"},
	} {
		code, stdout, stderr := s.run(strings.Fields(tc.args)...)
		said := stdout
		if tc.code != 0 {
			said = stderr
		}
		if code != tc.code || !strings.Contains(said, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\nstdout: %s\nstderr: %s", tc.args, code, tc.code, tc.says, stdout, stderr)
		}
		if code != 0 && stdout != "" && !strings.HasPrefix(tc.args, "search") {
			t.Errorf("%s: exit code %d with data: %s", tc.args, code, stdout)
		}
	}
}

// TestLogDocument: the JSON of an entry holds everything that a stranger needs
// to check it again.
func TestLogDocument(t *testing.T) {
	v1, _ := twoLogs(t)
	s := newTestService(t, v1)
	code, stdout, stderr := s.run("get", "296", "-o", "json")
	if code != 0 {
		t.Fatal(stderr)
	}
	var d entryDocument
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	var proof merkle.RecordProof
	for _, h := range d.InclusionProof.Hashes {
		raw, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		proof = append(proof, merkle.Hash(raw))
	}
	root, err := hex.DecodeString(d.InclusionProof.RootHash)
	if err != nil {
		t.Fatal(err)
	}
	if err := merkle.CheckRecord(proof, d.InclusionProof.TreeSize, merkle.Hash(root), d.Index, merkle.RecordHash(d.Body)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(d.Checkpoint, base64.StdEncoding.EncodeToString(root)) || !bytes.Equal(d.Body, v1.leaves[256]) ||
		d.LogIndex != 296 || d.IntegratedTime != v1.times[256] || len(d.SignedEntryTimestamp) == 0 {
		t.Errorf("got %+v", d)
	}
}

// endless writes until nobody listens, and counts.
func endless(count *atomic.Int64, head string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(head))
		chunk := bytes.Repeat([]byte("a"), 64<<10)
		for {
			count.Add(int64(len(chunk)))
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// TestLogLies has a service lie in every way that the commands could believe.
// Each lie is "no" or "could not decide", with the reason and without data.
func TestLogLies(t *testing.T) {
	v1, v2 := twoLogs(t)
	stranger, _ := twoLogs(t)
	stranger.Name = "v1-2"
	strange := newTestService(t, stranger)
	s := newTestService(t, v1, v2)
	renamed := *v2
	renamed.Origin = "evil.example"
	s.found = []logHint{v1.hint(t, 5)}
	digest := "sha256:" + string(v1.leaves[5][bytes.LastIndex(v1.leaves[5], []byte(`"value":"`))+9:][:64])
	hash := merkle.RecordHash(v1.leaves[5])

	on := func(path string, lie http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, path) {
				return false
			}
			lie(w, r)
			return true
		}
	}
	write := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
	}
	tile := func(change func([]byte) []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			data, err := v1.tile(strings.TrimPrefix(r.URL.Path, "/hallmark/v1/logs/v1-2/"))
			if err != nil {
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write(change(data))
		}
	}
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }
	half := func(b []byte) []byte { return b[:len(b)/2] }
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { s.json(w, v) }
	}
	listed := func(change func(*logRow)) http.HandlerFunc {
		row := v1.logRow
		change(&row)
		return answer(map[string]any{"logs": []logRow{row, v2.logRow}})
	}
	hinted := func(change func(*logHint)) http.HandlerFunc {
		h := v1.hint(t, 5)
		change(&h)
		return answer(h)
	}
	get, fsck := "get 45", "fsck --log v1-2"
	for _, tc := range []struct {
		name, args string
		lie        func(http.ResponseWriter, *http.Request) bool
		code       int
		says       string
	}{
		{"other log's checkpoint", get, on("v1-2/checkpoint", write(v2.checkpoint(t, 300))), 1, "serves a checkpoint of"},
		{"stranger's checkpoint", get, on("v1-2/checkpoint", write(stranger.checkpoint(t, 300))), 1, "not signed by a log of the trusted root"},
		{"its key under another name", "get 5 --log v2", on("v2/checkpoint", write(renamed.checkpoint(t, 300))), 1, "whose checkpoints begin with"},
		{"changed checkpoint", get, on("v1-2/checkpoint", write(bytes.Replace(v1.checkpoint(t, 300), []byte("\n300\n"), []byte("\n301\n"), 1))), 1, "checkpoint"},
		{"half a checkpoint", get, on("v1-2/checkpoint", write(half(v1.checkpoint(t, 300)))), 1, "checkpoint"},
		{"no checkpoint", get, on("v1-2/checkpoint", http.NotFound), 1, "checkpoint"},
		{"empty checkpoint", get, on("v1-2/checkpoint", write(nil)), 1, "checkpoint"},
		{"wrong hash in a tile", get, on("/tile/0/", tile(flip)), 1, "does not commit to"},
		{"half a tile", get, on("/tile/0/", tile(half)), -1, ""},
		{"no tile", get, on("/tile/0/", http.NotFound), 1, "of level 0"},
		{"wrong body", get, on("/tile/entries/", tile(func(b []byte) []byte {
			return bytes.Replace(b, v1.leaves[5], bytes.Replace(v1.leaves[5], []byte("rekord"), []byte("rekors"), 1), 1)
		})), 1, "other bytes for entry 5"},
		{"wrong body", fsck, on("/tile/entries/", tile(func(b []byte) []byte {
			return bytes.Replace(b, v1.leaves[5], bytes.Replace(v1.leaves[5], []byte("rekord"), []byte("rekors"), 1), 1)
		})), 1, "not whole"},
		{"half an entry bundle", get, on("/tile/entries/", tile(half)), -1, ""},
		{"half an entry bundle", fsck, on("/tile/entries/", tile(half)), -1, ""},
		{"no entries", fsck, on("/tile/entries/", http.NotFound), 1, "not whole"},
		{"wrong hash in a tile", fsck, on("/tile/0/001.p", tile(flip)), 1, "other hashes than its entries"},
		{"broken", fsck, on("/tile/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), 3, "500"},
		{"elsewhere", get, on("/tile/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strange.URL+r.URL.Path, http.StatusFound)
		}), 3, ""},
		{"wrong first index", get, on("/v1/logs", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hallmark/v1/logs" {
				listed(func(row *logRow) { row.FirstIndex = 39 })(w, r)
				return
			}
			s.tilesOrEntry(w, r)
		}), 1, "signed entry timestamp"},
		{"another name for the v2 log", "get 5 --log v1-2", on("/hallmark/v1/logs", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hallmark/v1/logs" {
				answer(map[string]any{"logs": []logRow{{Name: "v1-2", Kind: "v1", TreeID: "77", State: "active", Origin: "v2.example", LogID: v2.LogID}}})(w, r)
				return
			}
			r.URL.Path = strings.Replace(r.URL.Path, "v1-2", "v2", 1)
			s.tilesOrEntry(w, r)
		}), 1, "says that log \"v1-2\" is a v1 log"},
		{"another index for a UUID", "get " + hex.EncodeToString(hash[:]), on("/entries/"+hex.EncodeToString(hash[:]), hinted(func(h *logHint) { h.Index = 6 })), 1, "has the UUID"},
		{"negative index for a UUID", "get " + hex.EncodeToString(hash[:]), on("/entries/"+hex.EncodeToString(hash[:]), hinted(func(h *logHint) { h.Index = -1 })), 1, "no index -1"},
		{"another time", get, on("/entries/5", hinted(func(h *logHint) { h.IntegratedTime++ })), 1, "signed entry timestamp"},
		{"no timestamp", get, on("/entries/5", hinted(func(h *logHint) { h.SignedEntryTimestamp = nil })), 1, "signed entry timestamp"},
		{"timestamp of another entry", get, on("/entries/5", answer(v1.hint(t, 6))), 1, "signed entry timestamp"},
		{"denied entry", get, on("/entries/5", http.NotFound), -1, ""},
		{"half an answer", get, on("/entries/5", write([]byte(`{"index":5,`))), 3, "answer"},
		{"a list of text", "list", on("/logs", write([]byte(`{"logs":"all"}`))), 3, "answer"},
		{"a page", "list", on("/logs", write([]byte("<html>"))), 3, "answer"},
		{"stranger's log", "list", on("/v1/logs", func(w http.ResponseWriter, r *http.Request) {
			strange.Config.Handler.ServeHTTP(w, r)
		}), 1, "not every log"},
		{"hidden log", "fsck", on("/v1/logs", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hallmark/v1/logs" {
				answer(map[string]any{"logs": []logRow{v1.logRow}})(w, r)
				return
			}
			s.tilesOrEntry(w, r)
		}), 1, "the service does not have"},
		{"found elsewhere", "prove " + digest, on("/search", answer(searchPage{Entries: []logHint{{Log: "v9", Index: 5}}})), 1, `no log "v9"`},
		{"found beyond the end", "prove " + digest, on("/search", answer(searchPage{Entries: []logHint{{Log: "v1-2", Index: 1 << 62}}})), 1, "no index"},
		{"found another entry", "prove " + digest, on("/search", answer(searchPage{Entries: []logHint{v1.hint(t, 6)}})), 1, "none of them names it"},
		{"more than asked", "search " + digest + " --limit 1", on("/search", answer(searchPage{Entries: []logHint{v1.hint(t, 5), v1.hint(t, 6)}})), 1, "asked for 1"},
		{"pages of nothing", "search " + digest, on("/search", answer(searchPage{Next: "1"})), 1, "does not say what"},
		{"a bundle that is none", "prove " + digest, on("/artifacts/", answer(map[string]any{"receipts": []any{map[string]any{"bundle": []byte("{}")}}})), 1, "not a Sigstore bundle"},
	} {
		s.lie = tc.lie
		code, stdout, stderr := s.run(strings.Fields(tc.args)...)
		if code != tc.code && (tc.code >= 0 || (code != 1 && code != 3)) || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s, %s: exit code %d, want %d and %q\nstdout: %s\nstderr: %s", tc.name, tc.args, code, tc.code, tc.says, stdout, stderr)
		}
		if stdout != "" && strings.HasPrefix(tc.args, "get") {
			t.Errorf("%s, %s: printed %s", tc.name, tc.args, stdout)
		}
	}
}

// tilesOrEntry answers without lies.
func (s *testService) tilesOrEntry(w http.ResponseWriter, r *http.Request) {
	lie := s.lie
	s.lie = nil
	s.Config.Handler.ServeHTTP(w, r)
	s.lie = lie
}

// TestLogEndless: no answer is read further than it can be of use.
func TestLogEndless(t *testing.T) {
	v1, v2 := twoLogs(t)
	s := newTestService(t, v1, v2)
	// The largest answer of use is an entry bundle: 256 leaves of 64 KiB. What
	// is on the way in buffers of the machine is not read.
	const most = 256*(64<<10) + 16<<20
	for _, tc := range []struct{ path, head, args, says string }{
		{"/hallmark/v1/logs", `{"logs":[],"x":"`, "list", "has more than 1048576 bytes"},
		{"/hallmark/v1/search", `{"entries":[],"x":"`, "search " + strings.Repeat("0", 64), "has more than 1048576 bytes"},
		{"/hallmark/v1/logs/v1-2/entries/5", `{"index":5,"x":"`, "get 45", "has more than 1048576 bytes"},
		{"/hallmark/v1/logs/v1-2/checkpoint", "hallmark.example - 77\n300\n", "get 45", ""},
		{"/hallmark/v1/logs/v1-2/tile/0/000", "", "get 45", ""},
		{"/hallmark/v1/logs/v1-2/tile/entries/000", "\x00\x01", "get 45", ""},
		{"/hallmark/v1/logs/v1-2/tile/entries/000", "\x00\x01", "fsck", ""},
		{"/hallmark/v1/logs/v1-2/tile/1/000.p/1", "", "fsck", ""},
	} {
		var sent atomic.Int64
		s.lie = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != tc.path {
				return false
			}
			endless(&sent, tc.head)(w, r)
			return true
		}
		code, stdout, stderr := s.run(strings.Fields(tc.args)...)
		if code != 1 && code != 3 || stdout != "" && !strings.HasPrefix(tc.args, "fsck") || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s, %s: exit code %d, stdout %q: %s", tc.path, tc.args, code, stdout, stderr)
		}
		if sent.Load() == 0 || sent.Load() > most {
			t.Errorf("%s, %s: %d bytes were taken", tc.path, tc.args, sent.Load())
		}
	}
}

// TestLogGrowth is a monitor's view of a log that grows, and of ones that do
// not.
func TestLogGrowth(t *testing.T) {
	v1, v2 := twoLogs(t)
	s := newTestService(t, v1, v2)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fork := newTestLog(t, v1.logRow)
	fork.key, fork.LogID = v1.key, v1.LogID
	for i := range 260 {
		fork.add(t, fmt.Appendf(nil, "another entry %d", i))
	}
	other, _ := twoLogs(t)
	plain := s.URL + "/hallmark/v1/logs/v2"
	for _, tc := range []struct {
		name  string
		since []byte
		flags string
		code  int
		says  string
	}{
		{"grown", v1.checkpoint(t, 7), "", 0, "consistent\thallmark.example - 77\tfrom 7 to 300 entries\n"},
		{"grown by tiles", v2.checkpoint(t, 257), "", 0, "from 257 to 300"},
		{"grown, at a URL", v2.checkpoint(t, 256), "--url " + plain, 0, "from 256 to 300"},
		{"unchanged", v1.checkpoint(t, 300), "", 0, "from 300 to 300"},
		{"from nothing", v1.checkpoint(t, 0), "", 0, "from 0 to 300"},
		{"forked", fork.checkpoint(t, 260), "", 1, "its first 260 entries are not those that it signed before"},
		{"rolled back", func() []byte {
			longer := newTestLog(t, v1.logRow)
			longer.key, longer.LogID = v1.key, v1.LogID
			for _, leaf := range v1.leaves {
				longer.add(t, leaf)
			}
			longer.add(t, []byte("one more"))
			return longer.checkpoint(t, 301)
		}(), "", 1, "had 301 entries and now has 300"},
		{"of the other log, at a URL", v1.checkpoint(t, 7), "--url " + plain, 1, `shows a checkpoint of "v2.example"`},
		{"a stranger's", other.checkpoint(t, 7), "", 2, "not signed by a log of the trusted root"},
		{"no checkpoint", []byte("hello\n"), "", 2, "checkpoint"},
	} {
		path := file("since", tc.since)
		saved := filepath.Join(dir, "saved")
		_ = os.Remove(saved) // of the case before
		code, stdout, stderr := s.run(append([]string{"prove", "--since", path, "--save", saved}, strings.Fields(tc.flags)...)...)
		if code != tc.code || !strings.Contains(stdout+stderr, tc.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", tc.name, code, tc.code, tc.says, stdout, stderr)
		}
		if tc.code == 1 && strings.Contains(tc.name, "ed") && !strings.Contains(tc.name, "other") {
			if !strings.Contains(stdout, string(tc.since)) || !strings.Contains(stdout, "\n300\n") {
				t.Errorf("%s: both checkpoints are the evidence, got\n%s", tc.name, stdout)
			}
		}
		kept, err := os.ReadFile(saved)
		if (err == nil) != (code == 0) || (code == 0 && !bytes.Contains(kept, []byte("\n300\n"))) {
			t.Errorf("%s: saved %q, %v", tc.name, kept, err)
		}
	}
}
