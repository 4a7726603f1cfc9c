// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

const (
	secondOrigin = "log2.example"
	frozenAnswer = "This log has been frozen, please switch to the latest log.\n"
)

// rotate freezes the first log and activates a second one, as another process
// would.
func (e *env) rotate() {
	e.Helper()
	key := p256(e)
	e.keys["v2-2"] = key
	e.create(tlog.Config{Name: "v2-2", Origin: secondOrigin, Signer: key}, tlog.Birth{Kind: tlog.V2, TreeID: 2, State: tlog.Pending})
	if err := e.storage.Activate(e.Context(), "v2-2"); err != nil {
		e.Fatal(err)
	}
}

// to is the same service under another host name.
func (e *env) to(host string) *env {
	other := *e
	other.host = host
	return &other
}

// readAt waits for the moment that reads may lag behind, and no longer.
func (e *env) readAt(host, path, prefix string) {
	e.Helper()
	var got answer
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if got = e.to(host).do(http.MethodGet, path, ""); got.status == 200 && strings.HasPrefix(got.body, prefix) {
			return
		}
	}
	e.Errorf("%s%s: %d %s, want %q", host, path, got.status, got.body, prefix)
}

func TestShardsByHost(t *testing.T) {
	e := newEnv(t, nil)
	w := signers(t)[0]
	before, after := body(t, w.request(t, "before")), body(t, w.request(t, "after"))
	first := e.to(origin).post(before)
	if first.index(t) != "0" {
		t.Fatal(first.body)
	}
	// A cache keeps only what is at a name that is the log's for ever: what is
	// asked for at that of the next shard would be taken for the next shard's.
	const tile = "/tile/0/000.p/1"
	if got := e.to(origin).do(http.MethodGet, tile, ""); got.header.Get("Cache-Control") != "public, max-age=60" || got.header.Get("ETag") == "" {
		t.Errorf("under the log's name: %v", got.header)
	}
	for _, host := range []string{secondOrigin, "127.0.0.1"} {
		got := e.to(host).do(http.MethodGet, tile, "")
		if got.status != 200 || len(got.body) != 32 || got.header.Get("Cache-Control") != "no-store" || got.header.Get("ETag") != "" {
			t.Errorf("under the name %q: %d %v", host, got.status, got.header)
		}
	}
	e.rotate()

	for _, host := range []string{origin, "LOG.Example", origin + ":8443", origin + ".", "elsewhere.example", "127.0.0.1", "[::1]:443"} {
		for _, content := range []string{before, after, "rubbish"} {
			got := e.to(host).post(content)
			if got.status != 405 || got.body != frozenAnswer || got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.header.Get("Allow") == "" {
				t.Errorf("a write to frozen %q: %d %v %q", host, got.status, got.header, got.body)
			}
		}
		e.readAt(host, "/checkpoint", origin+"\n1\n")
		e.readAt(host, "/api/v2/checkpoint", origin+"\n1\n")
	}
	for _, host := range []string{secondOrigin, "Log2.Example:443", secondOrigin + "."} {
		got := e.to(host).post(after)
		if got.index(t) != "0" || !strings.Contains(got.body, `"envelope":"`+secondOrigin+`\n1\n`) {
			t.Errorf("a write to %q: %s", host, got.body)
		}
		e.readAt(host, "/checkpoint", secondOrigin+"\n1\n")
	}
	// What the first shard has is answered from there, with its own log id.
	again := e.to(secondOrigin).post(before)
	if again.index(t) != "0" || !strings.Contains(again.body, `"envelope":"`+origin+`\n1\n`) || logID(again) != logID(first) {
		t.Errorf("an entry of the first shard: %s", again.body)
	}
	req := w.request(t, "in process")
	got, err := e.service.Append(t.Context(), req.Digest, req.Signature.Content, w.certificate(t, 0), nil)
	if err != nil || got.LogIndex != 1 || !strings.HasPrefix(got.Checkpoint, secondOrigin+"\n") {
		t.Errorf("in process: %+v, %v", got, err)
	}
	if err := e.storage.Freeze(t.Context(), "v2-2"); err != nil {
		t.Fatal(err)
	}
	if got := e.to(secondOrigin).post(body(t, req)); got.status != 405 || got.body != frozenAnswer {
		t.Errorf("frozen without a successor: %d %s", got.status, got.body)
	}
	if _, err := e.service.Append(t.Context(), req.Digest, w.request(t, "in process").Signature.Content, w.certificate(t, 0), nil); !errors.Is(err, tlog.ErrFrozen) {
		t.Errorf("in process: %v", err)
	}
}

