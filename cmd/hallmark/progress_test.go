// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hallmark-dev/hallmark/internal/program"
)

func TestProgressReader(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 4*smallUpload)
	var drawn bytes.Buffer
	watched, done := withProgress(bytes.NewReader(body), int64(len(body)), &drawn)
	p, ok := watched.(*progressReader)
	if !ok {
		t.Fatalf("a %T", watched)
	}
	clock := time.Unix(0, 0)
	p.now = func() time.Time { return clock }
	got := make([]byte, 0, len(body))
	for i := 0; ; i++ {
		part := make([]byte, smallUpload)
		n, err := watched.Read(part)
		got = append(got, part[:n]...)
		if err == io.EOF {
			break
		}
		if i > 0 { // the second read is at the time of the first: it draws nothing
			clock = clock.Add(redrawEvery)
		}
	}
	done()
	done()
	if !bytes.Equal(got, body) {
		t.Error("what is read is not what was given")
	}
	lines := strings.Split(drawn.String(), "\r")
	want := []string{
		"", "sending [======                  ]  25% 0.2 MiB of 1.0 MiB\x1b[K", "sending [==================      ]  75% 0.8 MiB of 1.0 MiB\x1b[K",
		"sending [========================] 100% 1.0 MiB of 1.0 MiB, waiting for the service\x1b[K", "sending [========================] 100% 1.0 MiB of 1.0 MiB, waiting for the service\x1b[K", "\x1b[K",
	}
	if strings.Join(lines, "|") != strings.Join(want, "|") {
		t.Errorf("drawn %q\nwant  %q", lines, want)
	}
	// After the end nothing more is drawn, whoever still reads.
	before := drawn.Len()
	_, _ = watched.Read(make([]byte, 1))
	if drawn.Len() != before {
		t.Error("drawn after the end")
	}
	for name, tc := range map[string]struct {
		to    io.Writer
		total int64
	}{"nowhere to draw": {nil, 1 << 30}, "too small": {&drawn, smallUpload - 1}} {
		if watched, done := withProgress(strings.NewReader("x"), tc.total, tc.to); watched == nil {
			t.Error("no body")
		} else if _, ok := watched.(*progressReader); ok {
			t.Errorf("%s: watched", name)
			done()
		}
	}
}

// A progress bar is for a terminal, and for nobody else.
func TestProgressBarIsForTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // a test's
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() //nolint:errcheck // a test's
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() //nolint:errcheck // a test's
	defer writer.Close() //nolint:errcheck // a test's
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	for name, stderr := range map[string]io.Writer{"a buffer": &bytes.Buffer{}, "a file": file, "a pipe": writer, "nothing": null} {
		if progressBar(environment{getenv: getenv, stderr: stderr}, program.FormatText) != nil {
			t.Errorf("a bar on %s", name)
		}
	}
	// The kernel's own terminal, if this machine lets one be opened.
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("no terminal to draw on: %v", err)
	}
	defer terminal.Close() //nolint:errcheck // a test's
	with := func(format string, vars map[string]string) bool {
		env = vars
		return progressBar(environment{getenv: getenv, stderr: terminal}, format) != nil
	}
	if !with(program.FormatText, nil) {
		t.Error("no bar on a terminal")
	}
	if with(program.FormatJSON, nil) || with(program.FormatText, map[string]string{"CI": "true"}) || with(program.FormatText, map[string]string{"TERM": "dumb"}) {
		t.Error("a bar where it is in the way")
	}
}

// TestDrawFits: a line is never wider than the terminal, and ends where it was
// before.
func TestDrawFits(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("no terminal to draw on: %v", err)
	}
	defer terminal.Close() //nolint:errcheck // a test's
	for width, want := range map[uint16]string{20: "\rsending [          \x1b[K", 0: "\rsending [                        ]   0%\x1b[K", 100: "\rsending [                        ]   0%\x1b[K"} {
		if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 10, Col: width}); err != nil {
			t.Fatal(err)
		}
		var drawn bytes.Buffer
		draw(struct {
			io.Writer
			descriptor
		}{&drawn, terminal}, "sending [                        ]   0%")
		if drawn.String() != want {
			t.Errorf("width %d: %q", width, drawn.String())
		}
		drawn.Reset()
		working(struct {
			io.Writer
			descriptor
		}{&drawn, terminal}, "a\x1b[2J")()
		if got := drawn.String(); !strings.HasSuffix(got, "\r\x1b[K") || strings.Contains(got, "[2J\x1b") || strings.Contains(got, "a\x1b") {
			t.Errorf("width %d: %q", width, got)
		}
	}
	working(nil, "nobody looks")()
}

type descriptor interface{ Fd() uintptr }

// A call sends the body as it is, with its length, watched or not.
func TestCallSendsBody(t *testing.T) {
	payload := bytes.Repeat([]byte("p"), 2*smallUpload)
	var got []byte
	var length int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		length = r.ContentLength
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	for _, to := range []io.Writer{nil, &bytes.Buffer{}} {
		c := &client{server: server.URL, http: server.Client(), progress: to}
		if err := c.call(t.Context(), "/x", "token", payload, &struct{}{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, payload) || length != int64(len(payload)) {
			t.Errorf("%d bytes of length %d arrived", len(got), length)
		}
		if b, ok := to.(*bytes.Buffer); ok && (!strings.Contains(b.String(), "100%") || !strings.HasSuffix(b.String(), "\r\x1b[K")) {
			t.Errorf("drawn %q", b.String())
		}
	}
}
