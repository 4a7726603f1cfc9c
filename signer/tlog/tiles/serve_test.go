// SPDX-License-Identifier: Apache-2.0

package tiles_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
)

const origin = "log.example"

// env is a log in memory whose read path is on a real listener under /log/.
type env struct {
	testing.TB
	key crypto.Signer
	log *tlog.Log
	url string
}

// newEnv starts one with size entries. source, if not nil, is put in front of
// the log.
func newEnv(t testing.TB, size int, source func(*tlog.Log) tlog.Source) *env {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	storage, cfg := storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: key}
	if err := tlog.Create(t.Context(), storage, cfg, tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}); err != nil {
		t.Fatal(err)
	}
	log, err := tlog.Load(t.Context(), storage, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const goroutines = 64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < size; i += goroutines {
				if _, err := log.Append(context.Background(), tlog.Leaf{Body: binary.BigEndian.AppendUint64(nil, uint64(i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var src tlog.Source = log
	if source != nil {
		src = source(log)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/log/")
		if !ok {
			path = r.URL.Path
		}
		_ = tiles.Serve(w, r, src, path) // answered; a real server logs the error
	}))
	t.Cleanup(server.Close)
	return &env{t, key, log, server.URL + "/log"}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; the path goes out as it is written.
func (e *env) do(method, path, ifNoneMatch string) answer {
	e.Helper()
	req, err := http.NewRequestWithContext(e.Context(), method, e.url, nil)
	if err != nil {
		e.Fatal(err)
	}
	req.URL.Opaque = "/log/" + path
	if ifNoneMatch != "" {
		req.Header.Set("If-None-Match", ifNoneMatch)
	}
	res, err := http.DefaultTransport.RoundTrip(req) // no redirects
	if err != nil {
		e.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		e.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

const (
	immutable = "public, max-age=31536000, immutable"
	short     = "public, max-age=60"
	never     = "no-store"
)

func TestServe(t *testing.T) {
	e := newEnv(t, 300, nil)
	for _, tc := range []struct {
		method, path string
		status       int
		cache        string
		length       int // of the body that GET has; -1 for any
	}{
		{"GET", "checkpoint", 200, never, -1},
		{"HEAD", "checkpoint", 200, never, -1},
		{"GET", "tile/0/000", 200, immutable, 8192},
		{"HEAD", "tile/0/000", 200, immutable, 8192},
		{"GET", "tile/entries/000", 200, immutable, 2560},
		{"HEAD", "tile/entries/000", 200, immutable, 2560},
		{"GET", "tile/0/000.p/255", 200, short, 255 * 32},
		{"GET", "tile/0/001.p/44", 200, short, 44 * 32},
		{"GET", "tile/0/001.p/1", 200, short, 32},
		{"GET", "tile/1/000.p/1", 200, short, 32},
		{"GET", "tile/entries/001.p/44", 200, short, 440},
		{"POST", "checkpoint", 405, never, -1},
		{"DELETE", "tile/0/000", 405, never, -1},
		{"OPTIONS", "tile/0/000", 405, never, -1},
		{"GET", "tile/0/001", 404, never, -1},
		{"HEAD", "tile/0/001", 404, never, -1},
		{"GET", "tile/0/001.p/45", 404, never, -1},
		{"GET", "tile/entries/001", 404, never, -1},
		{"GET", "tile/entries/001.p/45", 404, never, -1},
		{"GET", "tile/1/000", 404, never, -1},
		{"GET", "tile/1/000.p/2", 404, never, -1},
		{"GET", "tile/2/000.p/1", 404, never, -1},
		{"GET", "tile/63/000.p/1", 404, never, -1},
		{"POST", "elsewhere", 404, never, -1},
	} {
		got := e.do(tc.method, tc.path, "")
		if got.status != tc.status || got.header.Get("Cache-Control") != tc.cache || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %d %v, want %d, %q", tc.method, tc.path, got.status, got.header, tc.status, tc.cache)
		}
		if length := strconv.Itoa(tc.length); tc.length >= 0 && got.header.Get("Content-Length") != length {
			t.Errorf("%s %s: length %s, want %s", tc.method, tc.path, got.header.Get("Content-Length"), length)
		}
		if (tc.method == "HEAD") != (got.body == "") {
			t.Errorf("%s %s: body %q", tc.method, tc.path, got.body)
		}
		if tc.status == 405 && got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s: %v", tc.method, tc.path, got.header)
		}
		contentType := "application/octet-stream"
		if tc.status != 200 || tc.path == "checkpoint" {
			contentType = "text/plain; charset=utf-8"
		}
		if sent := got.header.Get("Content-Type"); sent != contentType {
			t.Errorf("%s %s: type %q", tc.method, tc.path, sent)
		}
	}
}

// oddPaths are spelled in a way that no client has a reason for.
func oddPaths() []string {
	return []string{
		"", "/", "checkpoint/", "/checkpoint", "Checkpoint", "checkpoint.txt", "checkpoin%74", "check%70oint",
		"tile", "tile/", "tile/0", "tile/0/", "tile//0/000", "tile/0//000", "//tile/0/000", "tile/0/000/", "tile/0/000//",
		"tile/64/000.p/1", "tile/999999999999999999999/000", "tile/-1/000", "tile/+0/000", "tile/00/000", "tile/%200/000", "tile/0x0/000",
		"tile/0/-01", "tile/0/+00", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/x001/000", "tile/0/x000/x000/000", "tile/0/000/000", "tile/0/x000",
		"tile/0/001/234", "tile/0/x1/234", "tile/0/X001/234", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/0/x009/x223/x372/x036/x854/x775/807", "tile/0/x018/x446/x744/x073/x709/x551/616",
		"tile/0/x" + strings.Repeat("999/x", 500) + "999",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/00", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/-1", "tile/0/000.p/+1",
		"tile/0/000.p/1/", "tile/0/000.p/1/1", "tile/0/000.p/1e1", "tile/0/000.p/99999999999999999999", "tile/0/000.P/1", "tile/0/000/.p/1",
		"tile/entries", "tile/entries/", "tile/entries/0/000", "tile/entries/data/000", "tile/entries/entries/000", "tile/entries/000.p/0", "tile/entries/000.p/256", "tile/entries/-01", "tile/Entries/000",
		"tile/data/000", "tile/8/0/000", "tile/8/data/000", "tile/names/000",
		"tile/0/%30%30%30", "tile%2f0%2f000", "tile/0/%2e%2e/checkpoint", "tile/../checkpoint", "tile/0/../0/000", "./checkpoint", "tile/0/000%00", "tile/0/000%20", "tile/0/%ef%bc%90%ef%bc%90%ef%bc%90",
	}
}

func TestOddPathsAreNotFound(t *testing.T) {
	e := newEnv(t, 300, nil)
	for _, path := range oddPaths() {
		if got := e.do("GET", path, ""); got.status != 404 || got.header.Get("Cache-Control") != never || len(got.body) > 100 {
			t.Errorf("%s: %d %v %s", path, got.status, got.header, got.body)
		}
	}
}

func TestIfNoneMatch(t *testing.T) {
	e := newEnv(t, 300, nil)
	for path, cache := range map[string]string{"tile/0/000": immutable, "tile/entries/000": immutable, "tile/0/001.p/44": short} {
		first := e.do("GET", path, "")
		tag := first.header.Get("ETag")
		again := e.do("GET", path, tag)
		if tag == "" || first.body == "" || again.status != 304 || again.body != "" || again.header.Get("ETag") != tag || again.header.Get("Cache-Control") != cache {
			t.Errorf("%s: %q, then %d %v %q", path, tag, again.status, again.header, again.body)
		}
		if other := e.do("GET", path, `"other"`); other.status != 200 || other.body == "" {
			t.Errorf("%s: %d for another tag", path, other.status)
		}
	}
	tag := e.do("GET", "tile/0/000", "").header.Get("ETag")
	if got := e.do("GET", "tile/0/001", tag); got.status != 404 {
		t.Errorf("a tile that does not exist has not changed: %d", got.status)
	}
	if got := e.do("GET", "checkpoint", tag); got.status != 200 {
		t.Errorf("the checkpoint has not changed: %d", got.status)
	}
}

// failing is a source that has one error for everything.
type failing struct{ err error }

func (f failing) Checkpoint(context.Context) ([]byte, error)              { return nil, f.err }
func (f failing) Tile(context.Context, int, int64, int) ([]byte, error)   { return nil, f.err }
func (f failing) EntryBundle(context.Context, int64, int) ([]byte, error) { return nil, f.err }

func TestErrorsOfTheSource(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	secret := errors.New("disk 7 of database.corp.example is full")
	for _, tc := range []struct {
		err    error
		ctx    context.Context
		status int
		ours   bool
	}{
		{fmt.Errorf("%w: %w", tlog.ErrNotFound, secret), t.Context(), 404, false},
		{fmt.Errorf("%w: %w", tlog.ErrUnavailable, secret), t.Context(), 503, true},
		{fmt.Errorf("%w: %w", tlog.ErrClosed, secret), t.Context(), 503, true},
		{fmt.Errorf("%w: %w", tlog.ErrCorrupt, secret), t.Context(), 500, true},
		{secret, t.Context(), 500, true},
		{fmt.Errorf("%w: %w", tlog.ErrUnavailable, context.Canceled), gone, 499, false},
	} {
		for _, path := range []string{"checkpoint", "tile/0/000", "tile/entries/000"} {
			recorder := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(tc.ctx, http.MethodGet, "/"+path, nil)
			err := tiles.Serve(recorder, req, failing{tc.err}, path)
			if recorder.Code != tc.status || (err != nil) != tc.ours || strings.Contains(recorder.Body.String(), "disk") ||
				recorder.Header().Get("Cache-Control") != never || recorder.Header().Get("ETag") != "" || (recorder.Header().Get("Retry-After") != "") != (tc.status == 503) {
				t.Errorf("%v, %s: %d %v %s, %v", tc.err, path, recorder.Code, recorder.Header(), recorder.Body, err)
			}
		}
	}
}

// Whatever is asked for, the answer is a tile of the log under its one name, or
// 404; and only what never changes may be kept for ever.
func FuzzServe(f *testing.F) {
	const size = 300
	e := newEnv(f, size, nil)
	for _, path := range append(oddPaths(), "checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44", "tile/0/x001/x234/067.p/1") {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		recorder := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		req.URL = &url.URL{Path: "/" + path}
		if err := tiles.Serve(recorder, req, e.log, path); err != nil {
			t.Fatal(err)
		}
		cache := recorder.Header().Get("Cache-Control")
		if recorder.Code == 404 && cache == never || path == "checkpoint" && recorder.Code == 200 && cache == never {
			return
		}
		var (
			level, n int
			width    = 256
			want     []byte
			err      error
		)
		switch {
		case recorder.Code != 200:
			t.Fatalf("%q: %d", path, recorder.Code)
		case scan(path, "tile/entries/%03d.p/%d", &n, &width), scan(path, "tile/entries/%03d", &n):
			want, err = e.log.EntryBundle(t.Context(), int64(n), width)
		case scan(path, "tile/%d/%03d.p/%d", &level, &n, &width), scan(path, "tile/%d/%03d", &level, &n):
			want, err = e.log.Tile(t.Context(), level, int64(n), width)
		default:
			t.Fatalf("%q is answered", path)
		}
		if err != nil || recorder.Body.String() != string(want) || (cache == immutable) != (width == 256) {
			t.Errorf("%q: %q, %d bytes, want %d, %v", path, cache, recorder.Body.Len(), len(want), err)
		}
	})
}

// scan reads numbers and says whether the path is spelled as they are printed.
func scan(path, format string, numbers ...*int) bool {
	pointers, values := make([]any, len(numbers)), make([]any, len(numbers))
	for i, p := range numbers {
		pointers[i] = p
	}
	before := make([]int, len(numbers))
	for i, p := range numbers {
		before[i] = *p
	}
	n, err := fmt.Sscanf(path, strings.ReplaceAll(format, "%03d", "%d"), pointers...)
	for i, p := range numbers {
		values[i] = *p
	}
	if err == nil && n == len(numbers) && fmt.Sprintf(format, values...) == path {
		return true
	}
	for i, p := range numbers {
		*p = before[i]
	}
	return false
}
