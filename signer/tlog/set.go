// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Set is all logs of a deployment: the active one of each kind, and the shards
// before it. It follows what other processes do to the logs, such as freezing
// one and activating the next. Logs that have never been active are no part of
// it: nobody is sent to them.
type Set struct {
	storage Storage
	cfg     SetConfig
	looks   *flights
	// shards is what the last look found.
	shards atomic.Pointer[shards]

	mu     sync.Mutex // guards closed, and that no log is opened after it
	closed bool
}

// SetConfig describes a Set.
type SetConfig struct {
	// Signer opens the key of a log. It is called for every log that is loaded,
	// frozen ones too: Rekor v1 signs each answer.
	Signer func(row LogRow) (crypto.Signer, error)
	// Config is the part that all logs share: Name, Origin and Signer are
	// ignored.
	Config Config
}

// LoadSet opens all logs that storage has. ErrNoLog if there are none.
func LoadSet(ctx context.Context, st Storage, cfg SetConfig) (*Set, error) {
	if cfg.Signer == nil {
		return nil, errors.New("log set config: no signer")
	}
	s := &Set{storage: st, cfg: cfg}
	s.looks = &flights{look: s.look}
	s.shards.Store(&shards{})
	if err := s.look(ctx); err != nil {
		return nil, fmt.Errorf("load logs: %w", err)
	}
	if now := s.shards.Load(); len(now.logs) == 0 && !now.hidden {
		return nil, fmt.Errorf("load logs: %w", ErrNoLog)
	}
	return s, nil
}

// look is one look at all rows. Logs that became active are opened, those that
// are open are followed.
func (s *Set) look(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	before := s.shards.Load()
	bases := make(map[*Log]*snapshot, len(before.logs))
	for _, l := range before.ofKind("") {
		bases[l] = l.published.Load()
	}
	rows, err := s.storage.Logs(ctx)
	if err != nil {
		return fmt.Errorf("%w: read logs: %w", ErrUnavailable, err)
	}
	logs := make(map[string]*Log, len(rows))
	var opened []*Log
	for _, row := range rows {
		l := before.byName(row.Name)
		switch {
		case row.FirstIndex == Unplaced:
			continue
		case l == nil:
			if l, err = s.open(ctx, row); err == nil {
				opened = append(opened, l)
			}
		case l.cfg.Shared || row.State == Frozen:
			err = l.follow(ctx, bases[l], row)
		default:
			l.setRow(row)
		}
		if err != nil {
			return errors.Join(err, closeLogs(ctx, opened))
		}
		logs[row.Name] = l
	}
	s.shards.Store(newShards(rows, logs))
	return nil
}

func (s *Set) open(ctx context.Context, row LogRow) (*Log, error) {
	cfg := s.cfg.Config
	cfg.Name, cfg.Origin = row.Name, row.Origin
	var err error
	if cfg.Signer, err = s.cfg.Signer(row); err != nil {
		return nil, fmt.Errorf("%w: open the key of log %q: %w", ErrUnavailable, row.Name, err)
	}
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	l, err := open(ctx, s.storage, cfg, row)
	if err != nil {
		return nil, fmt.Errorf("load log %q: %w", row.Name, err)
	}
	return l, nil
}

// Active returns the active log of a kind. ErrNoLog if there is none, ErrFrozen
// if the last one was frozen without a successor.
func (s *Set) Active(ctx context.Context, kind Kind) (*Log, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.shards.Load().active(kind)
}

// Logs returns the logs of a kind that are or were active, oldest first. Kind
// "" means all.
func (s *Set) Logs(ctx context.Context, kind Kind) ([]*Log, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.shards.Load().ofKind(kind), nil
}

// Look learns at once what was done to the logs in storage, by this process or
// another: without it a log that was frozen is noticed with the next entry.
func (s *Set) Look(ctx context.Context) error { return s.looks.join(ctx) }

// refresh learns what other processes have done to the logs, if there are any.
// A look costs a read of the database, and Rekor v2 asks for the logs with
// every entry.
func (s *Set) refresh(ctx context.Context) error {
	if !s.cfg.Config.Shared {
		return nil
	}
	return s.looks.join(ctx)
}

// Append logs a leaf in the active log of a kind and says which that was. A
// leaf that a frozen shard of that kind has is answered from there. Errors are
// those of Log.Append and Active.
func (s *Set) Append(ctx context.Context, kind Kind, leaf Leaf) (*Log, Inclusion, error) {
	if _, err := leaf.check(); err != nil {
		return nil, Inclusion{}, err
	}
	for looked := false; ; looked = true {
		// What is known may be old. That does no harm: a frozen log stays
		// frozen, and a log that is not active any more says so.
		now := s.shards.Load()
		l, in, err := now.findFrozen(ctx, kind, leaf)
		if l != nil || err != nil {
			return l, in, err
		}
		l, err = now.active(kind)
		if err == nil {
			in, err = l.Append(ctx, leaf)
			if !errors.Is(err, ErrFrozen) {
				return l, in, err
			}
		} else if looked {
			return nil, Inclusion{}, err
		}
		// Each turn finds that one more log is frozen: it ends.
		if err := s.looks.join(ctx); err != nil {
			return nil, Inclusion{}, err
		}
	}
}

// Search finds entries of the logs that are or were active, see Storage.Search.
// What it finds, Log.Entry has. ErrBadKeys if the query is not within its
// bounds.
func (s *Set) Search(ctx context.Context, q Query) ([]Position, error) {
	q, err := q.check()
	if err != nil {
		return nil, err
	}
	if err := s.looks.join(ctx); err != nil {
		return nil, err
	}
	now := s.shards.Load()
	if len(q.Logs) == 0 && now.hidden {
		for _, l := range now.ofKind("") {
			q.Logs = append(q.Logs, l.cfg.Name)
		}
	}
	found, err := s.storage.Search(ctx, q)
	if errors.Is(err, ErrNoLog) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: search: %w", ErrUnavailable, err)
	}
	for _, p := range found {
		l := now.byName(p.Log)
		if l == nil {
			return nil, fmt.Errorf("%w: log %q was activated a moment ago", ErrUnavailable, p.Log)
		}
		if _, err := l.publishedWith(ctx, p.Index); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Close closes all logs, see Log.Close.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return closeLogs(ctx, s.shards.Load().ofKind(""))
}

func closeLogs(ctx context.Context, logs []*Log) error {
	errs := make([]error, len(logs))
	var wg sync.WaitGroup
	for i, l := range logs {
		wg.Go(func() { errs[i] = l.Close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
