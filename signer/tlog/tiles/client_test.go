// SPDX-License-Identifier: Apache-2.0

package tiles_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/transparency-dev/tessera/client"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/tiles"
)

func (e *env) client() *tiles.Client {
	e.Helper()
	c, err := tiles.NewClient(e.url+"/", nil)
	if err != nil {
		e.Fatal(err)
	}
	return c
}

// The client has what the log has, of every size, and what it does not have is
// not found.
func TestClientReadsWhatTheLogHas(t *testing.T) {
	const size = 600
	e := newEnv(t, size, nil)
	c := e.client()
	ctx := t.Context()
	want, err := e.log.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Checkpoint(ctx); err != nil || !bytes.Equal(got, want) {
		t.Errorf("checkpoint %q, %v", got, err)
	}
	for _, tc := range []struct {
		level int
		n     int64
		width int
	}{
		{0, 0, 256}, {0, 0, 1}, {0, 1, 255}, {0, 2, 88}, {0, 2, 1}, {1, 0, 2}, {1, 0, 1},
		{0, 2, 89}, {0, 2, 256}, {0, 3, 1}, {1, 0, 3}, {1, 1, 1}, {2, 0, 1}, {63, 0, 1},
		{-1, 0, 1}, {64, 0, 1}, {0, -1, 1}, {0, 0, 0}, {0, 0, 257}, {0, 0, -1}, {0, 1 << 62, 1},
	} {
		want, wantErr := e.log.Tile(ctx, tc.level, tc.n, tc.width)
		got, err := c.Tile(ctx, tc.level, tc.n, tc.width)
		if !bytes.Equal(got, want) || errors.Is(err, tlog.ErrNotFound) != errors.Is(wantErr, tlog.ErrNotFound) || (err == nil) != (wantErr == nil) {
			t.Errorf("tile %+v: %d bytes, %v; the log has %d, %v", tc, len(got), err, len(want), wantErr)
		}
		if tc.level != 0 {
			continue
		}
		want, wantErr = e.log.EntryBundle(ctx, tc.n, tc.width)
		got, err = c.EntryBundle(ctx, tc.n, tc.width)
		if !bytes.Equal(got, want) || errors.Is(err, tlog.ErrNotFound) != errors.Is(wantErr, tlog.ErrNotFound) || (err == nil) != (wantErr == nil) {
			t.Errorf("bundle %+v: %d bytes, %v; the log has %d, %v", tc, len(got), err, len(want), wantErr)
		}
	}
}

// fullOnly is a mirror that keeps no unfinished tile of what is finished.
type fullOnly struct{ *tlog.Log }

func (f fullOnly) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	if _, err := f.Log.Tile(ctx, level, n, tlog.TileWidth); err == nil && width < tlog.TileWidth {
		return nil, tlog.ErrNotFound
	}
	return f.Log.Tile(ctx, level, n, width)
}

func (f fullOnly) EntryBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	if _, err := f.Log.EntryBundle(ctx, n, tlog.TileWidth); err == nil && width < tlog.TileWidth {
		return nil, tlog.ErrNotFound
	}
	return f.Log.EntryBundle(ctx, n, width)
}

func TestClientFallsBackToFullTiles(t *testing.T) {
	e := newEnv(t, 300, func(l *tlog.Log) tlog.Source { return fullOnly{l} })
	c := e.client()
	for _, width := range []int{1, 2, 255, 256} {
		want, err := e.log.Tile(t.Context(), 0, 0, width)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Tile(t.Context(), 0, 0, width); err != nil || !bytes.Equal(got, want) {
			t.Errorf("tile of width %d: %d bytes, %v", width, len(got), err)
		}
		want, err = e.log.EntryBundle(t.Context(), 0, width)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.EntryBundle(t.Context(), 0, width); err != nil || !bytes.Equal(got, want) {
			t.Errorf("bundle of width %d: %d bytes, %v", width, len(got), err)
		}
	}
	if _, err := c.Tile(t.Context(), 0, 1, 45); !errors.Is(err, tlog.ErrNotFound) || !strings.Contains(err.Error(), "001.p/45") {
		t.Errorf("beyond the log: %v", err)
	}
}

