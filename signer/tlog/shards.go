// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// shards is what one look at storage found. It never changes, while the logs in
// it do: what a log says of its state may be newer than what is said here.
type shards struct {
	// logs are or were active. They are ordered by kind, and within a kind as
	// they became active.
	logs []shard
	// hidden says that there are other logs, which have never been active.
	hidden bool
}

type shard struct {
	*Log
	kind  Kind
	state State
}

// newShards puts logs, by name, into the order of their rows.
func newShards(rows []LogRow, logs map[string]*Log) *shards {
	s := &shards{hidden: len(logs) < len(rows)}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b LogRow) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), compareShards(&a, &b))
	})
	for i := range rows {
		if l := logs[rows[i].Name]; l != nil {
			s.logs = append(s.logs, shard{Log: l, state: rows[i].State, kind: rows[i].Kind})
		}
	}
	return s
}

// byName returns the log of a name, or nil.
func (s *shards) byName(name string) *Log {
	for i := range s.logs {
		if s.logs[i].cfg.Name == name {
			return s.logs[i].Log
		}
	}
	return nil
}

// ofKind returns the logs of a kind, those of all kinds for "".
func (s *shards) ofKind(kind Kind) []*Log {
	var logs []*Log
	for i := range s.logs {
		if kind == "" || s.logs[i].kind == kind {
			logs = append(logs, s.logs[i].Log)
		}
	}
	return logs
}

func (s *shards) active(kind Kind) (*Log, error) {
	err := fmt.Errorf("%w: none of kind %s is active", ErrNoLog, kind)
	for i := range s.logs {
		switch l := &s.logs[i]; {
		case l.kind != kind:
		case l.state == Active:
			return l.Log, nil
		default:
			err = fmt.Errorf("%w: %q, the last of kind %s", ErrFrozen, l.cfg.Name, kind)
		}
	}
	return nil, err
}

// findFrozen looks for a leaf in the frozen shards of a kind. The log is nil if
// none of them has it.
func (s *shards) findFrozen(ctx context.Context, kind Kind, leaf Leaf) (*Log, Inclusion, error) {
	for i := range s.logs {
		l := &s.logs[i]
		if l.kind != kind || l.state != Frozen || l.published.Load().head.Size == 0 {
			continue
		}
		in, found, err := l.Find(ctx, merkle.RecordHash(leaf.Body))
		if found || err != nil {
			return l.Log, in, err
		}
	}
	return nil, Inclusion{}, nil
}
