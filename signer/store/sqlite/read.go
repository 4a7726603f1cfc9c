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

// readers are the connections that read.
type readers struct {
	pool *sql.DB
	// idle has a place for each connection; nil is one not made yet.
	idle chan *conn

	closing sync.Once
	closed  chan struct{}
}

func newReaders(ctx context.Context, dsn string) (*readers, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(maxReaders)
	r := &readers{pool: pool, idle: make(chan *conn, maxReaders), closed: make(chan struct{})}
	for range maxReaders {
		r.idle <- nil
	}
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
			if c := <-r.idle; c != nil {
				c.close()
			}
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
	var c *conn
	select {
	case c = <-r.idle:
	case <-r.closed:
		return store.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for database: %w", context.Cause(ctx))
	}
	defer func() {
		// A statement that was interrupted leaves a connection in doubt.
		if c != nil && (ctx.Err() != nil || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)) {
			c.discard()
			c = nil
		}
		r.idle <- c
	}()
	if c == nil {
		if c, err = newConn(ctx, r.pool); err != nil {
			return err
		}
	}
	return fn(c)
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
