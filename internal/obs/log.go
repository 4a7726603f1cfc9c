// SPDX-License-Identifier: Apache-2.0

// Package obs is how Hallmark's servers are observed: their log, their metrics
// and the private listener on which both health and metrics are read.
//
// A request leaves one line of ours, with an id that the client also gets,
// so a complaint that quotes the id finds the line. Lines name what was asked
// and how it ended, never a header, a query or a body: tokens travel in all
// three. What else a handler has to say goes into lines of its own under that id.
//
// The package imports nothing of Hallmark's own, and nothing in it is global:
// loggers and registries are made by cmd and handed down.
package obs

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// NewLogger returns a logger that writes to w: text if w is a terminal, where
// people read it, else one JSON object per line, which log collectors read.
// Level is debug, info, warn or error.
func NewLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("make logger: level %q: want debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, options)), nil
	}
	return slog.New(slog.NewJSONHandler(w, options)), nil
}
