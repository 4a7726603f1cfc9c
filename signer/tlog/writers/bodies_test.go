// SPDX-License-Identifier: Apache-2.0

package writers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

func TestBodies(t *testing.T) {
	const limit = 1 << 20
	bodies := writers.NewBodies(limit)
	read := func(ctx context.Context, body io.Reader) ([]byte, func(), error) {
		t.Helper()
		return bodies.Read(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", body))
	}
	small, large := bytes.Repeat([]byte("s"), 64<<10), bytes.Repeat([]byte("l"), limit)

	// As many large ones as there are turns, with and without a known length.
	var done []func()
	for i := range 8 {
		body := io.Reader(bytes.NewReader(large))
		if i%2 == 1 {
			body = iotest.OneByteReader(body)
		}
		got, worked, err := read(t.Context(), body)
		if err != nil || !bytes.Equal(got, large) {
			t.Fatalf("large body %d: %d bytes, %v", i, len(got), err)
		}
		done = append(done, worked)
	}
	// One more is told to come again, a small one is not kept waiting.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := read(gone, bytes.NewReader(large)); !errors.Is(err, tlog.ErrPoolFull) {
		t.Errorf("one large body more: %v", err)
	}
	got, worked, err := read(gone, bytes.NewReader(small))
	if err != nil || !bytes.Equal(got, small) {
		t.Fatalf("small body: %d bytes, %v", len(got), err)
	}
	worked()

	// Turns that ended, or never came to a body, are free again.
	done[0]()
	for range 9 {
		if _, _, err := read(t.Context(), io.MultiReader(bytes.NewReader(large[:limit/2]), iotest.ErrReader(io.ErrUnexpectedEOF))); !errors.Is(err, writers.ErrBody) {
			t.Errorf("half a body: %v", err)
		}
		var tooLarge *http.MaxBytesError
		if _, _, err := read(t.Context(), io.MultiReader(bytes.NewReader(large), strings.NewReader("x"))); !errors.As(err, &tooLarge) || tooLarge.Limit != limit {
			t.Errorf("a body beyond the limit: %v", err)
		}
	}
	if _, _, err := read(t.Context(), iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, writers.ErrBody) {
		t.Errorf("no body: %v", err)
	}
}

// The time in which a body has to arrive does not end the work on it.
func TestBodiesOverHTTP(t *testing.T) {
	bodies := writers.NewBodies(1 << 20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, done, err := bodies.Read(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		defer done()
		_, _ = w.Write(body) // compared there
	}))
	t.Cleanup(server.Close)
	large := strings.Repeat("x", 1<<20)
	for range 9 { // on one connection
		res, err := server.Client().Post(server.URL, "text/plain", strings.NewReader(large)) //nolint:noctx // ends with the server
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil || string(got) != large {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
}

func TestClip(t *testing.T) {
	if s := strings.Repeat("a", 1<<10); writers.Clip(s) != s {
		t.Error("a short message is changed")
	}
	if got := writers.Clip(strings.Repeat("ä", 1<<20)); len(got) > 1100 || strings.Contains(got, "\uFFFD") || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
	}
}
