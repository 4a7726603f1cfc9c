// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// MaxLeaf is the largest leaf, in bytes: entry bundles carry lengths in
	// 16 bits (C2SP tlog-tiles).
	MaxLeaf = 1<<16 - 1
	// DefaultMaxWaiting entries may wait for a batch: a second's work of a
	// small machine, so that who is let in is answered within client
	// time-outs.
	DefaultMaxWaiting = 2048
	// DefaultMaxWaitingBytes bounds the memory of the pool.
	DefaultMaxWaitingBytes = 32 << 20
	// maxBatch bounds a transaction, and with it the time the log's row is
	// locked. Larger batches gain nothing: at this size the commit is a small
	// part of the work.
	maxBatch = 512
)

// Config describes one log.
type Config struct {
	// Name is the log's name in storage, for example "v2".
	Name string
	// Origin is the first line of every checkpoint. For Rekor v2 it is the bare
	// host name of the log's base URL and the name of the signature. For Rekor
	// v1 it is "HOST - TREEID", and the name of the signature is HOST.
	Origin string
	// Signer signs checkpoints: ECDSA P-256 or Ed25519. Two logs must not
	// share a key.
	Signer crypto.Signer
	// Shared says that other processes append to the log, too, and rotate it, as
	// replicas on one PostgreSQL do. Reads then look at storage when they are asked for
	// something newer than what this process knows: what one process
	// acknowledged, every process serves at once.
	Shared bool
	// MaxWaiting and MaxWaitingBytes bound the pool; zero means the default.
	MaxWaiting      int
	MaxWaitingBytes int
	// Clock gives integratedTime; nil means time.Now.
	Clock func() time.Time
	// Logger receives one line for every batch that failed; nil means
	// silence.
	Logger *slog.Logger
	// Observe, if set, is told about every batch, on the batch goroutine.
	Observe func(BatchStats)
	// Fault is nil in production, see Batch.Fault. An error at Published is
	// ignored: what is published cannot fail.
	Fault func(Point) error
}

// BatchStats is what Config.Observe learns about a batch.
type BatchStats struct {
	// Log is the log's name.
	Log string
	// Waiting is how many appends the batch answered, New how many entries it
	// added, Size the size of the log afterwards.
	Waiting, New int
	Size         int64
	Took         time.Duration
	Err          error
}

// withDefaults returns a complete copy of c, or says what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if c.Name == "" {
		return c, errors.New("log config: no name")
	}
	if !validOrigin(c.Origin) {
		return c, fmt.Errorf("log config: origin %q is neither a name without spaces and plus signs nor such a name, \" - \" and a tree id", c.Origin)
	}
	if c.Signer == nil {
		return c, errors.New("log config: no signer")
	}
	if c.MaxWaiting <= 0 {
		c.MaxWaiting = DefaultMaxWaiting
	}
	if c.MaxWaitingBytes <= 0 {
		c.MaxWaitingBytes = DefaultMaxWaitingBytes
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(BatchStats) {}
	}
	if c.Fault == nil {
		c.Fault = func(Point) error { return nil }
	}
	return c, nil
}
