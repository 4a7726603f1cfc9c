// SPDX-License-Identifier: Apache-2.0

package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

func TestNewLoggerWritesJSONToAFile(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	logger, err := NewLogger(f, "warn")
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("not this")
	logger.Warn("this", "n", 1)
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal(b, &line); err != nil || line["msg"] != "this" || line["n"] != 1.0 {
		t.Errorf("log is %q (%v), want one JSON line", b, err)
	}
}

func TestNewLoggerRefusesUnknownLevel(t *testing.T) {
	if _, err := NewLogger(io.Discard, "loud"); err == nil || !strings.Contains(err.Error(), "debug, info") {
		t.Errorf("got %v, want an error that lists the levels", err)
	}
}

// site is a wrapped mux on a real server, with everything it logged.
type site struct {
	url string
	log *syncBuffer
	reg http.Handler
}

func newSite(t *testing.T, mux http.Handler) site {
	t.Helper()
	log := &syncBuffer{}
	logger, err := NewLogger(log, "info")
	if err != nil {
		t.Fatal(err)
	}
	registry := NewRegistry("v0")
	requests, err := NewRequests(logger, registry)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(requests.Wrap(mux))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return site{url: server.URL, log: log, reg: Private{Registry: registry, Logger: logger}.Handler()}
}

// reply is a response read to its end.
type reply struct {
	status   int
	id, body string
}

func (s site) do(t *testing.T, method, path string) (reply, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader("body-secret"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer header-secret")
	req.Header.Set(RequestIDHeader, "forged")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header.Get(RequestIDHeader), string(b)}, err
}

func (s site) event(t *testing.T) map[string]any {
	t.Helper()
	line := s.log.waitForLine(t)
	var e map[string]any
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatalf("log line %q: %v", line, err)
	}
	return e
}

func (s site) metrics(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.reg.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestRequestLeavesOneEventWithoutSecrets(t *testing.T) {
	mux := http.NewServeMux()
	var seen string
	mux.HandleFunc("POST /artifacts/{digest}", func(w http.ResponseWriter, r *http.Request) {
		seen = RequestID(r.Context())
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "12345")
	})
	s := newSite(t, mux)
	got, err := s.do(t, http.MethodPost, "/artifacts/sha256:aa?token=query-secret")
	if err != nil {
		t.Fatal(err)
	}
	e, id := s.event(t), got.id
	want := map[string]any{
		"msg": "request", "request": id, "method": "POST",
		"route": "POST /artifacts/{digest}", "status": 201.0, "bytes": 5.0,
	}
	for k, v := range want {
		if e[k] != v {
			t.Errorf("event has %s = %v, want %v", k, e[k], v)
		}
	}
	if id == "forged" || len(id) < 20 || seen != id {
		t.Errorf("request id is %q, the handler saw %q, want one of our own", id, seen)
	}
	if text := s.log.String(); strings.Contains(text, "secret") || strings.Contains(text, "sha256:aa") {
		t.Errorf("log has a secret or a path: %s", text)
	}
	if line := `hallmark_http_request_duration_seconds_count{code="201",method="POST",route="POST /artifacts/{digest}"} 1`; !strings.Contains(s.metrics(t), line) {
		t.Errorf("metrics lack %s", line)
	}
}

func TestPanicIsA500WithTheID(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { panic("a private detail") })
	s := newSite(t, mux)
	got, err := s.do(t, http.MethodGet, "/")
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusInternalServerError || !strings.Contains(got.body, got.id) || strings.Contains(got.body, "private") {
		t.Errorf("got %+v, want a 500 that tells only the id", got)
	}
	var problem struct{ Status int }
	if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Status != 500 {
		t.Errorf("body %q is no problem document: %v", got.body, err)
	}
	e := s.event(t)
	if stack, ok := e["stack"].(string); !ok || e["level"] != "ERROR" || e["panic"] != "a private detail" || !strings.Contains(stack, "obs_test.go") {
		t.Errorf("event %v, want the panic and its stack", e)
	}
}

