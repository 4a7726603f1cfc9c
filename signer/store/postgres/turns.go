// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hallmark-dev/hallmark/signer/store"
)

const (
	// turnSpace keeps the locks of turns apart from others with two numbers;
	// those of presence have one.
	turnSpace = 0x48414c4c
	// turnStatement bounds one question about a lock. It never waits for one.
	turnStatement = 5 * time.Second
	// Between two questions the pause grows from the first to the second: a turn
	// takes a few round trips to a registry.
	turnPause    = 4 * time.Millisecond
	maxTurnPause = 64 * time.Millisecond
)

// turns are advisory locks by which the processes of a deployment do one thing
// after the other that the database has nothing to do with, such as a change of
// a list that a registry leaves to its clients. All of a process are on one
// connection, which is made when the first is wanted.
//
// Losing that connection ends the turns that are being held, and their holders
// are not told: what is done in a turn must survive, if rarely, being done at
// the same time.
type turns struct {
	c *connector

	free chan struct{} // holds one element while nobody uses what follows
	conn *pgx.Conn     // nil before the first turn, and after an error
	held map[int32]int // the locks of conn, and which conn it was
	made int           // number of connections made so far
	once sync.Once     // closes
}

func newTurns(c *connector) *turns {
	t := &turns{c: c, free: make(chan struct{}, 1), held: make(map[int32]int)}
	t.free <- struct{}{}
	return t
}

// Turn waits until no process of this database holds the turn of that name, at
// most as long as ctx lives, and holds it until release is called.
func (db *DB) Turn(ctx context.Context, name string) (release func(), err error) {
	if db.turns == nil {
		return nil, errReadOnly
	}
	sum := sha256.Sum256([]byte(name))
	key := int32(binary.BigEndian.Uint32(sum[:4])) //nolint:gosec // all 32 bits are wanted
	for pause := turnPause; ; pause = min(2*pause, maxTurnPause) {
		if db.closed.Load() {
			return nil, store.ErrClosed
		}
		of, err := db.turns.try(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("wait for a turn: %w", hint(err))
		}
		if of != 0 {
			return func() { db.turns.end(key, of) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a turn: %w", ctx.Err())
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // so that those who wait do not ask together
		}
	}
}

// try takes a lock if it is free and returns the number of the connection that
// has it, 0 if it is not free.
func (t *turns) try(ctx context.Context, key int32) (of int, err error) {
	select {
	case <-t.free:
		defer func() { t.free <- struct{}{} }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if t.held[key] != 0 {
		return 0, nil // the server would give it to its connection again
	}
	// A statement that is cut off costs the connection, and everybody's turn.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnStatement)
	defer cancel()
	if t.conn == nil {
		if t.conn, err = t.c.connect(ctx, presenceSettings); err != nil {
			t.conn = nil
			return 0, err
		}
		t.made++
	}
	var got bool
	if err := t.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int4, $2::int4)`, turnSpace, key).Scan(&got); err != nil {
		t.drop(ctx)
		return 0, err
	}
	if !got {
		return 0, nil
	}
	t.held[key] = t.made
	return t.made, nil
}

// end gives a lock back. If that fails the connection is closed, which gives it
// back as well.
func (t *turns) end(key int32, of int) {
	<-t.free
	defer func() { t.free <- struct{}{} }()
	if t.conn == nil || t.held[key] != of {
		return // it went with its connection
	}
	delete(t.held, key)
	ctx, cancel := context.WithTimeout(context.Background(), turnStatement)
	defer cancel()
	if _, err := t.conn.Exec(ctx, `SELECT pg_advisory_unlock($1::int4, $2::int4)`, turnSpace, key); err != nil {
		t.drop(ctx)
	}
}

// drop closes a connection that is no good any more.
func (t *turns) drop(ctx context.Context) {
	if t.conn != nil {
		t.c.logger.WarnContext(ctx, "database connection of this process's turns lost; other processes may write the same list at the same time")
		_ = t.conn.Close(ctx) // it is lost
	}
	t.conn = nil
	clear(t.held)
}

// close ends all turns.
func (t *turns) close() {
	t.once.Do(func() {
		<-t.free
		defer func() { t.free <- struct{}{} }()
		if t.conn == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
		defer cancel()
		_ = t.conn.Close(ctx) // nothing in it
		t.conn = nil
		clear(t.held)
	})
}
