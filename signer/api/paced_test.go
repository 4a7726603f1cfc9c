// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/signer/api"
)

// dial begins a request with documents over a real connection: head and first part.
func (w *partsWorld) dial(t *testing.T, grace time.Duration) net.Conn {
	t.Helper()
	handler, err := api.New(api.Config{
		Signer: w.partsService, Receipts: w.service, Logs: w.logs, Logger: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "id" },
		Trust: func(context.Context) (root, config []byte) { return nil, nil }, Spool: w.tray, BodyTimeout: grace,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://")) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "POST /hallmark/v1/sign HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer good\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: 1000000\r\n\r\n%s",
		boundary, part("request", twoDocuments)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSlowBodies: a body that stops, and one that comes byte by byte, are ended
// with an answer that says so, and nothing is left of them.
func TestSlowBodies(t *testing.T) {
	for name, trickles := range map[string]bool{"stops": false, "trickles": true} {
		w := newParts(t)
		conn := w.dial(t, 50*time.Millisecond)
		ended := make(chan struct{})
		if trickles {
			_, _ = io.WriteString(conn, strings.TrimSuffix(part("a", ""), "\r\n"))
			go func() { // until the server has had enough
				defer close(ended)
				for {
					if _, err := conn.Write([]byte("x")); err != nil {
						return
					}
					time.Sleep(time.Millisecond) // or its bytes would be fast enough
				}
			}()
		} else {
			close(ended)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		said, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(said), "too-slow") || !strings.Contains(string(said), "too slowly") {
			t.Errorf("%s: %d %s", name, answer.StatusCode, said)
		}
		_ = conn.Close()
		<-ended
		w.mu.Lock()
		if w.open != 0 || w.got.Image != "" {
			t.Errorf("%s: %d documents are left, of a request about %q", name, w.open, w.got.Image)
		}
		w.mu.Unlock()
	}
}
