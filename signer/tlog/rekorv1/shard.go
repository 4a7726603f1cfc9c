// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"errors"
	"fmt"
	"slices"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// record is an entry of a log with its proof.
type record struct {
	log  *tlog.Log
	body []byte
	in   tlog.Inclusion
}

// shards returns the v1 logs, oldest first.
func (s *Service) shards(ctx context.Context) ([]*tlog.Log, error) {
	return s.cfg.Set.Logs(ctx, tlog.V1)
}

// current returns the log that is active, or the last one that was.
func (s *Service) current(ctx context.Context) (*tlog.Log, error) {
	l, err := s.cfg.Set.Active(ctx, tlog.V1)
	if !errors.Is(err, tlog.ErrFrozen) {
		return l, err
	}
	logs, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 {
		return nil, tlog.ErrNoLog
	}
	return logs[len(logs)-1], nil
}

// atIndex returns the entry at a global index, tlog.ErrNotFound if there is
// none yet.
func (s *Service) atIndex(ctx context.Context, global int64) (record, error) {
	logs, err := s.shards(ctx)
	if err != nil {
		return record{}, err
	}
	for _, l := range slices.Backward(logs) {
		if first := l.Row().FirstIndex; global >= first {
			return at(ctx, l, global-first)
		}
	}
	return record{}, fmt.Errorf("%w: no log has entry %d", tlog.ErrNotFound, global)
}

// at returns the entry at an index of one log.
func at(ctx context.Context, l *tlog.Log, index int64) (record, error) {
	entry, in, err := l.Entry(ctx, index)
	return record{log: l, body: entry.Body, in: in}, err
}

// byID returns the entry with an id, tlog.ErrNotFound if no log has it. A UUID
// is looked for in the newest log first.
func (s *Service) byID(ctx context.Context, id entryID) (record, error) {
	logs, err := s.shards(ctx)
	if err != nil {
		return record{}, err
	}
	for _, l := range slices.Backward(logs) {
		if id.tree != 0 && l.Row().TreeID != id.tree {
			continue
		}
		in, found, err := l.Find(ctx, id.leaf)
		if err != nil {
			return record{}, err
		}
		if found {
			return at(ctx, l, in.Index)
		}
	}
	return record{}, fmt.Errorf("%w: no log has entry %s", tlog.ErrNotFound, id)
}

// byLeaf returns the first of some leaves that a log has; false if there is
// none.
func (s *Service) byLeaf(ctx context.Context, leaves [][]byte) (record, bool, error) {
	logs, err := s.shards(ctx)
	if err != nil {
		return record{}, false, err
	}
	for _, leaf := range leaves {
		hash := merkle.RecordHash(leaf)
		for _, l := range slices.Backward(logs) {
			in, found, err := l.Find(ctx, hash)
			if err != nil || found {
				return record{log: l, body: leaf, in: in}, found, err
			}
		}
	}
	return record{}, false, nil
}
