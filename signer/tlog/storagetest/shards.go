// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Logs implements tlog.Storage.
func (m *Memory) Logs(context.Context) ([]tlog.LogRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var rows []tlog.LogRow
	for _, l := range m.order {
		rows = append(rows, l.row)
	}
	return rows, nil
}

// Activate implements tlog.Storage.
func (m *Memory) Activate(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(name)
	if err != nil || l.row.State == tlog.Active {
		return err
	}
	if l.row.State == tlog.Frozen {
		return fmt.Errorf("%w: %q", tlog.ErrFrozen, name)
	}
	if before := m.active(l.row.Kind); before != nil {
		before.row.State = tlog.Frozen
	}
	l.row.State, l.row.FirstIndex = tlog.Active, m.nextIndex(l.row.Kind)
	return nil
}

// Freeze implements tlog.Storage.
func (m *Memory) Freeze(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(name)
	if err != nil {
		return err
	}
	l.row.State = tlog.Frozen
	return nil
}

// active needs mu.
func (m *Memory) active(kind tlog.Kind) *memoryLog {
	for _, l := range m.order {
		if l.row.Kind == kind && l.row.State == tlog.Active {
			return l
		}
	}
	return nil
}

// nextIndex is the FirstIndex of the next log of a kind. It needs mu.
func (m *Memory) nextIndex(kind tlog.Kind) int64 {
	next := int64(0)
	for _, l := range m.order {
		if l.row.Kind == kind && l.row.FirstIndex != tlog.Unplaced {
			next = max(next, l.row.FirstIndex+l.row.Head.Size)
		}
	}
	return next
}

// Search implements tlog.Storage by looking at every entry.
func (m *Memory) Search(_ context.Context, q tlog.Query) ([]tlog.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := -1 // where in the order
	if q.After != nil {
		l, err := m.log(q.After.Log)
		if err != nil {
			return nil, err
		}
		after = slices.Index(m.order, l)
	}
	var found []tlog.Position
	for n := range m.order {
		if q.Newest {
			n = len(m.order) - 1 - n
		}
		name := m.order[n].row.Name
		past := q.After != nil && (n < after) != q.Newest && n != after
		if past || len(q.Logs) > 0 && !slices.Contains(q.Logs, name) {
			continue
		}
		from, to := 0, len(m.order[n].keys)
		switch {
		case n == after && q.Newest:
			to = min(to, int(q.After.Index))
		case n == after:
			from = max(from, int(min(q.After.Index, int64(to)))+1)
		}
		for _, index := range m.order[n].matches(q, from, to) {
			if len(found) == q.Limit {
				return found, nil
			}
			found = append(found, tlog.Position{Log: name, Index: int64(index)})
		}
	}
	return found, nil
}

// matches returns up to a page of the entries from <= index < to that a query
// asks for, in its order.
func (l *memoryLog) matches(q tlog.Query, from, to int) []int {
	var found []int
	for n := from; n < to && len(found) < q.Limit; n++ {
		index := n
		if q.Newest {
			index = from + to - 1 - n
		}
		hits := 0
		for _, key := range q.Keys {
			if l.keys[index][key] {
				hits++
			}
		}
		if hits > 0 && (!q.All || hits == len(q.Keys)) {
			found = append(found, index)
		}
	}
	return found
}
