// SPDX-License-Identifier: Apache-2.0

// Package freeport finds addresses on loopback for programs that are started in
// a moment.
//
// A port that the system gives, for port 0, is one of those that it also gives
// to every outgoing connection: on a busy machine it is taken again before the
// program listens. The ports here are below the range that systems take those
// from (RFC 6335 section 6, and Linux, which begins at 32768), and drawn by
// chance, so that two who look at the same time find two.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	first, last = 15000, 32000
	// tries bounds the search. Hardly any of these ports is ever taken.
	tries = 100
)

// ErrNone means that there is none.
var ErrNone = errors.New("no free port")

// Address returns a loopback address, host:port, that was free a moment ago.
func Address(ctx context.Context) (string, error) {
	var failed error
	for range tries {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(last-first))) //nolint:gosec // a port is no secret
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			failed = err
			continue
		}
		return address, l.Close()
	}
	return "", fmt.Errorf("%w between %d and %d: %w", ErrNone, first, last, failed)
}
