// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/hallmark-dev/hallmark/signer/store"
)

const (
	// maxShared is how many writes share a commit at most: enough to make the
	// disk flush a small part of each, few enough to keep the first waiting
	// for milliseconds only.
	maxShared = 64
	// rowPages is the guess of how many pages a small row dirties: its leaf
	// page and that of an index.
	rowPages = 2
)

// op is one write. Its functions run on the writer's goroutine.
type op struct {
	run func(*tx) error
	// beforeCommit and afterCommit are for tests that break the connection
	// there; they may be nil.
	beforeCommit, afterCommit func() error
	err                       error
	done                      chan struct{}
}

// writer runs all writes on one connection, several per transaction, each
// under a savepoint of its own: one that fails takes nothing else with it,
// unless the database itself fails.
type writer struct {
	pool  *sql.DB
	queue chan *op
	// single are calls that run between transactions.
	single chan func()
	stop   chan struct{} // closed by close
	ended  chan struct{} // closed by the goroutine

	closing sync.Once
	copier  *copier

	// The rest belongs to the goroutine. tx is the connection, or nil after it
	// broke.
	tx     *tx
	dirty  int     // pages written since the copier was called, about
	backup *backup // the one that is being made of this connection
	// copying says that the copier is at work, longWAL from how many pages on
	// the WAL is worth waiting for its readers.
	copying bool
	longWAL int
}

func newWriter(ctx context.Context, dsn string) (*writer, error) {
	pool, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(2) // and the copier's
	w := &writer{
		pool: pool, queue: make(chan *op), single: make(chan func()), stop: make(chan struct{}), ended: make(chan struct{}),
		longWAL: maxWALPages,
	}
	if err := w.reconnect(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	w.copier = newCopier(pool)
	go w.loop()
	return w, nil
}

// do runs o and returns when it is durable, or has failed. ctx counts until o
// is taken up; from then on it runs to its end.
func (w *writer) do(ctx context.Context, o *op) error {
	o.done = make(chan struct{})
	select {
	case w.queue <- o:
	case <-w.stop:
		return store.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for database: %w", context.Cause(ctx))
	}
	<-o.done
	return o.err
}

// alone calls fn on the writer's goroutine, between transactions.
func (w *writer) alone(ctx context.Context, fn func() error) (err error) {
	done := make(chan struct{})
	select {
	case w.single <- func() { err = fn(); close(done) }:
	case <-w.stop:
		return store.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for database: %w", context.Cause(ctx))
	}
	<-done
	return err
}

func (w *writer) close() error {
	w.closing.Do(func() { close(w.stop) })
	<-w.ended
	return w.pool.Close()
}

func (w *writer) loop() {
	defer close(w.ended)
	for {
		select {
		case <-w.stop:
			_ = w.endBackup() // whoever makes it learns that it is closed
			w.copier.end()
			if w.tx != nil {
				_, _ = checkpoint(w.tx.sql, "TRUNCATE") // or the next one to open does
				w.tx.close()
			}
			return
		case <-w.copier.done:
			w.copied()
		case fn := <-w.single:
			fn()
		case o := <-w.queue:
			ops := w.gather(o)
			w.transact(ops)
			for _, o := range ops {
				close(o.done)
			}
			if w.dirty >= checkpointPages {
				w.copyWAL()
			}
		}
	}
}

// copyWAL has the WAL copied. If that is under way, and as much again has been
// written meanwhile, writes wait for its end: the disk cannot keep up.
func (w *writer) copyWAL() {
	if w.copying {
		<-w.copier.done
		w.copied()
	}
	w.dirty, w.copying = 0, true
	w.copier.start <- struct{}{}
}

// copied ends a pass of the copier.
func (w *writer) copied() {
	w.copying = false
	w.checkpoint()
}

// gather adds the writes that are waiting already.
func (w *writer) gather(first *op) []*op {
	ops := []*op{first}
	for len(ops) < maxShared {
		select {
		case fn := <-w.single:
			fn()
		case o := <-w.queue:
			ops = append(ops, o)
		default:
			return ops
		}
	}
	return ops
}

// transact runs ops in one transaction and sets their errors. Context is not
// passed on: these are calls into this process, and interrupting a commit would
// only buy an unknown outcome.
func (w *writer) transact(ops []*op) {
	if err := w.reconnect(context.Background()); err != nil {
		failAll(ops, err)
		return
	}
	t := w.tx
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		w.disconnectIfStuck()
		failAll(ops, fmt.Errorf("begin: %w", err))
		return
	}
	// A power cut before COMMIT returns leaves either nothing or everything:
	// SQLite's WAL decides by the commit frame.
	err := t.runAll(ops)
	if err == nil {
		err = t.exec("COMMIT")
	}
	if err != nil {
		// The transaction may be gone already, or still be open; after this it
		// is gone.
		if t.exec("ROLLBACK") != nil {
			w.disconnectIfStuck()
		}
		failAll(ops, err)
		return
	}
	w.dirty += t.pages()
	for _, o := range ops {
		if o.err == nil && o.afterCommit != nil {
			o.err = o.afterCommit()
		}
	}
}

