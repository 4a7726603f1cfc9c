// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Search implements tlog.Storage. All of it sees one state of the database:
// runs may be merged meanwhile.
func (db *DB) Search(ctx context.Context, q tlog.Query) (found []tlog.Position, err error) {
	keys, err := store.QueryKeys(db.secret, q)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	err = db.snapshot(ctx, func(qr queryer) error {
		logs, err := qr.inScope(q)
		if err != nil {
			return err
		}
		for _, l := range logs {
			s := search{queryer: qr, log: l.id, from: l.from, to: l.to, keys: keys, all: q.All, newest: q.Newest, limit: q.Limit - len(found)}
			hits, err := s.run(l.size)
			if err != nil {
				return err
			}
			for _, index := range hits {
				found = append(found, tlog.Position{Log: l.name, Index: index})
			}
			if len(found) == q.Limit {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return found, nil
}

// scope is the part of a log that a query asks about.
type scope struct {
	name     string
	id       int64
	from, to int64
	size     int64
}

// inScope returns the logs that a query asks about, in its order.
func (q queryer) inScope(query tlog.Query) (logs []scope, err error) {
	rows, ids, err := q.logs()
	if err != nil {
		return nil, err
	}
	passed := query.After == nil // the log where the last page ended
	if query.Newest {
		slices.Reverse(rows)
		slices.Reverse(ids)
	}
	for i := range rows {
		s := scope{name: rows[i].Name, id: ids[i], to: rows[i].Head.Size, size: rows[i].Head.Size}
		if !passed && s.name == query.After.Log {
			passed = true
			if query.Newest {
				s.to = min(s.to, query.After.Index)
			} else {
				s.from = max(s.from, query.After.Index+1)
			}
		} else if !passed {
			continue
		}
		if s.from < s.to && (len(query.Logs) == 0 || slices.Contains(query.Logs, s.name)) {
			logs = append(logs, s)
		}
	}
	if !passed {
		return nil, fmt.Errorf("%w: %q", tlog.ErrNoLog, query.After.Log)
	}
	return logs, nil
}

// search is a search in one log.
type search struct {
	queryer
	log         int64
	from, to    int64
	keys        []int64
	all, newest bool
	limit       int
}

// run returns the indexes found, in the order asked for, at most limit.
func (s *search) run(size int64) (hits []int64, err error) {
	covered, err := s.coverage(s.log)
	if err != nil {
		return nil, err
	}
	segments := covered.segments(size)
	if s.newest {
		slices.Reverse(segments)
	}
	for _, seg := range segments {
		from, to := max(seg.from, s.from), min(seg.to, s.to)
		if from >= to {
			continue
		}
		var more []int64
		if seg.level == 0 {
			more, err = s.inEntries(from, to)
		} else {
			more, err = s.inRun(seg, from, to)
		}
		if err != nil {
			return nil, err
		}
		hits = append(hits, more[:min(len(more), s.limit-len(hits))]...)
		if len(hits) == s.limit {
			break
		}
	}
	return hits, nil
}

// inEntries looks through the keys of entries.
func (s *search) inEntries(from, to int64) (hits []int64, err error) {
	postings, err := s.queryer.keys(s.log, from, to, 0)
	if err != nil {
		return nil, err
	}
	for len(postings) > 0 {
		index, matches := postings[0].offset, 0
		for len(postings) > 0 && postings[0].offset == index {
			if _, ok := slices.BinarySearch(s.keys, postings[0].key); ok {
				matches++
			}
			postings = postings[1:]
		}
		if matches == len(s.keys) || matches > 0 && !s.all {
			hits = append(hits, index)
		}
	}
	if s.newest {
		slices.Reverse(hits)
	}
	return hits, nil
}

// inRun looks into a run.
func (s *search) inRun(seg segment, from, to int64) ([]int64, error) {
	base := seg.n * span(seg.level)
	cursors := make([]*cursor, len(s.keys))
	for i, key := range s.keys {
		cursors[i] = &cursor{
			blocks: blocks{s.queryer, runID(s.log, seg.level, seg.n)},
			key:    key, from: from - base, to: to - base, newest: s.newest,
		}
	}
	list := s.any
	if s.all {
		list = s.every
	}
	hits, err := list(cursors)
	for i := range hits {
		hits[i] += base
	}
	return hits, err
}

// any merges what each cursor finds: the first hits of the union are among the
// first hits of each.
func (s *search) any(cursors []*cursor) (hits []int64, err error) {
	for _, c := range cursors {
		offset := c.begin()
		for range s.limit {
			found, ok, err := c.seek(offset)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			hits = append(hits, found)
			offset = c.step(found)
		}
	}
	slices.Sort(hits)
	hits = slices.Compact(hits)
	if s.newest {
		slices.Reverse(hits)
	}
	return hits, nil
}

// every leaps: whoever is behind goes to where the others are.
func (s *search) every(cursors []*cursor) (hits []int64, err error) {
	offset := cursors[0].begin()
	agreed := 0 // how many cursors, from the first, are at offset
	for len(hits) < s.limit {
		c := cursors[agreed]
		next, ok, err := c.seek(offset)
		if err != nil || !ok {
			return hits, err
		}
		// Whoever has leapt ahead is at its new place, the others are asked
		// again.
		if next != offset && agreed > 0 {
			offset, agreed = next, 0
			continue
		}
		offset = next
		agreed++
		if agreed == len(cursors) {
			hits = append(hits, offset)
			offset, agreed = c.step(offset), 0
		}
	}
	return hits, nil
}
