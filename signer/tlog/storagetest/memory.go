// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// Memory is a tlog.Storage without durability, for tests of what stands on
// top. It passes the same suite as the real one.
type Memory struct {
	mu    sync.Mutex // guards what follows, and everything in it
	logs  map[string]*memoryLog
	order []*memoryLog // of creation
}

type memoryLog struct {
	row     tlog.LogRow
	entries []tlog.Entry
	places  map[tlog.Hash]tlog.Place
	tiles   map[tlog.TileID][]byte
	keys    []map[string]bool // by index
}

// NewMemory returns an empty storage.
func NewMemory() *Memory {
	return &Memory{logs: make(map[string]*memoryLog)}
}

// CreateLog implements tlog.Storage.
func (m *Memory) CreateLog(_ context.Context, row tlog.LogRow) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.order {
		if l.row.Name == row.Name || l.row.TreeID == row.TreeID {
			return tlog.ErrLogExists
		}
	}
	row.FirstIndex = tlog.Unplaced
	if row.State == tlog.Active {
		if m.active(row.Kind) != nil {
			return tlog.ErrLogExists
		}
		row.FirstIndex = m.nextIndex(row.Kind)
	}
	l := &memoryLog{row: row, places: make(map[tlog.Hash]tlog.Place), tiles: make(map[tlog.TileID][]byte)}
	m.logs[row.Name], m.order = l, append(m.order, l)
	return nil
}

// Log implements tlog.Storage.
func (m *Memory) Log(_ context.Context, name string) (tlog.LogRow, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(name)
	if err != nil {
		return tlog.LogRow{}, err
	}
	return l.row, nil
}

// log needs mu.
func (m *Memory) log(name string) (*memoryLog, error) {
	l := m.logs[name]
	if l == nil {
		return nil, fmt.Errorf("%w: %q", tlog.ErrNoLog, name)
	}
	return l, nil
}

// Commit implements tlog.Storage. The mutex is the lock of every row.
func (m *Memory) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := m.log(b.Log)
	if err != nil {
		return err
	}
	locked := tlog.Locked{Head: l.row.Head, Frozen: l.row.State == tlog.Frozen, Existing: l.find(b.Leaves)}
	if gap := l.row.Head.Size - b.EdgeSize; gap > 0 && gap <= tlog.MaxMissed {
		for _, e := range l.entries[b.EdgeSize:] {
			locked.Missed = append(locked.Missed, merkle.RecordHash(e.Body))
		}
	}
	write, err := plan(locked)
	if err != nil || len(write.Entries) == 0 {
		return err
	}
	if locked.Frozen {
		return tlog.ErrFrozen
	}
	if err := fault(b, tlog.BeforeCommit); err != nil {
		return err
	}
	if err := l.apply(write); err != nil {
		return err
	}
	return fault(b, tlog.AfterCommit)
}

func fault(b tlog.Batch, p tlog.Point) error {
	if b.Fault == nil {
		return nil
	}
	return b.Fault(p)
}

// apply writes everything or nothing.
func (l *memoryLog) apply(write tlog.Write) error {
	seen := make(map[tlog.Hash]bool)
	for i, e := range write.Entries {
		if _, taken := l.places[e.Hash]; taken || seen[e.Hash] || e.Index != int64(len(l.entries)+i) {
			return fmt.Errorf("entry %d: index or leaf is taken", e.Index)
		}
		seen[e.Hash] = true
	}
	for _, e := range write.Entries {
		l.places[e.Hash] = tlog.Place{Index: e.Index, Time: e.Time}
		l.entries = append(l.entries, tlog.Entry{Index: e.Index, Time: e.Time, Body: bytes.Clone(e.Body)})
		keys := make(map[string]bool)
		for _, key := range e.Keys {
			keys[key] = true
		}
		l.keys = append(l.keys, keys)
	}
	for _, t := range write.Tiles {
		l.tiles[t.TileID] = bytes.Clone(t.Data)
	}
	l.row.Head = write.Head
	return nil
}

func (l *memoryLog) find(leaves []tlog.Hash) map[tlog.Hash]tlog.Place {
	found := make(map[tlog.Hash]tlog.Place)
	for _, h := range leaves {
		if p, ok := l.places[h]; ok {
			found[h] = p
		}
	}
	return found
}

// Find implements tlog.Storage.
func (m *Memory) Find(_ context.Context, name string, leaves []tlog.Hash) (map[tlog.Hash]tlog.Place, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(name)
	if err != nil {
		return nil, err
	}
	return l.find(leaves), nil
}

// Entries implements tlog.Storage.
func (m *Memory) Entries(_ context.Context, name string, from, to int64) ([]tlog.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(name)
	if err != nil {
		return nil, err
	}
	size := int64(len(l.entries))
	return append([]tlog.Entry(nil), l.entries[min(from, size):min(to, size)]...), nil
}

// Tiles implements tlog.Storage.
func (m *Memory) Tiles(_ context.Context, name string, ids []tlog.TileID) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, err := m.log(name)
	if err != nil {
		return nil, err
	}
	tiles := make([][]byte, len(ids))
	for i, id := range ids {
		tiles[i] = l.tiles[id]
	}
	return tiles, nil
}
