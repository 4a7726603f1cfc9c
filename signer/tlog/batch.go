// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

const (
	// batchTimeout bounds how long a batch waits for the log's row, all
	// attempts together: less than the five seconds after which the least
	// patient client (sigstore-js) gives up.
	batchTimeout = 4 * time.Second
	// maxAttempts: one, one more to learn how an unanswered commit ended, and
	// one more if the edge had to be rebuilt in between.
	maxAttempts = 3
)

// errStale says that the edge in memory is too far behind to be caught up
// under the lock.
var errStale = errors.New("edge in memory is far behind")

// run commits batches until the log is closed and nobody waits.
func (l *Log) run() {
	defer close(l.idle)
	for {
		// Who is ready to run gets in first: on a busy machine batches become as
		// large as there is work, and share what each costs. An idle one does not
		// notice.
		runtime.Gosched()
		waiters := l.pool.take(maxBatch)
		if len(waiters) == 0 {
			return
		}
		l.runBatch(waiters)
	}
}

// runBatch takes waiters from the pool to their answers. Read it from top to
// bottom: it is where an entry becomes part of the log.
func (l *Log) runBatch(waiters []*waiter) {
	started := time.Now()
	seen := l.published.Load()
	base := seen

	// 1. One leaf, one place: a leaf that was sent twice is appended once.
	// Power fails here: nobody was answered, nothing is written.
	fresh, hashes := distinct(waiters)

	var next *snapshot // the tree after this batch
	var filled []StoredTile
	var existing, added map[Hash]Place
	var frozen bool
	plan := func(locked Locked) (Write, error) {
		if err := l.cfg.Fault(InLock); err != nil {
			return Write{}, err
		}
		// 3. Catch up. The head is ours unless another process appended, or a
		// commit of ours succeeded without our knowing.
		s, err := l.catchUp(base, locked)
		if err != nil {
			return Write{}, err
		}
		next, filled, existing, added = s, nil, locked.Existing, make(map[Hash]Place)
		if frozen = locked.Frozen; frozen {
			return Write{}, nil // leaves that are there are answered all the same
		}

		// 4. Extend the edge by the leaves that are new, in the order they
		// came. Time never goes back, whatever the clock does.
		write := Write{Head: Head{Time: max(l.cfg.Clock().Unix(), locked.Head.Time)}}
		e := s.edge.clone()
		for _, w := range fresh {
			if _, ok := existing[w.hash]; ok {
				continue
			}
			place := Place{Index: e.size, Time: write.Head.Time}
			added[w.hash] = place
			write.Entries = append(write.Entries, Entry{
				Index: place.Index, Time: place.Time, Hash: w.hash, Body: w.body, Keys: w.keys,
			})
			filled = append(filled, e.add(w.hash)...)
		}
		if len(write.Entries) == 0 {
			return Write{}, nil
		}
		write.Tiles = append(append(write.Tiles, filled...), e.unfinished(locked.Head.Size)...)

		// 5. Sign the new tree. The note exists in memory only, and is thrown
		// away if the transaction does not end well: two notes of one size
		// may be made, but never seen.
		next = newSnapshot(e)
		write.Head.Size, write.Head.Root = e.size, next.root()
		write.Head.Checkpoint, err = l.key.sign(Checkpoint{Origin: l.cfg.Origin, Size: e.size, Root: write.Head.Root})
		if err != nil {
			return Write{}, err
		}
		next.head = write.Head
		return write, l.cfg.Fault(Signed)
	}

	// Who comes while other processes hold the row need not wait for the batch
	// after this one.
	more := func() []Hash {
		late, _ := l.pool.takeNow(maxBatch - len(waiters))
		known := len(hashes)
		waiters = append(waiters, late...)
		fresh, hashes = distinct(waiters)
		return hashes[known:]
	}

	// 2. One transaction: lock the log's row, look up duplicates, plan, write
	// entries, tiles and head, commit.
	// Power fails before the commit: as before. After it: the entries are in
	// the log though nobody was answered; who asks again gets them.
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	var err error
	for range maxAttempts {
		b := Batch{Log: l.cfg.Name, Leaves: hashes, More: more, EdgeSize: base.head.Size, Fault: l.cfg.Fault}
		if err = l.commit(ctx, b, plan); err == nil || final(err) {
			break
		}
		// 6. Not known how it ended, if it was the commit that failed. The
		// next attempt takes the lock after it and finds out: what was
		// written is then an existing entry.
		if errors.Is(err, errStale) {
			s, rereadErr := l.reread(ctx, base)
			if rereadErr != nil {
				err = rereadErr
				break
			}
			base = s
		}
	}
	if err != nil {
		l.fail(waiters, started, err)
		return
	}

	// 7. Publish. From here on the new checkpoint, its tiles and proofs are
	// seen. Power fails here: they were durable before.
	for _, tile := range filled {
		l.tiles.put(tile.TileID, tile.Data)
	}
	if err := l.publish(ctx, seen, next); err != nil {
		l.fail(waiters, started, err)
		return
	}
	_ = l.cfg.Fault(Published) // what is published cannot fail
	if frozen {
		_ = l.look(ctx) // for the row; if that fails, the next batch looks again
	}

	// 8. Answer. The proofs are made by those who wait, from the snapshot.
	l.cfg.Observe(BatchStats{Log: l.cfg.Name, Waiting: len(waiters), New: len(added), Size: next.head.Size, Took: time.Since(started)})
	first := make(map[Hash]bool, len(added))
	for _, w := range waiters {
		place, isNew := added[w.hash]
		if !isNew {
			var ok bool
			if place, ok = existing[w.hash]; !ok {
				w.done <- outcome{err: fmt.Errorf("%w: %q takes no new entry", ErrFrozen, l.cfg.Name)}
				continue
			}
		}
		w.done <- outcome{place: place, existing: !isNew || first[w.hash], snapshot: next}
		first[w.hash] = true
	}
}