// A response that was cut must not look complete to the client.
func TestPanicAfterTheFirstByteCutsTheConnection(t *testing.T) {
	for name, cause := range map[string]any{"bug": "bug", "abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("flush through the wrapper: %v", err)
				}
				panic(cause)
			})
			s := newSite(t, mux)
			if got, err := s.do(t, http.MethodGet, "/"); err == nil {
				t.Errorf("client read %q as a whole answer", got.body)
			}
			if e := s.event(t); e["status"] != 200.0 || e["bytes"] != 4.0 {
				t.Errorf("event %v, want what was sent", e)
			}
		})
	}
}

func TestUnknownRouteAndMethodAreBounded(t *testing.T) {
	s := newSite(t, http.NewServeMux())
	if _, err := s.do(t, "INVENTED", "/a/path"); err != nil {
		t.Fatal(err)
	}
	s.event(t)
	if line := `{code="404",method="other",route="unmatched"} 1`; !strings.Contains(s.metrics(t), line) {
		t.Errorf("metrics lack %s", line)
	}
}

func TestSecondRequestsOnOneRegistryIsAnError(t *testing.T) {
	r := NewRegistry("v0")
	if _, err := NewRequests(slog.New(slog.DiscardHandler), r); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRequests(slog.New(slog.DiscardHandler), r); err == nil {
		t.Error("metrics were registered twice")
	}
}

func TestPrivateHandler(t *testing.T) {
	log := &syncBuffer{}
	logger, err := NewLogger(log, "info")
	if err != nil {
		t.Fatal(err)
	}
	good := func(context.Context) error { return nil }
	bad := func(context.Context) error { return errors.New("host db.internal is down") }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, tc := range []struct {
		name, path string
		ready      map[string]Check
		code       int
		body       string
	}{
		{"alive though not ready", "/healthz", map[string]Check{"database": bad}, 200, "ok\n"},
		{"ready", "/readyz", map[string]Check{"database": good, "log": good}, 200, `{"database":"ok","log":"ok"}` + "\n"},
		{"one failed", "/readyz", map[string]Check{"database": bad, "log": good}, 503, `{"database":"failed","log":"ok"}` + "\n"},
		{"one hangs", "/readyz", map[string]Check{"log": hangs}, 503, `{"log":"failed"}` + "\n"},
		{"other path", "/debug/pprof/", nil, 404, "404 page not found\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			h := Private{Registry: NewRegistry("v0"), Ready: tc.ready, Logger: logger}.Handler()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.path, nil))
			if w.Code != tc.code || w.Body.String() != tc.body {
				t.Errorf("%s: %d %q, want %d %q", tc.path, w.Code, w.Body.String(), tc.code, tc.body)
			}
		})
	}
	if !strings.Contains(log.String(), "db.internal") {
		t.Error("the reason of a failed check is not in the log")
	}
}

func TestMetricsHaveBuildInfo(t *testing.T) {
	w := httptest.NewRecorder()
	h := Private{Registry: NewRegistry("v1.2.3"), Logger: slog.New(slog.DiscardHandler)}.Handler()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{`version="v1.2.3"} 1`, "go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %q", want)
		}
	}
}

// syncBuffer is a log that a server writes and a test reads.
type syncBuffer struct {
	mu   sync.Mutex
	cond *sync.Cond   // made on first use, guarded by mu
	b    bytes.Buffer // guarded by mu
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cond != nil {
		s.cond.Broadcast()
	}
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// waitForLine returns the only line, and fails the test if there are more. A
// client can have its whole answer before the server has logged it.
func (s *syncBuffer) waitForLine(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cond == nil {
		s.cond = sync.NewCond(&s.mu)
	}
	for s.b.Len() == 0 {
		s.cond.Wait()
	}
	line, rest, _ := strings.Cut(s.b.String(), "\n")
	if rest != "" {
		t.Fatalf("more than one event: %q", s.b.String())
	}
	return line
}
