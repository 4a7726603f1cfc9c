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

// Search implements tlog.Storage by looking at everything.
func (m *Memory) Search(_ context.Context, q tlog.Query) ([]tlog.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if q.After != nil {
		if _, err := m.log(q.After.Log); err != nil {
			return nil, err
		}
	}
	var found []tlog.Position
	for _, p := range m.positions(q.Newest) {
		if len(found) < q.Limit && (q.After == nil || m.before(*q.After, p) != q.Newest && p != *q.After) && m.matches(q, p) {
			found = append(found, p)
		}
	}
	return found, nil
}

// positions lists every entry. It needs mu.
func (m *Memory) positions(newest bool) []tlog.Position {
	var all []tlog.Position
	for _, l := range m.order {
		for index := range l.keys {
			all = append(all, tlog.Position{Log: l.row.Name, Index: int64(index)})
		}
	}
	if newest {
		slices.Reverse(all)
	}
	return all
}

// before says whether a comes before b, oldest first. It needs mu.
func (m *Memory) before(a, b tlog.Position) bool {
	if a.Log == b.Log {
		return a.Index < b.Index
	}
	return slices.Index(m.order, m.logs[a.Log]) < slices.Index(m.order, m.logs[b.Log])
}

// matches needs mu.
func (m *Memory) matches(q tlog.Query, p tlog.Position) bool {
	if len(q.Logs) > 0 && !slices.Contains(q.Logs, p.Log) {
		return false
	}
	hits := 0
	for _, key := range q.Keys {
		if m.logs[p.Log].keys[p.Index][key] {
			hits++
		}
	}
	return hits > 0 && (!q.All || hits == len(q.Keys))
}
