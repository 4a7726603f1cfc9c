// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// presence is how other processes know that this one lives: for as long as it
// does, it holds an advisory lock on a random number, its id, on a connection
// that does nothing else. Intents carry the id of the process that works on
// them; those whose id nobody holds are orphans (journal.go).
//
// Losing that connection while the process lives makes it look dead, and
// another process may take its intents over. That is safe, because presence
// only saves work; what may happen to an intent is decided by its state alone,
// in the database, one transaction at a time:
//
//   - A recorded intent that the other process voids is void when the signature
//     of this one is to be kept, so Journal.Sign returns signer.ErrNoIntent. The
//     signature has not left the process, and never does.
//   - A signed intent is finished by both: both log the same entry, which the
//     log has once, and attach the same bundle; one of the two receipts is
//     kept, the other process gets signer.ErrNoIntent and reads the one kept.
//
// Two processes with one id, as after a virtual machine was copied while it
// ran, are no danger either, for the same reason.
type presence struct {
	id     int64
	cancel context.CancelFunc
	ended  chan struct{} // closed by the goroutine
}

const (
	// presenceCheck is how often the connection is used, so that its loss is
	// noticed while nothing happens.
	presenceCheck = 10 * time.Second
	// presenceRetry is the pause between two attempts to get it back.
	presenceRetry = time.Second
)

// presenceSettings: the connection is idle for good, and taking a lock that
// only a dying connection of our own may hold still is worth a wait.
var presenceSettings = map[string]string{"idle_session_timeout": "0", "lock_timeout": "20s"}

// present makes this process known.
func (c *connector) present(ctx context.Context) (*presence, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("name this process: %w", err)
	}
	background, cancel := context.WithCancel(context.Background())
	p := &presence{id: int64(binary.BigEndian.Uint64(id[:])), cancel: cancel, ended: make(chan struct{})} //nolint:gosec // all 64 bits are wanted
	conn, err := p.lock(ctx, c)
	if err != nil {
		cancel()
		return nil, err
	}
	go p.keep(background, c, conn)
	return p, nil
}

func (p *presence) lock(ctx context.Context, c *connector) (*pgx.Conn, error) {
	conn, err := c.connect(ctx, presenceSettings)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, p.id); err != nil {
		_ = conn.Close(ctx) // the error that counts is the first
		return nil, fmt.Errorf("take the lock that shows that this process lives: %w", err)
	}
	return conn, nil
}

// keep holds the lock until ctx ends, and takes it again whenever the
// connection was lost.
func (p *presence) keep(ctx context.Context, c *connector, conn *pgx.Conn) {
	defer close(p.ended)
	for {
		err := p.watch(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		c.logger.Warn("database connection lost; other processes may finish what this one has begun", "error", err)
		if conn = p.relock(ctx, c); conn == nil {
			return
		}
		c.logger.Info("database connection is back", "process", p.id)
	}
}

// watch returns when the connection is lost, or ctx ends; it is closed then.
func (p *presence) watch(ctx context.Context, conn *pgx.Conn) error {
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		_ = conn.Close(closing) // it is lost, or not needed any more
	}()
	for {
		// Nobody notifies. This reads the socket, so that a server that goes
		// down is noticed at once, and not at the next tick.
		wait, cancelWait := context.WithTimeout(ctx, presenceCheck)
		_, err := conn.WaitForNotification(wait)
		expired := wait.Err() != nil
		cancelWait()
		if ctx.Err() != nil || err != nil && !expired || conn.IsClosed() {
			return err
		}
		ping, cancelPing := context.WithTimeout(ctx, pingTimeout)
		err = conn.Ping(ping)
		cancelPing()
		if err != nil {
			return err
		}
	}
}

func (p *presence) relock(ctx context.Context, c *connector) *pgx.Conn {
	for {
		conn, err := p.lock(ctx, c)
		if err == nil {
			return conn
		}
		c.logger.Debug("database is not reachable", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(presenceRetry):
		}
	}
}

func (p *presence) close() {
	p.cancel()
	<-p.ended
}

// absent is a condition on a column: the process of that id holds no lock.
const absent = `NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
	AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND (l.classid::bigint << 32 | l.objid::bigint) = owner)`