// commit runs the transaction once.
func (l *Log) commit(ctx context.Context, b Batch, plan func(Locked) (Write, error)) error {
	if err := l.cfg.Fault(Taken); err != nil {
		return err
	}
	return l.storage.Commit(ctx, b, plan)
}

// catchUp returns the tree under the lock: base itself, or base extended by
// what others have committed, checked against their signed checkpoint.
func (l *Log) catchUp(base *snapshot, locked Locked) (*snapshot, error) {
	if done, err := compare(base, locked.Head); done || err != nil {
		return base, err
	}
	if int64(len(locked.Missed)) != locked.Head.Size-base.head.Size {
		return nil, errStale
	}
	e := base.edge.clone()
	for _, hash := range locked.Missed {
		e.add(hash)
	}
	return l.extended(e, locked.Head)
}

// reread builds the committed tree anew, and checks that it continues base.
func (l *Log) reread(ctx context.Context, base *snapshot) (*snapshot, error) {
	row, err := l.storage.Log(ctx, l.cfg.Name)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(row.Key, l.key.spki) || row.Origin != l.cfg.Origin {
		return nil, ErrWrongKey
	}
	s, err := l.build(ctx, row.Head)
	if err != nil {
		return nil, err
	}
	return s, l.continues(ctx, base, s)
}

// final says whether trying again is pointless: the storage holds something
// else than this log.
func final(err error) bool {
	return errors.Is(err, ErrForked) || errors.Is(err, ErrCorrupt) ||
		errors.Is(err, ErrWrongKey) || errors.Is(err, ErrNoLog) || errors.Is(err, ErrFrozen)
}

// fail answers everybody that the batch did not make it. The next batch starts
// anew from what is published, so the log resumes when the fault ends.
func (l *Log) fail(waiters []*waiter, started time.Time, err error) {
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	l.cfg.Logger.Error("log batch failed", "log", l.cfg.Name, "waiting", len(waiters), "error", err)
	l.cfg.Observe(BatchStats{Log: l.cfg.Name, Waiting: len(waiters), Size: l.published.Load().head.Size, Took: time.Since(started), Err: err})
	answer(waiters, err)
}

// distinct returns one waiter per leaf, in order, and their hashes.
func distinct(waiters []*waiter) ([]*waiter, []Hash) {
	seen := make(map[Hash]bool, len(waiters))
	fresh, hashes := make([]*waiter, 0, len(waiters)), make([]Hash, 0, len(waiters))
	for _, w := range waiters {
		if !seen[w.hash] {
			seen[w.hash] = true
			fresh, hashes = append(fresh, w), append(hashes, w.hash)
		}
	}
	return fresh, hashes
}
