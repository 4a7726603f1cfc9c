// SPDX-License-Identifier: Apache-2.0

// Package tiles is C2SP tlog-tiles over HTTP, both ends: Serve answers the read
// path of a log, and Client reads one, wherever it is.
package tiles

import (
	"context"
	"net/http"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Serve answers a request for a path of the log's read path: "checkpoint",
// "tile/0/x001/067", "tile/entries/000.p/12", without what the caller has in
// front of it. Everything else is 404. The error is what the server has to
// write down: the client has been answered.
func Serve(w http.ResponseWriter, r *http.Request, src tlog.Source, path string) error {
	panic("unwritten")
}

// Client is a tlog.Source over HTTP.
type Client struct{}

// NewClient returns a Client of the log whose checkpoint is at
// base + "/checkpoint". A nil c means a client with a time-out.
func NewClient(base string, c *http.Client) (*Client, error) { panic("unwritten") }

// Checkpoint implements tlog.Source.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) { panic("unwritten") }

// Tile implements tlog.Source.
func (c *Client) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	panic("unwritten")
}

// EntryBundle implements tlog.Source.
func (c *Client) EntryBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	panic("unwritten")
}

var _ tlog.Source = (*Client)(nil)
