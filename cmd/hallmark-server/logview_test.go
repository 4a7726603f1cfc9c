// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/prometheus/client_golang/prometheus"
	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func viewOf(t *testing.T, dir string) (logView, *opened) {
	t.Helper()
	o, _ := open(t, dir)
	return logView{db: o.db, set: o.set, logger: slog.New(slog.DiscardHandler)}, o
}

// TestEntriesProveThemselves: what the API says of an entry verifies with the
// log's public key alone.
func TestEntriesProveThemselves(t *testing.T) {
	dir := newDeployment(t)
	v, o := viewOf(t, dir)
	o.log(t, "entry", 3)
	logs, err := v.Logs(t.Context())
	if err != nil || len(logs) != 2 {
		t.Fatalf("logs %v, %v", logs, err)
	}
	for _, l := range logs {
		id := sha256.Sum256(l.PublicKey) // of an ECDSA key
		if l.LogID != hex.EncodeToString(id[:]) {
			t.Errorf("log %s has id %s", l.Name, l.LogID)
		}
		for n := range l.Size {
			e, err := v.Entry(t.Context(), l.Name, fmt.Sprint(n))
			if err != nil {
				t.Fatal(err)
			}
			checkEntry(t, o, l, e)
			if again, err := v.Entry(t.Context(), l.Name, e.UUID); err != nil || again.Index != n {
				t.Errorf("by UUID: %+v, %v", again, err)
			}
		}
	}
}

func checkEntry(t *testing.T, o *opened, l api.Log, e api.LogEntry) {
	t.Helper()
	row, err := o.db.Log(t.Context(), l.Name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := publicKeyOf(row)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.ParseCheckpoint([]byte(e.Checkpoint), l.Origin, key)
	if err != nil || c.Size != e.TreeSize || hex.EncodeToString(c.Root[:]) != e.RootHash {
		t.Fatalf("checkpoint %+v of %+v: %v", c, e, err)
	}
	var proof merkle.RecordProof
	for _, h := range e.Hashes {
		var hash tlog.Hash
		if _, err := hex.Decode(hash[:], []byte(h)); err != nil {
			t.Fatal(err)
		}
		proof = append(proof, hash)
	}
	leaf := merkle.RecordHash(e.Body)
	if err := merkle.CheckRecord(proof, c.Size, c.Root, e.Index, leaf); err != nil {
		t.Errorf("entry %d of %s: %v", e.Index, l.Name, err)
	}
	if e.UUID != hex.EncodeToString(leaf[:]) || e.EntryID != fmt.Sprintf("%016x%s", row.TreeID, e.UUID) || e.GlobalIndex != l.FirstIndex+e.Index {
		t.Errorf("entry %+v", e)
	}
	if l.Kind == "v1" {
		checkTimestamp(t, l, key, e)
	} else if e.SignedEntryTimestamp != nil {
		t.Error("a v2 log vouches for time")
	}
}

// checkTimestamp verifies a signed entry timestamp: ECDSA over the SHA-256 of
// the RFC 8785 form of four members.
func checkTimestamp(t *testing.T, l api.Log, key crypto.PublicKey, e api.LogEntry) {
	t.Helper()
	message, err := json.Marshal(map[string]any{"logIndex": e.GlobalIndex, "logID": l.LogID, "integratedTime": e.IntegratedTime, "body": e.Body})
	if err != nil {
		t.Fatal(err)
	}
	if message, err = jsoncanonicalizer.Transform(message); err != nil {
		t.Fatal(err)
	}
	public, ok := key.(*ecdsa.PublicKey)
	digest := sha256.Sum256(message)
	if !ok || !ecdsa.VerifyASN1(public, digest[:], e.SignedEntryTimestamp) {
		t.Errorf("signed entry timestamp of entry %d does not verify over %s", e.Index, message)
	}
}

func TestSearchPages(t *testing.T) {
	dir := newDeployment(t)
	v, o := viewOf(t, dir)
	o.log(t, "entry", 5)
	for _, newest := range []bool{false, true} {
		var got []string
		q := api.LogQuery{Terms: []string{"image:" + testImage, "image:" + testImage}, Limit: 3, Newest: newest}
		for {
			page, err := v.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				got = append(got, fmt.Sprintf("%s/%d", e.Log, e.Index))
				if e.Kind != "test" || e.APIVersion != "0.0.1" || e.IntegratedTime == 0 {
					t.Errorf("entry %+v", e)
				}
			}
			if page.Next == "" {
				break
			}
			q.After = page.Next
		}
		want := "v1/1 v1/2 v1/3 v1/4 v1/5 v2/0 v2/1 v2/2 v2/3 v2/4"
		if newest {
			want = "v2/4 v2/3 v2/2 v2/1 v2/0 v1/5 v1/4 v1/3 v1/2 v1/1"
		}
		if strings.Join(got, " ") != want {
			t.Errorf("newest %v: %v", newest, got)
		}
	}
	none, err := v.Search(t.Context(), api.LogQuery{Terms: []string{"image:" + testImage, "email:a@b.example"}, All: true, Limit: 3})
	if err != nil || len(none.Entries) != 0 || none.Next != "" {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestViewRefuses(t *testing.T) {
	dir := newDeployment(t)
	v, o := viewOf(t, dir)
	for _, tt := range []struct {
		log, id string
		want    error
	}{
		{"v3", "0", api.ErrNotFound}, {"v1", "1", api.ErrNotFound}, {"v1", "9223372036854775807", api.ErrNotFound},
		{"v1", "9223372036854775808", api.ErrBadQuery}, {"v1", "-1", api.ErrBadQuery}, {"v1", "", api.ErrBadQuery}, {"v1", "0x0", api.ErrBadQuery},
		{"v1", strings.Repeat("ab", 32), api.ErrNotFound}, {"v1", strings.Repeat("xy", 32), api.ErrBadQuery},
	} {
		if _, err := v.Entry(t.Context(), tt.log, tt.id); !errors.Is(err, tt.want) {
			t.Errorf("entry %s of %s: %v, want %v", tt.id, tt.log, err, tt.want)
		}
	}
	for _, q := range []api.LogQuery{
		{Terms: []string{"what"}, Limit: 1}, {Limit: 1}, {Terms: []string{"a@b.example"}},
		{Terms: []string{"a@b.example"}, Limit: 1, After: "v1"}, {Terms: []string{"a@b.example"}, Limit: 1, After: "/1"},
		{Terms: []string{"a@b.example"}, Limit: 1, After: "v1/-1"}, {Terms: []string{"a@b.example"}, Limit: 1, After: "v9/1"},
	} {
		if _, err := v.Search(t.Context(), q); !errors.Is(err, api.ErrBadQuery) {
			t.Errorf("search %+v: %v", q, err)
		}
	}
	w := httptest.NewRecorder()
	if err := v.ServeTiles(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "v3", "checkpoint"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("checkpoint of no log: %v", err)
	}
	if err := v.ServeTiles(w, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), "v1", "checkpoint"); err != nil || !strings.HasPrefix(w.Body.String(), "127.0.0.1 - ") {
		t.Errorf("checkpoint %s, %v", w.Body, err)
	}
	if err := o.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logs(t.Context()); !errors.Is(err, signer.ErrNoLog) {
		t.Errorf("logs of a closed database: %v", err)
	}
}

// TestReadiness: a service that can read and not write is not ready.
func TestReadiness(t *testing.T) {
	dir := newDeployment(t)
	o, _ := open(t, dir)
	failing := func() (names []string) {
		for name, check := range readiness(o.cfg, o.db, o.set) {
			if check(t.Context()) != nil {
				names = append(names, name)
			}
		}
		return names
	}
	if got := failing(); got != nil {
		t.Errorf("failing %v", got)
	}
	if err := o.db.Freeze(t.Context(), logV2); err != nil {
		t.Fatal(err)
	}
	if got := failing(); got != nil {
		t.Errorf("signatures do not go to v2, and failing is %v", got)
	}
	if err := o.db.Freeze(t.Context(), logV1); err != nil {
		t.Fatal(err)
	}
	if got := failing(); len(got) != 1 || got[0] != "log v1" {
		t.Errorf("failing %v", got)
	}
	if err := hasRoom(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("there is room in a folder that is not there")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".ready-*")); len(left) > 0 {
		t.Errorf("probes left %v", left)
	}
}

func TestLogMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := newLogMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	m.observe(tlog.BatchStats{Log: "v1", Waiting: 3, New: 2, Size: 10, Took: time.Millisecond})
	m.observe(tlog.BatchStats{Log: "v1", Waiting: 1, Took: time.Second, Err: tlog.ErrUnavailable})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, series := range f.GetMetric() {
			name := f.GetName()
			for _, l := range series.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = series.GetCounter().GetValue() + series.GetGauge().GetValue() + float64(series.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"hallmark_log_batches_total v1 ok": 1, "hallmark_log_batches_total v1 failed": 1, "hallmark_log_entries_total v1": 2,
		"hallmark_log_size v1": 10, "hallmark_log_batch_appends v1": 2, "hallmark_log_batch_duration_seconds v1": 2,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v (of %v)", name, got[name], want, got)
		}
	}
	if _, err := newLogMetrics(registry); err == nil {
		t.Error("metrics are registered twice")
	}
}

// TestPublishedFollows: a key that is added is known to a running server, and
// files that broke do not take away what it knew.
func TestPublishedFollows(t *testing.T) {
	dir := newDeployment(t)
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPublished(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	expire := func() { p.checked = time.Now().Add(-rereadEvery) }
	root := func() string { doc, _ := p.Trust(context.Background()); return string(doc) }
	before := root()
	runs(t, 0, "log", "add", "--dir", dir, "--kind", "v1")
	added := readFile(t, filepath.Join(dir, "trust", trustedRootName))
	expire()
	if got := root(); got != added || got == before {
		t.Errorf("the server says %s", got)
	}
	writeFile(t, filepath.Join(dir, "trust", trustedRootName), "{")
	expire()
	if got := root(); got != added {
		t.Errorf("the server says %s", got)
	}
}