// runAll runs what is to be committed. An error means that the transaction as a
// whole is lost.
func (t *tx) runAll(ops []*op) error {
	run := t.runEach
	if len(ops) == 1 {
		run = t.runOnly
	}
	if err := run(ops); err != nil {
		return err
	}
	for _, o := range ops {
		if o.err == nil && o.beforeCommit != nil {
			if err := o.beforeCommit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// runOnly runs an op that has the transaction to itself, as an append to a log
// mostly has: the transaction serves as its savepoint, and SQLite need not keep
// the pages as they were before.
func (t *tx) runOnly(ops []*op) error {
	ops[0].err = ops[0].run(t)
	return ops[0].err
}

// runEach runs each op under a savepoint.
func (t *tx) runEach(ops []*op) error {
	for _, o := range ops {
		if err := t.exec("SAVEPOINT op"); err != nil {
			return err
		}
		if o.err = o.run(t); o.err != nil {
			// A full disk or an I/O error rolls the whole transaction back by
			// itself; then there is no savepoint to go back to.
			if t.exec("ROLLBACK TO op") != nil {
				return o.err
			}
		}
		if err := t.exec("RELEASE op"); err != nil {
			return err
		}
	}
	return nil
}

func failAll(ops []*op, err error) {
	for _, o := range ops {
		if o.err == nil {
			o.err = err
		}
	}
}

// reconnect makes a connection if the last one broke.
func (w *writer) reconnect(ctx context.Context) error {
	if w.tx != nil {
		return nil
	}
	c, err := newConn(ctx, w.pool)
	if err == nil {
		w.tx = &tx{conn: c}
	}
	return err
}

// disconnectIfStuck gives a connection up that cannot begin and end an empty
// transaction: it is broken, or still in another one.
func (w *writer) disconnectIfStuck() {
	if w.tx != nil && (w.tx.exec("BEGIN") != nil || w.tx.exec("ROLLBACK") != nil) {
		w.disconnect()
	}
}

func (w *writer) disconnect() {
	_ = w.endBackup() // whoever makes it learns that it was lost
	w.tx.discard()
	w.tx = nil
}

// checkpoint copies what the copier left, after those who waited have their
// answers, so that the next transaction can start the WAL over. If readers kept
// it from that for long, it waits for them; if they read on (a backup in another
// process), not again before the WAL has grown by as much.
func (w *writer) checkpoint() {
	if w.tx == nil {
		return
	}
	s, err := checkpoint(w.tx.sql, "PASSIVE")
	if err != nil || s.pages <= w.longWAL {
		return
	}
	if s, err = checkpoint(w.tx.sql, "RESTART"); err == nil && s.busy {
		w.longWAL = s.pages + maxWALPages
	} else {
		w.longWAL = maxWALPages
	}
}

// tx is the open transaction of the writer's goroutine.
type tx struct {
	*conn
	rows  int   // written since pages was last asked
	bytes int64 // of blobs and texts among them
}

// exec runs a statement.
func (t *tx) exec(query string, args ...any) error {
	_, err := t.changed(query, args...)
	return err
}

// changed is exec and returns how many rows changed.
func (t *tx) changed(query string, args ...any) (int64, error) {
	n, err := t.conn.changed(query, args...)
	if err != nil {
		return 0, err
	}
	if len(args) > 0 {
		t.rows += int(n)
	}
	for _, a := range args {
		switch a := a.(type) {
		case []byte:
			t.bytes += int64(len(a))
		case string:
			t.bytes += int64(len(a))
		}
	}
	return n, nil
}

func (t *tx) query() queryer { return t.queries(context.Background()) }

// pages returns about how many pages were written since it was last called.
func (t *tx) pages() int {
	n := t.rows*rowPages + int(t.bytes/pageBytes)
	t.rows, t.bytes = 0, 0
	return n
}
