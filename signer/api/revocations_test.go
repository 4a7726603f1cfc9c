// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/api"
)

// revokedList is a list that a test changes.
type revokedList struct{ api.RevocationList }

func (l *revokedList) Revocations(_ context.Context, kind, value string) api.RevocationList {
	out := l.RevocationList
	out.Lines = nil
	for _, line := range l.Lines {
		if kind == "" || kind == line.Kind && value == line.Value {
			out.Lines = append(out.Lines, line)
		}
	}
	return out
}

func revocationsHandler(t *testing.T, list api.Revocations) http.Handler {
	t.Helper()
	s := service{}
	handler, err := api.New(api.Config{
		Signer: s, Receipts: s, Logs: s.logs, Logger: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "id" },
		Trust: func(context.Context) (root, config []byte) { return nil, nil }, Revocations: list,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

type revocationsPage struct {
	Version     int64
	Issued      *time.Time
	Target      string
	Revocations []api.Revocation
	Next        string
}

func pageOf(t *testing.T, w *httptest.ResponseRecorder) (p revocationsPage) {
	t.Helper()
	if w.Code != http.StatusOK {
		t.Fatalf("answer %d %s", w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRevocations: page by page, one by one, and not again what is known.
func TestRevocations(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	list := &revokedList{api.RevocationList{Version: 7, Issued: time.Unix(1, 0).UTC(), Target: "00ff"}}
	for i := range 25 {
		list.Lines = append(list.Lines, api.Revocation{Kind: "identity", Value: fmt.Sprint("https://ci.example/", i), Reason: "r", Revoked: time.Unix(int64(i), 0).UTC()})
	}
	list.Lines = append(list.Lines, api.Revocation{Kind: "key", Value: "sha256:" + hex, Reason: "k"}, api.Revocation{Kind: "digest", Value: "sha256:" + hex, Reason: "d"})
	handler := revocationsHandler(t, list)

	var seen []api.Revocation
	for after := ""; ; {
		p := pageOf(t, get(t, handler, "/hallmark/v1/revocations?limit=10&after="+after))
		if p.Version != 7 || p.Target != "00ff" || !p.Issued.Equal(list.Issued) {
			t.Errorf("page %+v", p)
		}
		seen = append(seen, p.Revocations...)
		if after = p.Next; after == "" {
			break
		}
	}
	if len(seen) != 27 || seen[0].Value != "https://ci.example/0" || seen[26].Reason != "d" {
		t.Errorf("pages hold %d lines: %v", len(seen), seen)
	}
	for query, want := range map[string]string{
		"digest=sha256:" + hex: "d", "key=sha256:" + hex: "k", "identity=https://ci.example/3": "r",
		"key=" + url.QueryEscape("q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="): "k",
	} {
		if p := pageOf(t, get(t, handler, "/hallmark/v1/revocations?"+query)); len(p.Revocations) != 1 || p.Revocations[0].Reason != want {
			t.Errorf("%s: %+v", query, p)
		}
	}
	if p := pageOf(t, get(t, handler, "/hallmark/v1/revocations?identity=https://nobody.example")); p.Revocations == nil || len(p.Revocations) != 0 {
		t.Errorf("nothing: %+v", p)
	}

	w := get(t, handler, "/hallmark/v1/revocations")
	etag := w.Header().Get("ETag")
	if etag != `"7"` || !strings.Contains(w.Header().Get("Cache-Control"), "max-age=10") {
		t.Errorf("headers %v", w.Header())
	}
	again := func(known string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hallmark/v1/revocations", nil)
		r.Header.Set("If-None-Match", known)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	if w := again(`"6", W/"7"`); w.Code != http.StatusNotModified || w.Body.Len() != 0 || w.Header().Get("ETag") != etag {
		t.Errorf("known: %d %q %v", w.Code, w.Body, w.Header())
	}
	list.Version++
	if w := again(etag); w.Code != http.StatusOK || w.Header().Get("ETag") != `"8"` {
		t.Errorf("changed: %d %v", w.Code, w.Header())
	}
	for query, code := range map[string]int{
		"after=7-10": http.StatusConflict, "after=8-99": http.StatusConflict, "after=8": http.StatusBadRequest, "after=8--1": http.StatusBadRequest, "after=x-1": http.StatusBadRequest,
		"digest=sha256:00": http.StatusBadRequest, "key=latest": http.StatusBadRequest, "digest=sha256:" + strings.ToUpper(hex): http.StatusBadRequest,
		"digest=sha256:" + hex + "&key=sha256:" + hex: http.StatusBadRequest, "limit=1001": http.StatusUnprocessableEntity, "limit=0": http.StatusUnprocessableEntity,
	} {
		if w := get(t, handler, "/hallmark/v1/revocations?"+query); w.Code != code || !strings.Contains(w.Header().Get("Content-Type"), "problem+json") {
			t.Errorf("%s: %d %s, want %d", query, w.Code, w.Body, code)
		}
	}
	if doc := get(t, handler, "/hallmark/v1/openapi.json").Body.String(); !strings.Contains(doc, `"/hallmark/v1/revocations"`) {
		t.Error("the list is not in the API's description")
	}
	// A deployment that has revoked nothing.
	if p := pageOf(t, get(t, revocationsHandler(t, &revokedList{}), "/hallmark/v1/revocations")); p.Version != 0 || p.Issued != nil || p.Revocations == nil {
		t.Errorf("no list: %+v", p)
	}
}
