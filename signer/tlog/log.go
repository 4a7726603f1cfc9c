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
	looks   *flights
	// published is the tree that everybody may see. It is replaced by publish
	// only, by a later tree whose commit is certain.
	published atomic.Pointer[snapshot]
	// row was read last. Its Head may be older than what is published.
	row atomic.Pointer[LogRow]
	// idle is closed when the batch goroutine has answered everybody.
	idle chan struct{}
}

// ID is the 32-byte id of the log's key, see KeyID.
func (l *Log) ID() []byte { return bytes.Clone(l.key.id) }

// Origin is the first line of the log's checkpoints.
func (l *Log) Origin() string { return l.cfg.Origin }

// PublicKey is the key that verifies checkpoints.
func (l *Log) PublicKey() crypto.PublicKey { return l.key.public }

// Row is what storage knows about the log; its Head is the published one.
func (l *Log) Row() LogRow {
	row := *l.row.Load()
	row.Key = bytes.Clone(row.Key)
	row.Head = l.published.Load().head
	row.Head.Checkpoint = bytes.Clone(row.Head.Checkpoint)
	return row
}

// Sign signs a message with the log's key: ECDSA over its SHA-256 (ASN.1), or
// Ed25519. Rekor v1 answers carry such signatures (signed entry timestamps).
func (l *Log) Sign(message []byte) ([]byte, error) {
	sig, err := l.key.Sign(message)
	if err != nil {
		return nil, fmt.Errorf("sign with the key of log %q: %w", l.cfg.Name, err)
	}
	return sig, nil
}

// Append logs a leaf and returns when it is durable and covered by a published
// checkpoint. A leaf that is in the log already is not added again: the answer
// has its index and time, and a fresh proof.
//
// ErrEmptyLeaf, ErrTooLarge and ErrBadKeys are the caller's fault, ErrFrozen
// says that the log does not have the leaf and takes no new ones, ErrPoolFull
// is back-pressure, ErrUnavailable (with the cause) says that storage failed.
// When ctx ends first the error wraps ctx's, and ErrUnavailable too if the leaf
// may be in the log all the same.
func (l *Log) Append(ctx context.Context, leaf Leaf) (Inclusion, error) {
	keys, err := leaf.check()
	if err != nil {
		return Inclusion{}, err
	}
	if l.ended() {
		return l.appendFrozen(ctx, merkle.RecordHash(leaf.Body))
	}
	w := newWaiter(leaf.Body, keys)
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

// appendFrozen answers for a leaf that a frozen log has. Nothing needs to be
// locked: the answer is the same for ever.
func (l *Log) appendFrozen(ctx context.Context, leaf Hash) (Inclusion, error) {
	in, found, err := l.Find(ctx, leaf)
	if err == nil && !found {
		err = fmt.Errorf("%w: %q takes no new entry", ErrFrozen, l.cfg.Name)
	}
	return in, err
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
	case <-l.idle:
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