func logID(a answer) string {
	_, rest, _ := strings.Cut(a.body, `"keyId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// Other spellings of an entry are found in every shard.
func TestSpellingsAcrossShards(t *testing.T) {
	i, w := newIssuer(t, signers(t)[0]), signers(t)[0]
	e := newEnv(t, i.writers)
	req := i.request(w, "artifact")
	sig, cert := req.Signature.Content, req.Signature.Verifier.GetX509Certificate().RawBytes
	if _, err := e.service.Append(t.Context(), req.Digest, sig, cert, nil); err != nil {
		t.Fatal(err)
	}
	e.rotate()
	other := body(t, spelled(req, mirror(t, w.key.Public(), sig), cert))
	if got := e.to(secondOrigin).post(other); got.index(t) != "0" || !strings.Contains(got.body, origin+`\n1\n`) {
		t.Errorf("%s", got.body)
	}
	if got := e.to(origin).post(other); got.status != 405 {
		t.Errorf("at the frozen shard: %d %s", got.status, got.body)
	}
}

func TestClosedSet(t *testing.T) {
	e := newEnv(t, nil)
	if err := e.set.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, got := range []answer{e.post("{}"), e.do(http.MethodGet, "/checkpoint", "")} {
		if got.status != 503 || got.code != 14 || got.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// downable is a storage that answers nothing when it is down.
type downable struct {
	*storagetest.Memory
	down atomic.Bool
}

func (d *downable) err() error {
	if d.down.Load() {
		return errors.New("connection refused by 192.0.2.1")
	}
	return nil
}

func (d *downable) Logs(ctx context.Context) ([]tlog.LogRow, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Memory.Logs(ctx)
}

func (d *downable) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	if err := d.err(); err != nil {
		return tlog.LogRow{}, err
	}
	return d.Memory.Log(ctx, name)
}

func (d *downable) Entries(ctx context.Context, log string, from, to int64) ([]tlog.Entry, error) {
	if err := d.err(); err != nil {
		return nil, err
	}
	return d.Memory.Entries(ctx, log, from, to)
}

func (d *downable) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	if err := d.err(); err != nil {
		return err
	}
	return d.Memory.Commit(ctx, b, plan)
}

// serviceOver is a Service over a storage with one log.
func serviceOver(t *testing.T, st tlog.Storage, cfg tlog.Config, birth tlog.Birth) *rekorv2.Service {
	t.Helper()
	if err := tlog.Create(t.Context(), st, cfg, birth); err != nil {
		t.Fatal(err)
	}
	set, err := tlog.LoadSet(t.Context(), st, tlog.SetConfig{Signer: func(tlog.LogRow) (crypto.Signer, error) { return cfg.Signer, nil }, Config: tlog.Config{Shared: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w, err := writers.New(writers.Config{Mode: writers.Open})
	if err != nil {
		t.Fatal(err)
	}
	s, err := rekorv2.New(rekorv2.Config{Set: set, Writers: w})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(t *testing.T, s *rekorv2.Service, method, path, content string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(content)))
	return recorder
}

func TestNoV2Log(t *testing.T) {
	s := serviceOver(t, storagetest.NewMemory(), tlog.Config{Name: "v1", Origin: origin + " - 7", Signer: p256(t)}, tlog.Birth{Kind: tlog.V1, TreeID: 7, State: tlog.Active})
	for _, got := range []*httptest.ResponseRecorder{
		ask(t, s, http.MethodPost, "/api/v2/log/entries", body(t, signers(t)[0].request(t, "artifact"))),
		ask(t, s, http.MethodGet, "/checkpoint", ""),
	} {
		if got.Code != 404 || !strings.Contains(got.Body.String(), `"code":5`) {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	}
}

// While the database cannot be asked, what is in memory can be read, for longer
// than a look is remembered. What may be newer elsewhere is not answered from
// memory: another process may have acknowledged entries that this one's
// checkpoint does not cover.
func TestReadingWithoutTheDatabase(t *testing.T) {
	st := &downable{Memory: storagetest.NewMemory()}
	s := serviceOver(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: p256(t)}, tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active})
	w := signers(t)[0]
	if got := ask(t, s, http.MethodPost, "/api/v2/log/entries", body(t, w.request(t, "before"))); got.Code != 201 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	const tile = "/tile/0/000.p/1"
	want := ask(t, s, http.MethodGet, tile, "").Body.String()
	st.down.Store(true)
	content := body(t, w.request(t, "artifact"))
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		if got := ask(t, s, http.MethodGet, tile, ""); got.Code != 200 || got.Body.String() != want {
			t.Fatalf("a tile in memory: %d %s", got.Code, got.Body)
		}
	}
	for _, path := range []string{"GET /checkpoint", "GET /tile/0/000.p/2", "GET /tile/entries/000.p/1", "POST /api/v2/log/entries"} {
		method, path, _ := strings.Cut(path, " ")
		got := ask(t, s, method, path, content)
		if got.Code != 503 || got.Header().Get("Retry-After") == "" || got.Header().Get("Cache-Control") != "no-store" || strings.Contains(got.Body.String(), "192.0.2.1") {
			t.Errorf("%s %s: %d %v %s", method, path, got.Code, got.Header(), got.Body)
		}
	}
	st.down.Store(false)
	if got := ask(t, s, http.MethodPost, "/api/v2/log/entries", content); got.Code != 201 {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := ask(t, s, http.MethodGet, "/checkpoint", ""); got.Code != 200 || !strings.HasPrefix(got.Body.String(), origin+"\n2\n") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
