// SPDX-License-Identifier: Apache-2.0

package tiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	// maxCheckpoint is larger than any checkpoint with a line for each witness
	// that one would want.
	maxCheckpoint = 64 << 10
	// lengthSize is what stands before each leaf of a bundle.
	lengthSize = 2
	// maxBundle is 256 leaves of the largest size.
	maxBundle = tlog.TileWidth * (lengthSize + tlog.MaxLeaf)
	hashSize  = len(tlog.Hash{})
	// defaultTimeout is for one file: a bundle of the largest size takes it at
	// 4 Mbit/s.
	defaultTimeout = 30 * time.Second
)

// Client reads a log over HTTP. It implements tlog.Source, is safe for
// concurrent use and does no retries. It checks the length of what it gets and
// nothing else: a checkpoint says whether that is the log, see tlog.FsckSource.
type Client struct {
	base string
	http *http.Client
}

var _ tlog.Source = (*Client)(nil)

// NewClient returns a Client of the log whose checkpoint is at
// base + "/checkpoint"; a slash at the end of base does not count. A nil c
// means a client with a time-out.
func NewClient(base string, c *http.Client) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("log URL: %w", err)
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("log URL %q: want http(s)://host[/path] (hint: the folder that has the log's checkpoint)", base)
	}
	if c == nil {
		c = &http.Client{Timeout: defaultTimeout}
	}
	return &Client{base: strings.TrimRight(u.String(), "/"), http: c}, nil
}

// Checkpoint implements tlog.Source.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.get(ctx, checkpointPath, maxCheckpoint)
}

// Tile implements tlog.Source. A tile that is served in full only is cut to
// the width.
func (c *Client) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	t := resource{level: level, n: n, width: width}
	data, width, err := c.read(ctx, t, tlog.TileWidth*hashSize)
	if err != nil {
		return nil, err
	}
	if len(data) != width*hashSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, not %d", tlog.ErrCorrupt, t.path(), len(data), width*hashSize)
	}
	return data[:t.width*hashSize], nil
}

// EntryBundle implements tlog.Source. A bundle that is served in full only is
// cut to the width.
func (c *Client) EntryBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	t := resource{entries: true, n: n, width: width}
	data, served, err := c.read(ctx, t, maxBundle)
	if err != nil {
		return nil, err
	}
	leaves, ok := tlog.SplitBundle(data)
	if !ok || len(leaves) != served {
		return nil, fmt.Errorf("%w: %s has %d entries and perhaps a part of one, not %d", tlog.ErrCorrupt, t.path(), len(leaves), served)
	}
	size := 0
	for _, leaf := range leaves[:width] {
		size += lengthSize + len(leaf)
	}
	return data[:size], nil
}

// read gets a tile or bundle, or the full one if that of its width is gone:
// servers may delete unfinished ones (C2SP tlog-tiles). It returns the width of
// what it got.
func (c *Client) read(ctx context.Context, t resource, limit int) ([]byte, int, error) {
	if again, ok := parse(t.path()); !ok || again != t {
		return nil, 0, fmt.Errorf("%w: level %d, tile %d, width %d", tlog.ErrNotFound, t.level, t.n, t.width)
	}
	data, err := c.get(ctx, t.path(), limit)
	if t.full() || !errors.Is(err, tlog.ErrNotFound) {
		return data, t.width, err
	}
	whole := t
	whole.width = tlog.TileWidth
	data, wholeErr := c.get(ctx, whole.path(), limit)
	if wholeErr != nil {
		return nil, 0, err // about what was asked for
	}
	return data, whole.width, nil
}

// get reads a file of at most limit bytes. A 404 is tlog.ErrNotFound, more than
// limit tlog.ErrCorrupt.
func (c *Client) get(ctx context.Context, path string, limit int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/"+path, nil) //nolint:gosec // base is what the caller wants read
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	res, err := c.http.Do(req) //nolint:gosec // as above
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end, or given up
	body, err := io.ReadAll(io.LimitReader(res.Body, int64(limit)+1))
	switch {
	case res.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s/%s", tlog.ErrNotFound, c.base, path)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("read log: %s/%s: %s", c.base, path, res.Status)
	case err != nil:
		return nil, fmt.Errorf("read log: %s/%s: %w", c.base, path, err)
	case len(body) > limit:
		return nil, fmt.Errorf("%w: %s/%s has more than %d bytes", tlog.ErrCorrupt, c.base, path, limit)
	}
	return body, nil
}
