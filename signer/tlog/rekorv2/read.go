// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"errors"
	"net/http"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	apiPrefix      = "/api/v2"
	checkpointPath = "/checkpoint"
	tilePrefix     = "/tile/"
	entriesPrefix  = "entries/"

	// A full tile or bundle never changes. An unfinished one of a given width
	// does not either, but is of no use to anybody soon.
	cacheFull    = "public, max-age=31536000, immutable"
	cachePartial = "public, max-age=60"
	cacheNever   = "no-store"
)

// serveRead answers the C2SP tlog-tiles paths, with or without /api/v2.
func (s *Service) serveRead(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, apiPrefix)
	tile, isTile := parseTilePath(path)
	if path != checkpointPath && !isTile {
		writeError(w, http.StatusNotFound, codeNotFound, "not found")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, codeUnimplemented, "Method Not Allowed")
		return
	}
	body, contentType, cache, err := s.read(r, tile, isTile)
	switch {
	case errors.Is(err, tlog.ErrNotFound):
		writeError(w, http.StatusNotFound, codeNotFound, "not in the published log")
		return
	case err != nil:
		s.answerError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// The type is none that a browser would run. A client that is gone is no error.
	_, _ = w.Write(body) //nolint:gosec // not HTML, see Content-Type and nosniff
}

func (s *Service) read(r *http.Request, tile tilePath, isTile bool) (body []byte, contentType, cache string, err error) {
	if !isTile {
		body, err = s.cfg.Log.Checkpoint(r.Context())
		return body, "text/plain; charset=utf-8", cacheNever, err
	}
	if tile.entries {
		body, err = s.cfg.Log.EntryBundle(r.Context(), tile.n, tile.width)
	} else {
		body, err = s.cfg.Log.Tile(r.Context(), tile.level, tile.n, tile.width)
	}
	cache = cacheFull
	if tile.width < tlog.TileWidth {
		cache = cachePartial
	}
	return body, "application/octet-stream", cache, err
}

// tilePath is a parsed /tile/<L>/<N>[.p/<W>] or /tile/entries/<N>[.p/<W>].
type tilePath struct {
	entries bool
	level   int
	n       int64
	width   int
}

// parseTilePath accepts the one spelling of each tile and nothing else.
func parseTilePath(path string) (tilePath, bool) {
	rest, ok := strings.CutPrefix(path, tilePrefix)
	if !ok {
		return tilePath{}, false
	}
	// x/mod's paths have the height in front and call entries "data".
	rest, entries := strings.CutPrefix(rest, entriesPrefix)
	if entries {
		rest = "0/" + rest
	}
	t, err := merkle.ParseTilePath("tile/8/" + rest)
	if err != nil || t.L < 0 || t.N < 0 {
		return tilePath{}, false
	}
	return tilePath{entries: entries, level: t.L, n: t.N, width: t.W}, true
}
