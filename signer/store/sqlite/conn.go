// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// conn is one connection with its prepared statements: preparing one takes
// longer than running it. It is used by one goroutine at a time.
type conn struct {
	sql      *sql.Conn
	prepared map[string]*sql.Stmt
}

func newConn(ctx context.Context, pool *sql.DB) (*conn, error) {
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &conn{sql: c, prepared: make(map[string]*sql.Stmt)}, nil
}

// close gives the connection back to its pool.
func (c *conn) close() {
	c.forget()
	_ = c.sql.Close()
}

// discard throws the connection away: it is in a state nobody knows. Its
// statements go first, or it would live on through them, and with it the lock
// of its transaction.
func (c *conn) discard() {
	c.forget()
	_ = c.sql.Raw(func(any) error { return driver.ErrBadConn })
}

// forget closes the prepared statements.
func (c *conn) forget() {
	for _, s := range c.prepared {
		_ = s.Close()
	}
	clear(c.prepared)
}

// stmt returns a statement, which stays prepared: queries are constants.
func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if s := c.prepared[query]; s != nil {
		return s, nil
	}
	s, err := c.sql.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.prepared[query] = s
	return s, nil
}

// changed runs a statement and returns how many rows changed. There is no
// context: a write that was begun runs to its end, interrupting it would only
// buy an unknown outcome.
func (c *conn) changed(query string, args ...any) (int64, error) {
	s, err := c.stmt(query) //nolint:sqlclosecheck // stays prepared, forget closes it
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// queries returns a queryer that ctx can interrupt.
func (c *conn) queries(ctx context.Context) queryer {
	return func(query string, args ...any) (*sql.Rows, error) {
		s, err := c.stmt(query) //nolint:sqlclosecheck // stays prepared, forget closes it
		if err != nil {
			return nil, err
		}
		return s.QueryContext(ctx, args...)
	}
}

// snapshot calls fn in a transaction that reads: all queries see what the first
// one does.
func (c *conn) snapshot(ctx context.Context, fn func(queryer) error) (err error) {
	if _, err := c.changed("BEGIN"); err != nil {
		return err
	}
	defer func() {
		if _, endErr := c.changed("ROLLBACK"); endErr != nil && err == nil {
			err = fmt.Errorf("%w: end of a read: %w", driver.ErrBadConn, endErr)
		}
	}()
	return fn(c.queries(ctx))
}

// queryer runs a query on a connection.
type queryer func(query string, args ...any) (*sql.Rows, error)

// each runs a query and calls fn for every row; scan reads its columns.
func (q queryer) each(query string, args []any, fn func(scan func(...any) error) error) (err error) {
	rows, err := q(query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
