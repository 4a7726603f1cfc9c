// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"fmt"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// A log is followed when other processes append to it (Config.Shared), when a
// commit succeeded whose answer was lost, and when it is frozen or activated
// elsewhere. What is found is believed only if it is signed and continues what
// this process has published.

// refresh publishes what storage has now, or a later tree.
func (l *Log) refresh(ctx context.Context) error {
	if l.ended() {
		return nil
	}
	return l.looks.join(ctx)
}

// look is one look at storage.
func (l *Log) look(ctx context.Context) error {
	base := l.published.Load()
	row, err := l.storage.Log(ctx, l.cfg.Name)
	if err != nil {
		return fmt.Errorf("%w: read head of log %q: %w", ErrUnavailable, l.cfg.Name, err)
	}
	return l.follow(ctx, base, row)
}

// follow publishes the tree of a row that was read after base was published.
func (l *Log) follow(ctx context.Context, base *snapshot, row LogRow) error {
	err := l.followHead(ctx, base, row.Head)
	if err != nil {
		return fmt.Errorf("%w: follow log %q: %w", ErrUnavailable, l.cfg.Name, err)
	}
	l.setRow(row)
	return nil
}

func (l *Log) followHead(ctx context.Context, base *snapshot, head Head) error {
	if done, err := compare(base, head); done || err != nil {
		return err
	}
	if l.published.Load().head.Size >= head.Size {
		return nil // a batch of our own was quicker
	}
	next, err := l.advance(ctx, base, head)
	if err != nil {
		return err
	}
	return l.publish(ctx, base, next)
}

// compare says whether a head is that of a tree (true), or an ErrForked if it
// can never follow it.
func compare(base *snapshot, head Head) (bool, error) {
	switch {
	case head.Size < base.head.Size:
		return false, fmt.Errorf("%w: %d entries are published, storage has %d", ErrForked, base.head.Size, head.Size)
	case head.Size == base.head.Size && head.Root != base.head.Root:
		return false, fmt.Errorf("%w: two trees of size %d", ErrForked, head.Size)
	}
	return head.Size == base.head.Size, nil
}

// advance reads the tree of a head and checks that it continues base. It shares
// nothing with base that could be written to: the batch goroutine may be
// extending base at the same time.
func (l *Log) advance(ctx context.Context, base *snapshot, head Head) (*snapshot, error) {
	if head.Size-base.head.Size > TileWidth {
		// Reading the last tiles is cheaper than reading all that is new.
		s, err := l.build(ctx, head)
		if err != nil {
			return nil, err
		}
		return s, l.continues(ctx, base, s)
	}
	entries, err := l.storage.Entries(ctx, l.cfg.Name, base.head.Size, head.Size)
	if err != nil {
		return nil, fmt.Errorf("read new entries: %w", err)
	}
	if err := contiguous(entries, base.head.Size, head.Size); err != nil {
		return nil, err
	}
	e := base.edge.copy()
	for i := range entries {
		e.add(merkle.RecordHash(entries[i].Body))
	}
	return l.extended(e, head)
}

// extended is the tree of an edge that was extended by what others committed,
// checked against the head that they signed.
func (l *Log) extended(e *edge, head Head) (*snapshot, error) {
	s := newSnapshot(e)
	s.head = head
	if err := l.checkHead(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForked, err)
	}
	return s, nil
}

// continues says whether the tree of older is a prefix of that of newer, which
// is built from storage.
func (l *Log) continues(ctx context.Context, older, newer *snapshot) error {
	done, err := compare(older, newer.head)
	if done || err != nil || older.head.Size == 0 {
		return err
	}
	proof, err := merkle.ProveTree(newer.head.Size, older.head.Size, l.nodesOf(ctx, newer))
	if err != nil {
		return fmt.Errorf("prove that the log continues: %w", err)
	}
	if err := merkle.CheckTree(proof, newer.head.Size, newer.head.Root, older.head.Size, older.head.Root); err != nil {
		return fmt.Errorf("%w: the tree of %d entries does not continue that of %d: %w",
			ErrForked, newer.head.Size, older.head.Size, err)
	}
	return nil
}

// publish makes next the tree that everybody sees, unless a later one is
// published already. next continues base, which was published. Batches and
// looks publish at the same time: whoever finds that something else has come
// between proves that both are one history.
func (l *Log) publish(ctx context.Context, base, next *snapshot) error {
	for {
		now := l.published.Load()
		if now != base {
			older, newer := now, next
			if older.head.Size > newer.head.Size {
				older, newer = newer, older
			}
			if err := l.continues(ctx, older, newer); err != nil {
				return err
			}
		}
		if now.head.Size >= next.head.Size || l.published.CompareAndSwap(now, next) {
			return nil
		}
	}
}

// setRow remembers a row, unless a later one is known. That of a frozen log is
// remembered only when its last entry is published.
func (l *Log) setRow(row LogRow) {
	for {
		now := l.row.Load()
		if now.State.rank() > row.State.rank() || l.row.CompareAndSwap(now, &row) {
			return
		}
	}
}

// rank orders states by when they come in the life of a log.
func (s State) rank() int {
	switch s {
	case Frozen:
		return 2
	case Active:
		return 1
	default:
		return 0
	}
}

// ended says whether the log is frozen and its last entry published: nothing
// will ever change.
func (l *Log) ended() bool { return l.row.Load().State == Frozen }
