// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/api"
)

// logs is api.Logs that has one log, "v1", with one entry, and does what the
// test says when it is searched.
type logs struct {
	search func(ctx context.Context, q api.LogQuery) (api.LogPage, error)
}

func (l logs) Logs(context.Context) ([]api.Log, error) {
	return []api.Log{{Name: "v1", Kind: "v1", State: "active", TreeID: "7", FirstIndex: 0, Size: 1}}, nil
}

func (l logs) Entry(_ context.Context, log, id string) (api.LogEntry, error) {
	switch {
	case log == "broken":
		return api.LogEntry{}, errors.New("password=hunter2")
	case log == "away":
		return api.LogEntry{}, fmt.Errorf("%w: failed to connect to user=hunter2", signer.ErrNoLog)
	case id == "x":
		return api.LogEntry{}, fmt.Errorf("%w: entry %q", api.ErrBadQuery, id)
	case log != "v1" || id != "0":
		return api.LogEntry{}, fmt.Errorf("%w: entry %s", api.ErrNotFound, id)
	}
	return api.LogEntry{LogPosition: api.LogPosition{Log: "v1", UUID: "ab"}, Body: []byte("leaf"), TreeSize: 1, Hashes: []string{}}, nil
}

func (l logs) Search(ctx context.Context, q api.LogQuery) (api.LogPage, error) {
	return l.search(ctx, q)
}

func (l logs) ServeTiles(w http.ResponseWriter, r *http.Request, log, path string) error {
	if log != "v1" {
		return fmt.Errorf("%w: log %q", api.ErrNotFound, log)
	}
	_, err := w.Write([]byte(r.Method + " " + path))
	return err
}

func get(t *testing.T, handler http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
	return w
}

func TestLogs(t *testing.T) {
	handler := handlerOf(t, service{})
	for _, tt := range []struct {
		path string
		code int
		body string // part of it
	}{
		{"logs", 200, `{"logs":[{"name":"v1","kind":"v1","state":"active","treeID":"7","origin":"","logID":"","firstIndex":0,"size":1,`},
		{"logs/v1/entries/0", 200, `"uuid":"ab"`},
		{"logs/v1/entries/0", 200, `"body":"bGVhZg==","treeSize":1,"rootHash":"","hashes":[],`},
		{"logs/v1/entries/1", 404, "urn:hallmark:problem:not-found"},
		{"logs/v1/entries/x", 400, "urn:hallmark:problem:bad-query"},
		{"logs/v1/entries/" + strings.Repeat("a", 65), 422, "expected length"},
		{"logs/away/entries/0", 503, "urn:hallmark:problem:log-unavailable"},
		{"logs/away/entries/0", 503, "request id id"},
		{"logs/broken/entries/0", 500, "request id id"},
		{"logs/v1/checkpoint", 200, "GET checkpoint"},
		{"logs/v1/tile/entries/x001/067.p/4", 200, "GET tile/entries/x001/067.p/4"},
		{"logs/v2/checkpoint", 404, "urn:hallmark:problem:not-found"},
		{"logs/v2/tile/0/000", 404, "urn:hallmark:problem:not-found"},
		{"logs/v1/tiles/0/000", 404, ""},
	} {
		w := get(t, handler, "/hallmark/v1/"+tt.path)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.body) {
			t.Errorf("%s: answer %d %s, want %d with %q", tt.path, w.Code, w.Body, tt.code, tt.body)
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s: the answer tells what went wrong inside: %s", tt.path, w.Body)
		}
		if tt.code >= 400 && tt.body != "" && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: an error of type %q", tt.path, w.Header().Get("Content-Type"))
		}
		if (tt.code == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", tt.path, w.Header().Get("Retry-After"))
		}
	}
}

