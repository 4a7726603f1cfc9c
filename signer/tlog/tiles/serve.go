// SPDX-License-Identifier: Apache-2.0

// Package tiles is the read path of a log, C2SP tlog-tiles, over HTTP, both
// ends: Serve answers it and Client asks for it.
//
// A log is read as files. "checkpoint" is the signed note that commits to a
// size and a root. "tile/<L>/<N>" has 256 hashes of level 8*L of the tree, from
// the one with index 256*N on, and "tile/entries/<N>" the 256 leaves below a tile
// of level 0. The last of each row may be shorter: ".p/<W>" asks for its first W.
// Whoever has these files can check everything a log says of itself, and needs
// to trust nobody on the way: any cache, mirror or disk will do.
//
// Source: https://c2sp.org/tlog-tiles
package tiles

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	// cacheFull is for full tiles and bundles: they never change.
	cacheFull = "public, max-age=31536000, immutable"
	// cachePartial is for those of a given width: they do not change either, but
	// are of no use to anybody soon.
	cachePartial = "public, max-age=60"
	// cacheNever is for the checkpoint, and for what does not exist yet.
	cacheNever = "no-store"

	// etag is the entity tag of every tile and bundle. What a path names has
	// one content for all time, so one tag does for each.
	etag = `"1"`

	// tileType is the content type of tiles and bundles.
	tileType = "application/octet-stream"

	// retryAfter is in seconds: what is wrong with a database for a moment is
	// right again by then, or takes longer anyway.
	retryAfter = "1"
	// statusClientClosedRequest is nginx's number for a client that has gone. It
	// is seen in logs only.
	statusClientClosedRequest = 499
)

// Serve answers a request for a path of the log's read path: "checkpoint",
// "tile/0/x001/067", "tile/entries/000.p/12", without what the caller has in
// front of it. Everything else, and every other spelling, is 404, in plain text.
//
// The client has been answered in any case. The error says what went wrong on
// this side, for the caller's log.
func Serve(w http.ResponseWriter, r *http.Request, src tlog.Source, path string) error {
	return serve(w, r, src, path, true)
}

// ServeUncached is Serve for a URL at which another log may be read later. No
// cache may keep its tiles, nor be told that those which it has are the right
// ones.
func ServeUncached(w http.ResponseWriter, r *http.Request, src tlog.Source, path string) error {
	return serve(w, r, src, path, false)
}

func serve(w http.ResponseWriter, r *http.Request, src tlog.Source, path string, cached bool) error {
	t, isTile := parse(path)
	switch {
	case r.URL.RawPath != "", path != checkpointPath && !isTile:
		// RawPath is set if the path has escapes where none are needed: a cache
		// in front of us would see another path than we do.
		refuse(w, http.StatusNotFound, "not found")
		return nil
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "the log is read with GET and HEAD")
		return nil
	}
	if !isTile {
		return serveCheckpoint(w, r, src)
	}
	body, err := read(r.Context(), src, t)
	if err != nil {
		return fail(w, r, err)
	}
	h := w.Header()
	switch {
	case !cached:
		h.Set("Cache-Control", cacheNever)
		send(w, r, tileType, body)
		return nil
	case t.full():
		h.Set("Cache-Control", cacheFull)
	default:
		h.Set("Cache-Control", cachePartial)
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	send(w, r, tileType, body)
	return nil
}

func serveCheckpoint(w http.ResponseWriter, r *http.Request, src tlog.Source) error {
	body, err := src.Checkpoint(r.Context())
	if err != nil {
		return fail(w, r, err)
	}
	w.Header().Set("Cache-Control", cacheNever)
	send(w, r, "text/plain; charset=utf-8", body)
	return nil
}

func read(ctx context.Context, src tlog.Source, t resource) ([]byte, error) {
	if t.entries {
		return src.EntryBundle(ctx, t.n, t.width)
	}
	return src.Tile(ctx, t.level, t.n, t.width)
}

func send(w http.ResponseWriter, r *http.Request, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone is no error
	}
}

// fail answers an error of the source, and returns it if it is one of ours.
func fail(w http.ResponseWriter, r *http.Request, err error) error {
	status, message := http.StatusInternalServerError, "the log cannot be read"
	ours := err
	switch {
	case errors.Is(err, tlog.ErrNotFound):
		status, message, ours = http.StatusNotFound, "not in the published log", nil
	case r.Context().Err() != nil:
		status, message, ours = statusClientClosedRequest, "the client has gone", nil
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed):
		w.Header().Set("Retry-After", retryAfter)
		status, message = http.StatusServiceUnavailable, "the log is not available; retry"
	}
	refuse(w, status, message)
	return ours
}

// refuse answers what is never cached: a tile that is missing now may exist a
// moment later.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Cache-Control", cacheNever)
	http.Error(w, message, status)
}
