// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// oracle is the same tree kept by x/mod, every node stored.
type oracle struct {
	hashes []Hash
	size   int64
}

// ReadHashes implements merkle.HashReader.
func (o *oracle) ReadHashes(indexes []int64) ([]Hash, error) {
	out := make([]Hash, len(indexes))
	for i, index := range indexes {
		out[i] = o.hashes[index]
	}
	return out, nil
}

func (o *oracle) add(t *testing.T, leaf Hash) {
	t.Helper()
	more, err := merkle.StoredHashesForRecordHash(o.size, leaf, o)
	if err != nil {
		t.Fatal(err)
	}
	o.hashes, o.size = append(o.hashes, more...), o.size+1
}

// interesting says whether a size is checked: all small ones, and those around
// the borders of tiles.
func interesting(n int64) bool {
	for _, border := range []int64{512, 1024, 4096, 1 << 16, 1<<16 + 256, 1<<16 + 4096} {
		if n >= border-1 && n <= border+1 {
			return true
		}
	}
	return n <= 300
}

func TestEdgeAgrees(t *testing.T) {
	const size = 1<<16 + 4100
	e, o := &edge{}, &oracle{}
	tiles := make(map[TileID]fullTile)
	for n := int64(0); n <= size; n++ {
		if interesting(n) {
			checkEdge(t, e, o, tiles)
		}
		leaf := merkle.RecordHash(binary.BigEndian.AppendUint64(nil, uint64(n)))
		o.add(t, leaf)
		// A clone that is thrown away leaves no trace in the original.
		e.clone().add(Hash{0xff})
		for _, tile := range e.add(leaf) {
			tiles[tile.TileID] = tile.Data
		}
	}
	if want := size >> TileHeight; len(tiles) < want || tiles[TileID{Level: 1, N: 0}] == nil {
		t.Fatalf("%d full tiles, want at least %d", len(tiles), want)
	}
}

func checkEdge(t *testing.T, e *edge, o *oracle, tiles map[TileID]fullTile) {
	t.Helper()
	s := newSnapshot(e.clone())
	want, err := merkle.TreeHash(o.size, o)
	if err != nil {
		t.Fatal(err)
	}
	if s.root() != want {
		t.Fatalf("size %d: root %s, want %s", o.size, s.root(), want)
	}
	complete := func(height int, n int64) (Hash, error) {
		id, inHeight, inN := tileOf(height, n)
		if tiles[id] == nil {
			return Hash{}, fmt.Errorf("tile %v is not full", id)
		}
		return tiles[id].node(inHeight, inN), nil
	}
	step := 1 + o.size/100
	for index := int64(0); index < o.size; index += step {
		got, err := s.auditPath(index, complete)
		if err != nil {
			t.Fatalf("size %d, leaf %d: %v", o.size, index, err)
		}
		want, err := merkle.ProveRecord(o.size, index, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("size %d, leaf %d: proof %v, want %v", o.size, index, got, want)
		}
	}
}

// A snapshot is read while its edge is extended: it must not change.
func TestSnapshotIsFrozen(t *testing.T) {
	e := &edge{}
	for n := range 200 {
		e.add(Hash{byte(n)})
	}
	s := newSnapshot(e)
	before, err := s.auditPath(3, nil)
	if err != nil {
		t.Fatal(err)
	}
	for attempt := range 3 { // each overwrites what the last one left behind
		next := e.clone()
		for n := range 100 {
			next.add(Hash{0xee, byte(attempt), byte(n)})
		}
	}
	after, err := newSnapshot(e).auditPath(3, nil)
	if err != nil || !slices.Equal(before, after) || s.root() != newSnapshot(e).root() {
		t.Errorf("extending clones changed the original: %v", err)
	}
}

func TestTileCacheIsBounded(t *testing.T) {
	c := newTileCache()
	hot := TileID{Level: 1}
	c.put(hot, fullTile("hot"))
	for n := range int64(10 * cachedTiles) {
		c.put(TileID{N: n}, nil)
		if got, ok := c.get(hot); !ok || string(got) != "hot" {
			t.Fatalf("a tile in use was forgotten after %d others", n)
		}
	}
	if n := len(c.young) + len(c.old); n > 2*cachedTiles {
		t.Errorf("%d tiles are kept", n)
	}
	if _, ok := c.get(TileID{N: 0}); ok {
		t.Error("a tile long unused is still there")
	}
}

func FuzzSplitBundle(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte{0, 1})
	f.Add(encodeBundle([]Entry{{Body: []byte("one")}, {Body: make([]byte, MaxLeaf)}, {}}))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		leaves, ok := SplitBundle(bundle)
		if !ok {
			return
		}
		entries := make([]Entry, len(leaves))
		for i := range leaves {
			entries[i].Body = leaves[i]
		}
		if got := encodeBundle(entries); !slices.Equal(got, bundle) {
			t.Errorf("%x became %x", bundle, got)
		}
	})
}

func TestExists(t *testing.T) {
	for _, tc := range []struct {
		size  int64
		level int
		n     int64
		width int
		want  bool
	}{
		{0, 0, 0, 1, false},
		{1, 0, 0, 1, true},
		{1, 0, 0, 2, false},
		{1, 0, 0, 0, false},
		{256, 0, 0, 256, true},
		{256, 0, 0, 257, false},
		{256, 0, 1, 1, false},
		{256, 1, 0, 1, true},
		{257, 0, 1, 1, true},
		{1 << 16, 2, 0, 1, true},
		{1 << 16, 2, 0, 2, false},
		{1 << 16, -1, 0, 1, false},
		{1 << 16, 8, 0, 1, false},
		{1 << 16, 63, 0, 1, false},
		{1 << 16, 0, -1, 1, false},
		{1 << 16, 0, 1 << 60, 1, false},
		{1<<63 - 1, 7, 0, 127, true},
	} {
		size, ok := covered(tc.level, tc.n, tc.width)
		if got := ok && size <= tc.size; got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

// BenchmarkAuditPath is one inclusion proof in a tree of a million, storage
// not counted: of the last entry, and of one in the middle, whose two full
// tiles are at hand as they are stored.
func BenchmarkAuditPath(b *testing.B) {
	e, tiles := &edge{}, make(map[TileID]fullTile)
	for n := range 1_000_000 {
		for _, tile := range e.add(Hash{byte(n), byte(n >> 8), byte(n >> 16)}) {
			tiles[tile.TileID] = tile.Data
		}
	}
	s := newSnapshot(e)
	complete := func(height int, n int64) (Hash, error) {
		id, inHeight, inN := tileOf(height, n)
		return tiles[id].node(inHeight, inN), nil
	}
	for name, index := range map[string]int64{"fresh": 999_999, "old": 444_444} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.auditPath(index, complete); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("snapshot", func(b *testing.B) {
		for b.Loop() {
			newSnapshot(e.clone())
		}
	})
}