func TestFsckOverHTTP(t *testing.T) {
	e := newEnv(t, 70_000, nil)
	report, err := tlog.FsckSource(t.Context(), e.client(), origin, e.key.Public())
	if err != nil || report.Err() != nil || report.Size != 70_000 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A server that lies is a problem of the log, not of reading it.
func TestFsckFindsALie(t *testing.T) {
	for name, source := range map[string]func(l *tlog.Log) tlog.Source{
		"an entry":       func(l *tlog.Log) tlog.Source { return lying{l, "bundle", 3} },
		"a hash":         func(l *tlog.Log) tlog.Source { return lying{l, "tile", 3} },
		"a length":       func(l *tlog.Log) tlog.Source { return lying{l, "bundle", 0} },
		"the root":       func(l *tlog.Log) tlog.Source { return lying{l, "checkpoint", len(origin) + 8} },
		"the signature":  func(l *tlog.Log) tlog.Source { return lying{l, "checkpoint", -10} },
		"a missing tile": func(l *tlog.Log) tlog.Source { return lying{l, "missing", 0} },
	} {
		e := newEnv(t, 300, source)
		report, err := tlog.FsckSource(t.Context(), e.client(), origin, e.key.Public())
		if err != nil || report.Err() == nil {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

// lying is a source with one wrong byte.
type lying struct {
	*tlog.Log
	about string
	at    int
}

func (l lying) twist(about string, data []byte, err error) ([]byte, error) {
	if err != nil || about != l.about {
		return data, err
	}
	data[(l.at+len(data))%len(data)] ^= 1
	return data, nil
}

func (l lying) Checkpoint(ctx context.Context) ([]byte, error) {
	data, err := l.Log.Checkpoint(ctx)
	return l.twist("checkpoint", data, err)
}

func (l lying) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	if l.about == "missing" && n == 1 {
		return nil, tlog.ErrNotFound
	}
	data, err := l.Log.Tile(ctx, level, n, width)
	return l.twist("tile", data, err)
}

func (l lying) EntryBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	data, err := l.Log.EntryBundle(ctx, n, width)
	return l.twist("bundle", data, err)
}

// What no honest server sends ends in an error, and soon.
func TestClientIsBounded(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	text := func(status int, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write(body) // the client may have had enough
		}
	}
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		corrupt bool
	}{
		{"endless", endless, true},
		{"empty", text(200, nil), true},
		{"short", text(200, make([]byte, 31)), true},
		{"cut inside an entry", text(200, []byte{0, 1, 'a', 0, 2, 'b'}), true},
		{"too many entries", text(200, bytes.Repeat([]byte{0, 1, 'a'}, 300)), true},
		{"too few entries", text(200, []byte{0, 1, 'a'}), true},
		{"server error", text(500, []byte("oops")), false},
		{"nothing to say", text(204, nil), false},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "8192")
			_, _ = w.Write(make([]byte, 100)) // as announced, not all of it
		}, false},
	} {
		server := httptest.NewServer(tc.handler)
		c, err := tiles.NewClient(server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, tileErr := c.Tile(t.Context(), 0, 0, 256)
		_, bundleErr := c.EntryBundle(t.Context(), 0, 256)
		for _, err := range []error{tileErr, bundleErr} {
			if err == nil || errors.Is(err, tlog.ErrCorrupt) != tc.corrupt || errors.Is(err, tlog.ErrNotFound) {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
		if tc.name == "endless" {
			if _, err := c.Checkpoint(t.Context()); !errors.Is(err, tlog.ErrCorrupt) {
				t.Errorf("an endless checkpoint: %v", err)
			}
		}
		server.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newEnv(t, 1, nil).client().Checkpoint(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestNewClientRefuses(t *testing.T) {
	for _, base := range []string{"", "log.example", "/log", "ftp://log.example", "https://", "https:///log", "https://log.example?x=1", "https://log.example#x", "://", "file:///etc/passwd"} {
		if _, err := tiles.NewClient(base, nil); err == nil {
			t.Errorf("%q is accepted", base)
		}
	}
}

// Tessera's client reads our read path as it does its own.
func TestTesseraReadsIt(t *testing.T) {
	const size = 70_000
	e := newEnv(t, size, nil)
	base, err := url.Parse(e.url + "/")
	if err != nil {
		t.Fatal(err)
	}
	f, err := client.NewHTTPFetcher(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := f.ReadCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	verified, err := tlog.ParseCheckpoint(signed, origin, e.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if verified.Size != size {
		t.Fatalf("size %d", verified.Size)
	}
	builder, err := client.NewProofBuilder(t.Context(), size, f.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{0, 255, 256, 65535, 65536, size - 1} {
		theirs, err := builder.InclusionProof(t.Context(), index)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := e.log.Prove(t.Context(), int64(index))
		if err != nil || fmt.Sprintf("%x", theirs) != fmt.Sprintf("%x", hashes(ours.Proof)) {
			t.Errorf("proof of entry %d: %x, ours %x, %v", index, theirs, ours.Proof, err)
		}
	}
	bundle, err := client.GetEntryBundle(t.Context(), f.ReadEntryBundle, 273, size)
	if err != nil || len(bundle.Entries) != size-273*256 || len(bundle.Entries[0]) != 8 || binary.BigEndian.Uint64(bundle.Entries[0]) >= size {
		t.Errorf("bundle of %d, %v", len(bundle.Entries), err)
	}
}

func hashes(proof []tlog.Hash) [][]byte {
	var out [][]byte
	for i := range proof {
		out = append(out, proof[i][:])
	}
	return out
}

func BenchmarkFsckOverHTTP(b *testing.B) {
	const size = 20_000
	e := newEnv(b, size, nil)
	c := e.client()
	for b.Loop() {
		if report, err := tlog.FsckSource(b.Context(), c, origin, e.key.Public()); err != nil || report.Err() != nil {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/entry")
}
