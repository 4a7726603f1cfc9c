// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestTerminal: what a service answers cannot write over what a command says,
// wherever in the answer it is.
func TestTerminal(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/checkpoint") {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"detail":"\u001b[2Jverified\r","errors":[{"message":"\u001b[1ma"},{"message":"\u009bb"}],"type":"x"}`))
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := c.Write([]byte("HTTP/1.1 500 \x1b]0;verified\a\r\nContent-Length: 0\r\n\r\n")); err != nil {
			t.Error(err)
		}
		_ = c.Close() // the answer is complete
	}))
	t.Cleanup(service.Close)
	v1, v2 := twoLogs(t)
	s := newTestService(t, v1, v2)
	for _, args := range [][]string{
		{"log", "list", "--server", service.URL, "--trusted-root", s.root},
		{"log", "fsck", "--url", service.URL, "--trusted-root", s.root},
	} {
		var stdout, stderr bytes.Buffer
		run(t.Context(), args, environment{getenv: func(string) string { return "" }, stdout: &stdout, stderr: &stderr})
		if strings.ContainsAny(stdout.String()+stderr.String(), "\x1b\r\a\u009b") || !strings.Contains(stderr.String(), "\uFFFD") {
			t.Errorf("%v: %q %q", args, stdout.String(), stderr.String())
		}
	}
}
