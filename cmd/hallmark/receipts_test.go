// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestReceipts: receipts come from all pages, and a service that lists for ever
// is an error, not a shorter list.
func TestReceipts(t *testing.T) {
	for name, tc := range map[string]struct {
		pages, each int
		broken      int // page that cannot be read, from 1; 0: none
		want        int
		fails       string
	}{
		"none":     {},
		"a page":   {pages: 1, each: 3, want: 3},
		"pages":    {pages: 70, each: 2, want: 140},
		"for ever": {pages: 1 << 20, each: 200, want: maxReceipts / 200 * 200, fails: "more than 4096 receipts about sha256:aa"},
		"broken":   {pages: 3, each: 2, broken: 2, want: 2, fails: "read the service's answer"},
	} {
		t.Run(name, func(t *testing.T) {
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				page := 0
				if cursor := r.URL.Query().Get("cursor"); cursor != "" {
					page, _ = strconv.Atoi(cursor) // of our own making
				}
				switch {
				case r.URL.Path != "/hallmark/v1/artifacts/sha256:aa" || tc.pages == 0:
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusNotFound)
					_, _ = w.Write([]byte(`{"type": "urn:hallmark:problem:not-found", "status": 404, "detail": "no receipts"}`))
					return
				case page+1 == tc.broken:
					_, _ = w.Write([]byte(`{"receipts": [{`))
					return
				}
				next := ""
				if page+1 < tc.pages {
					next = strconv.Itoa(page + 1)
				}
				_, _ = fmt.Fprintf(w, `{"receipts": [%s], "next": %q}`, strings.TrimSuffix(strings.Repeat(`{"id": "x"},`, tc.each), ","), next)
			}))
			defer service.Close()
			c := &client{server: service.URL, http: service.Client()}
			got := 0
			var failed error
			for _, err := range c.receipts(t.Context(), "sha256:aa") {
				if failed = err; err == nil {
					got++
				}
			}
			if got != tc.want || (failed == nil) != (tc.fails == "") || (failed != nil && !strings.Contains(failed.Error(), tc.fails)) {
				t.Errorf("%d receipts, %v; want %d and %q", got, failed, tc.want, tc.fails)
			}
		})
	}
}
