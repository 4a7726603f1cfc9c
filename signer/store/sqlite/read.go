// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/hallmark-dev/hallmark/signer/store"
)

// readers are the connections that read. The one that was used last is used
// next: its page cache is warm, and those of connections that only a crowd needs
// stay small.
type readers struct {
	pool *sql.DB
	// turns has a token for each connection that may be in use.
	turns chan struct{}

	mu   sync.Mutex // guards idle
	idle []*conn    // the last one was used last

	closing sync.Once
	closed  chan struct{}
}

func newReaders(ctx context.Context, dsn string) (*readers, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(maxReaders)
	r := &readers{pool: pool, turns: make(chan struct{}, maxReaders), closed: make(chan struct{})}
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return r, nil
}

// close waits for reads under way.
func (r *readers) close() error {
	r.closing.Do(func() {
		close(r.closed)
		for range maxReaders {
			r.turns <- struct{}{}
		}
		for _, c := range r.idle {
			c.close()
		}
	})
	return r.pool.Close()
}

// do calls fn with a connection of its own.
func (r *readers) do(ctx context.Context, fn func(*conn) error) (err error) {
	select {
	case <-r.closed:
		return store.ErrClosed
	default:
	}
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-r.closed:
		return store.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for database: %w", context.Cause(ctx))
	}
	c := r.take()
	if c == nil {
		if c, err = newConn(ctx, r.pool); err != nil {
			return err
		}
	}
	defer func() {
		// A statement that was interrupted leaves a connection in doubt.
		if ctx.Err() != nil || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
			c.discard()
			return
		}
		r.give(c)
	}()
	return fn(c)
}

// take returns an idle connection, nil if there is none.
func (r *readers) take() *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	if last < 0 {
		return nil
	}
	c := r.idle[last]
	r.idle = r.idle[:last]
	return c
}

func (r *readers) give(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, c)
}

// read calls fn with a connection that sees committed data: each query what is
// there at its time.
func (db *DB) read(ctx context.Context, fn func(queryer) error) error {
	return db.reads.do(ctx, func(c *conn) error { return fn(c.queries(ctx)) })
}

// snapshot calls fn with a connection whose queries all see the same.
func (db *DB) snapshot(ctx context.Context, fn func(queryer) error) error {
	return db.reads.do(ctx, func(c *conn) error { return c.snapshot(ctx, fn) })
}
