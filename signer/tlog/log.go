// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"sync/atomic"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// Leaf is what Append logs.
type Leaf struct {
	// Body is the leaf, 1 to MaxLeaf bytes. Append copies it.
	Body []byte
	// Keys are what the entry can be found by, for example "sha256:<hex>": at
	// most MaxKeys, each 1 to MaxKey bytes, normalised by who makes them (see
	// package signer/tlog/index). They are written in the entry's transaction
	// and are no part of the leaf. An entry that exists keeps the keys it has.
	Keys []string
}

const (
	// MaxKeys is how many index keys an entry may have: an SBOM of an index
	// with all its platforms names this many subjects and no more.
	MaxKeys = 64
	// MaxKey is the longest index key, bytes: what the longest e-mail address,
	// URL or image name in practice needs.
	MaxKey = 1024
)

// Inclusion proves that a leaf is in the log.
type Inclusion struct {
	// Index is the leaf's index, Time its integratedTime (Unix seconds). They
	// never change.
	Index int64
	Time  int64
	// TreeSize, Root and Proof are an RFC 6962 audit path; Checkpoint is the
	// signed note that commits to TreeSize and Root.
	TreeSize   int64
	Root       Hash
	Proof      []Hash
	Checkpoint []byte
	// Existing says that the leaf was in the log before this call, or was
	// sent by another call at the same time.
	Existing bool
}

// Log is an open log. Its methods may be called concurrently.
type Log struct {
	cfg     Config
	storage Storage
	key     *noteKey
	pool    *pool
	tiles   *tileCache
	// published is the tree that everybody may see. Only the batch goroutine
	// replaces it, and only by a tree whose commit is certain.
	published atomic.Pointer[snapshot]
	// ended is closed when the batch goroutine has answered everybody.
	ended chan struct{}
}

// ID is the 32-byte id of the log's key, see KeyID.
func (l *Log) ID() []byte { return bytes.Clone(l.key.id) }

// Origin is the first line of the log's checkpoints.
func (l *Log) Origin() string { return l.cfg.Origin }

// PublicKey is the key that verifies checkpoints.
func (l *Log) PublicKey() crypto.PublicKey { return l.key.public }

// Append logs a leaf and returns when it is durable and covered by a published
// checkpoint. A leaf that is in the log already is not added again: the answer
// has its index and time, and a fresh proof.
//
// ErrEmptyLeaf and ErrTooLarge are the caller's fault, ErrPoolFull is
// back-pressure, ErrUnavailable (with the cause) says that storage failed. When
// ctx ends first the error wraps ctx's, and ErrUnavailable too if the leaf may
// be in the log all the same.
func (l *Log) Append(ctx context.Context, leaf Leaf) (Inclusion, error) {
	switch {
	case len(leaf.Body) == 0:
		return Inclusion{}, ErrEmptyLeaf
	case len(leaf.Body) > MaxLeaf:
		return Inclusion{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(leaf.Body), MaxLeaf)
	}
	w := &waiter{
		hash: merkle.RecordHash(leaf.Body),
		body: bytes.Clone(leaf.Body),
		done: make(chan outcome, 1),
	}
	if err := l.pool.add(w); err != nil {
		return Inclusion{}, err
	}
	select {
	case out := <-w.done:
		if out.err != nil {
			return Inclusion{}, out.err
		}
		return l.include(ctx, out, w.hash)
	case <-ctx.Done():
		if l.pool.remove(w) {
			return Inclusion{}, fmt.Errorf("append to log: %w", context.Cause(ctx))
		}
		return Inclusion{}, fmt.Errorf("append to log: %w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// include proves a leaf and checks the proof as a stranger would.
func (l *Log) include(ctx context.Context, out outcome, leaf Hash) (Inclusion, error) {
	s := out.snapshot
	proof, err := s.auditPath(out.place.Index, l.completeNode(ctx))
	if err != nil {
		return Inclusion{}, fmt.Errorf("%w: prove entry %d: %w", ErrUnavailable, out.place.Index, err)
	}
	if err := merkle.CheckRecord(proof, s.head.Size, s.head.Root, out.place.Index, leaf); err != nil {
		return Inclusion{}, fmt.Errorf("%w: proof of entry %d: %w", ErrCorrupt, out.place.Index, err)
	}
	return Inclusion{
		Index: out.place.Index, Time: out.place.Time, Existing: out.existing,
		TreeSize: s.head.Size, Root: s.head.Root, Proof: proof, Checkpoint: bytes.Clone(s.head.Checkpoint),
	}, nil
}

// Close refuses further entries, commits those that wait, and returns when the
// log is idle. If ctx ends first, those that still wait are answered ErrClosed
// and Close returns ctx's error; a commit that is under way ends in the
// background. The storage is the caller's to close.
func (l *Log) Close(ctx context.Context) error {
	l.pool.close()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		for batch := l.pool.take(maxBatch); len(batch) > 0; batch = l.pool.take(maxBatch) {
			answer(batch, ErrClosed)
		}
		return fmt.Errorf("close log %q: %w", l.cfg.Name, context.Cause(ctx))
	}
}

// answer gives all of them the same error.
func answer(waiters []*waiter, err error) {
	for _, w := range waiters {
		w.done <- outcome{err: err}
	}
}
