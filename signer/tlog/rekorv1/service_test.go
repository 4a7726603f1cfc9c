// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	rekorclient "github.com/sigstore/rekor/pkg/client"
	"github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/generated/models"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

const host = "log.example"

// options say how an env differs from an open log.
type options struct {
	writers writers.Config
	config  tlog.Config
	maxBody int64
	empty   bool // without a genesis entry
	// storage, if set, is put in front of the one in memory.
	storage func(tlog.Storage) tlog.Storage
}

// env is a service over logs in memory, on a real listener.
type env struct {
	testing.TB
	storage *storagetest.Memory
	set     *tlog.Set
	service *rekorv1.Service
	url     string

	mu   sync.Mutex // guards keys
	keys map[string]*ecdsa.PrivateKey
}

// newEnv starts a service over one log with its genesis entry.
func newEnv(t testing.TB, o options) *env {
	t.Helper()
	e := &env{TB: t, storage: storagetest.NewMemory(), keys: make(map[string]*ecdsa.PrivateKey)}
	e.birth("v1", tlog.Active)
	// A v2 log in the same storage must never show.
	e.keys["v2"] = p256(t)
	e.must(tlog.Create(t.Context(), e.storage, tlog.Config{Name: "v2", Origin: "v2." + host, Signer: e.keys["v2"]},
		tlog.Birth{Kind: tlog.V2, TreeID: 4, State: tlog.Active}))
	var err error
	o.config.Shared = true // rotations are what another process does
	var st tlog.Storage = e.storage
	if o.storage != nil {
		st = o.storage(st)
	}
	e.set, err = tlog.LoadSet(t.Context(), st, tlog.SetConfig{Signer: e.signer, Config: o.config})
	e.must(err)
	t.Cleanup(func() { e.must(e.set.Close(context.Background())) })
	if !o.empty {
		e.genesis()
	}
	if o.writers.Mode == "" {
		o.writers.Mode = writers.Open
	}
	w, err := writers.New(o.writers)
	e.must(err)
	e.service, err = rekorv1.New(rekorv1.Config{Set: e.set, Writers: w, MaxBody: o.maxBody})
	e.must(err)
	server := httptest.NewServer(e.service)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// in is the env in a subtest.
func (e *env) in(t testing.TB) *env {
	return &env{TB: t, storage: e.storage, set: e.set, service: e.service, url: e.url, keys: e.keys}
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) signer(row tlog.LogRow) (crypto.Signer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keys[row.Name], nil
}

// birth creates a v1 log.
func (e *env) birth(name string, state tlog.State) {
	e.Helper()
	key := p256(e)
	e.mu.Lock()
	e.keys[name] = key
	e.mu.Unlock()
	tree := tlog.NewTreeID()
	cfg := tlog.Config{Name: name, Origin: fmt.Sprintf("%s - %d", host, tree), Signer: key}
	e.must(tlog.Create(e.Context(), e.storage, cfg, tlog.Birth{Kind: tlog.V1, TreeID: tree, State: state}))
}

// genesis writes the first entry of the active log.
func (e *env) genesis() {
	e.Helper()
	log := e.active()
	key, err := e.signer(log.Row())
	e.must(err)
	leaf, err := rekorv1.Genesis(key, log.Origin())
	e.must(err)
	_, err = log.Append(e.Context(), leaf)
	e.must(err)
}

// rotate starts another shard and freezes the one before.
func (e *env) rotate(name string) {
	e.Helper()
	e.birth(name, tlog.Pending)
	e.must(e.storage.Activate(e.Context(), name))
	e.genesis()
}

func (e *env) active() *tlog.Log {
	e.Helper()
	log, err := e.set.Active(e.Context(), tlog.V1)
	e.must(err)
	return log
}

// client is Rekor's own, without retries.
func (e *env) client() *client.Rekor {
	e.Helper()
	c, err := rekorclient.GetRekorClient(e.url, rekorclient.WithRetryCount(0))
	e.must(err)
	return c
}

// reply is an HTTP answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

// call sends a request; a body makes it JSON.
func (e *env) call(method, path, body string) reply {
	e.Helper()
	return e.send(method, path, body, "application/json")
}

func (e *env) send(method, path, body, contentType string) reply {
	e.Helper()
	req, err := http.NewRequestWithContext(e.Context(), method, e.url+path, strings.NewReader(body))
	e.must(err)
	if contentType != "" && method == http.MethodPost {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	e.must(err)
	defer func() { _ = resp.Body.Close() }()
	read, err := io.ReadAll(resp.Body)
	e.must(err)
	return reply{resp.StatusCode, resp.Header, string(read)}
}

// submit posts a proposed entry and demands a status.
func (e *env) submit(proposed []byte, want int) reply {
	e.Helper()
	got := e.call(http.MethodPost, "/api/v1/log/entries", string(proposed))
	if got.status != want {
		e.Fatalf("status %d instead of %d: %.300s", got.status, want, got.body)
	}
	return got
}

// only returns the one entry of an answer and its id.
func only(t testing.TB, body string) (string, models.LogEntryAnon) {
	t.Helper()
	var all models.LogEntry
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != 1 {
		t.Fatalf("answer %q: %v", body, err)
	}
	if err := all.Validate(strfmt.Default); err != nil {
		t.Fatal(err)
	}
	for id, entry := range all {
		return id, entry
	}
	panic("unreachable")
}

// leaf is the canonical form of an answered entry.
func leaf(t testing.TB, entry models.LogEntryAnon) []byte {
	t.Helper()
	b, ok := entry.Body.(string)
	var decoded strfmt.Base64
	if !ok || decoded.UnmarshalText([]byte(b)) != nil {
		t.Fatalf("body %v", entry.Body)
	}
	return decoded
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func compact(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