func TestSearch(t *testing.T) {
	var got api.LogQuery
	handler := handlerOf(t, service{logs: logs{search: func(_ context.Context, q api.LogQuery) (api.LogPage, error) {
		got = q
		if q.Terms[0] == "nonsense" {
			return api.LogPage{}, fmt.Errorf("%w: what is that", api.ErrBadQuery)
		}
		return api.LogPage{Entries: []api.LogPosition{{Log: "v1", Index: 3}}, Next: "v1/3"}, nil
	}}})
	long := strings.Repeat("q=a&", 33)
	for _, tt := range []struct {
		query string
		code  int
		want  api.LogQuery
	}{
		{"q=image:r/acme/app", 200, api.LogQuery{Terms: []string{"image:r/acme/app"}, Limit: 20}},
		{"q=a,b&q=c&all=true&newest=true&limit=100&after=v1/7", 200, api.LogQuery{Terms: []string{"a,b", "c"}, All: true, Newest: true, Limit: 100, After: "v1/7"}},
		{"q=nonsense", 400, api.LogQuery{Terms: []string{"nonsense"}, Limit: 20}},
		{"", 422, api.LogQuery{}},
		{long, 422, api.LogQuery{}},
		{"q=a&limit=101", 422, api.LogQuery{}},
		{"q=a&limit=0", 422, api.LogQuery{}},
		{"q=a&limit=-1", 422, api.LogQuery{}},
		{"q=a&limit=9999999999999999999999", 422, api.LogQuery{}},
		{"q=a&all=perhaps", 422, api.LogQuery{}},
	} {
		got = api.LogQuery{}
		w := get(t, handler, "/hallmark/v1/search?"+tt.query)
		if w.Code != tt.code || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: answer %d %s, asked %+v, want %d and %+v", tt.query, w.Code, w.Body, got, tt.code, tt.want)
		}
		if tt.code == 200 && !strings.Contains(w.Body.String(), `"next":"v1/3"`) {
			t.Errorf("%s: no cursor in %s", tt.query, w.Body)
		}
	}
}

// TestSearchesTakeTurns: what strangers ask for at a time is bounded.
func TestSearchesTakeTurns(t *testing.T) {
	working, finish := make(chan struct{}), make(chan struct{})
	handler := handlerOf(t, service{logs: logs{search: func(context.Context, api.LogQuery) (api.LogPage, error) {
		working <- struct{}{}
		<-finish
		return api.LogPage{}, nil
	}}})
	const most = 16
	answers := make(chan int, most)
	for range most {
		go func() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/hallmark/v1/search?q=a", nil))
			answers <- w.Code
		}()
		<-working
	}
	// One more waits, and is told to come again when it has no time left.
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	extra := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(short, http.MethodGet, "/hallmark/v1/search?q=a", nil))
		extra <- w
	}()
	select {
	case w := <-extra:
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("answer %d, headers %v", w.Code, w.Header())
		}
	case <-working:
		t.Errorf("more than %d searches at a time", most)
	}
	close(finish)
	for range most {
		if code := <-answers; code != http.StatusOK {
			t.Errorf("answer %d", code)
		}
	}
}

// TestTrustFollows: trust material is what the service says now.
func TestTrustFollows(t *testing.T) {
	s := service{}
	root := "{}"
	s.trust = func() []byte { return []byte(root) }
	handler := handlerOf(t, s)
	for _, want := range []string{`{"a":1}`, `{"a":2}`} {
		root = want
		if w := get(t, handler, "/hallmark/v1/trusted_root.json"); w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("answer %s, %v; want %s", w.Body, w.Header(), want)
		}
	}
}

// TestDescription: every operation on logs is in the OpenAPI document.
func TestDescription(t *testing.T) {
	w := get(t, handlerOf(t, service{}), "/hallmark/v1/openapi.json")
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for path, id := range map[string]string{
		"/hallmark/v1/logs": "logs", "/hallmark/v1/logs/{name}/entries/{id}": "logEntry", "/hallmark/v1/search": "search",
		"/hallmark/v1/logs/{name}/checkpoint": "logCheckpoint", "/hallmark/v1/logs/{name}/tile/{path}": "logTile",
	} {
		if got := doc.Paths[path]["get"].OperationID; got != id {
			t.Errorf("GET %s is operation %q, want %q", path, got, id)
		}
	}
}

// TestRoutes: metrics are told the route of an operation, not of the whole API.
func TestRoutes(t *testing.T) {
	handler := api.WithRemoteAddr(handlerOf(t, service{}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hallmark/v1/logs/v1/entries/0", nil)
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if want := "GET /hallmark/v1/logs/{name}/entries/{id}"; r.Pattern != want {
		t.Errorf("route %q, want %q", r.Pattern, want)
	}
}
