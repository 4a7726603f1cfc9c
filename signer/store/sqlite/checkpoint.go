// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
)

const (
	// checkpointPages is about how many pages (8 MiB) are written before they
	// are copied into the database file.
	checkpointPages = 1000
	// maxWALPages bounds the WAL (16 MiB, and what is written between two
	// looks at it): beyond it a checkpoint waits for the readers that keep it
	// from starting over. After a crash that much is read again.
	maxWALPages = 2 << 10
	// fewPages is what is copied while writes wait: a few milliseconds.
	fewPages = 128
	// maxPasses bounds how often the copier runs after what is written
	// meanwhile.
	maxPasses = 4
)

// copier copies the WAL into the database file on a connection and a goroutine
// of its own, so that writes do not wait for it: a checkpoint of a thousand
// pages takes 10 to 60 ms. It cannot end what it does, because the WAL grows
// meanwhile, and so the WAL would never start over: the writer copies the last
// pages between two transactions, see writer.checkpoint.
type copier struct {
	start chan struct{} // closed to end it
	done  chan struct{} // a pass is over; closed when it has ended
}

func newCopier(pool *sql.DB) *copier {
	c := &copier{start: make(chan struct{}, 1), done: make(chan struct{}, 1)}
	go func() {
		defer close(c.done)
		for range c.start {
			for range maxPasses {
				state, err := checkpoint(pool, "PASSIVE")
				if err != nil || state.pages-state.copied <= fewPages {
					break
				}
			}
			c.done <- struct{}{}
		}
	}()
	return c
}

// end waits for a pass under way.
func (c *copier) end() {
	close(c.start)
	for range c.done {
		continue // nobody is left to end what a pass began
	}
}

// walState is what a checkpoint leaves.
type walState struct {
	busy   bool // a reader or another checkpoint was in the way
	pages  int  // in the WAL
	copied int  // of them, into the database file
}

// checkpoint copies the WAL into the database file: PASSIVE stops at what
// readers still need, RESTART waits for them and starts the WAL over, TRUNCATE
// empties it too. Failing is harmless: the WAL keeps everything, and the next
// checkpoint tries again.
func checkpoint(on interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, mode string) (s walState, err error) {
	// Without a context: it is short, and ends with the connection.
	err = on.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint("+mode+")").Scan(&s.busy, &s.pages, &s.copied)
	return s, err
}
