// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// Checkpoint returns the published signed note. Everything else that Log
// serves is covered by it or a later one. ErrUnavailable if the log is shared
// and storage cannot be asked for the newest.
func (l *Log) Checkpoint(ctx context.Context) ([]byte, error) {
	if l.cfg.Shared {
		if err := l.refresh(ctx); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(l.published.Load().head.Checkpoint), nil
}

// Size is the number of entries: that of Checkpoint or, if that fails, the
// number this process knows of.
func (l *Log) Size() int64 {
	_, _ = l.Checkpoint(context.Background()) // a look has a time limit of its own
	return l.published.Load().head.Size
}

// until returns a published tree of at least the size given. A shared log that
// is smaller looks at storage first. ErrNotFound if it is smaller still.
func (l *Log) until(ctx context.Context, size int64) (*snapshot, error) {
	s := l.published.Load()
	if s.head.Size < size && l.cfg.Shared {
		if err := l.refresh(ctx); err != nil {
			return nil, err
		}
		s = l.published.Load()
	}
	if s.head.Size < size {
		return nil, fmt.Errorf("%w: the log has %d entries", ErrNotFound, s.head.Size)
	}
	return s, nil
}

// Tile returns the first width hashes of tile n of a level, 32 bytes each
// (C2SP tlog-tiles). ErrNotFound if the published tree has fewer.
func (l *Log) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	size, ok := covered(level, n, width)
	if !ok {
		return nil, fmt.Errorf("%w: tile %d of level %d, width %d", ErrNotFound, n, level, width)
	}
	s, err := l.until(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("tile %d of level %d, width %d: %w", n, level, width, err)
	}
	if n == s.edge.size>>(TileHeight*(level+1)) {
		return appendHashes(nil, s.edge.levels[level].nodes[0][:width]), nil
	}
	tile, err := l.fullTile(ctx, TileID{Level: level, N: n})
	if err != nil {
		return nil, err
	}
	return bytes.Clone(tile[:width*hashSize]), nil
}

// EntryBundle returns the first width leaves of bundle n, each behind its
// length as a big-endian uint16 (C2SP tlog-tiles). ErrNotFound if the
// published log has fewer.
func (l *Log) EntryBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	size, ok := covered(0, n, width)
	if !ok {
		return nil, fmt.Errorf("%w: entry bundle %d, width %d", ErrNotFound, n, width)
	}
	if _, err := l.until(ctx, size); err != nil {
		return nil, fmt.Errorf("entry bundle %d, width %d: %w", n, width, err)
	}
	from := n << TileHeight
	entries, err := l.storage.Entries(ctx, l.cfg.Name, from, from+int64(width))
	if err != nil {
		return nil, fmt.Errorf("%w: read entry bundle %d: %w", ErrUnavailable, n, err)
	}
	if err := contiguous(entries, from, from+int64(width)); err != nil {
		return nil, err
	}
	return encodeBundle(entries), nil
}

func encodeBundle(entries []Entry) []byte {
	size := 0
	for i := range entries {
		size += 2 + len(entries[i].Body)
	}
	bundle := make([]byte, 0, size)
	for i := range entries {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entries[i].Body))) //nolint:gosec // at most MaxLeaf
		bundle = append(bundle, entries[i].Body...)
	}
	return bundle
}

// covered returns the size of the smallest tree in which tile n of a level has
// width hashes; false if no tree has.
func covered(level int, n int64, width int) (int64, bool) {
	if level < 0 || level > maxTileLevel || n < 0 || width < 1 || width > TileWidth {
		return 0, false
	}
	shift := TileHeight * level
	if n > (math.MaxInt64>>shift-int64(width))>>TileHeight {
		return 0, false
	}
	return (n<<TileHeight + int64(width)) << shift, true
}

// Entry returns the entry at an index of the published log and its proof.
// ErrNotFound if the log is smaller.
func (l *Log) Entry(ctx context.Context, index int64) (Entry, Inclusion, error) {
	if index < 0 || index == math.MaxInt64 {
		return Entry{}, Inclusion{}, fmt.Errorf("%w: entry %d", ErrNotFound, index)
	}
	s, err := l.until(ctx, index+1)
	if err != nil {
		return Entry{}, Inclusion{}, fmt.Errorf("entry %d: %w", index, err)
	}
	entries, err := l.storage.Entries(ctx, l.cfg.Name, index, index+1)
	if err != nil {
		return Entry{}, Inclusion{}, fmt.Errorf("%w: read entry %d: %w", ErrUnavailable, index, err)
	}
	if err := contiguous(entries, index, index+1); err != nil {
		return Entry{}, Inclusion{}, err
	}
	entry := entries[0]
	entry.Hash = merkle.RecordHash(entry.Body)
	out := outcome{place: Place{Index: index, Time: entry.Time}, existing: true, snapshot: s}
	in, err := l.include(ctx, out, entry.Hash)
	return entry, in, err
}

// Prove is Entry for callers who have the entry.
func (l *Log) Prove(ctx context.Context, index int64) (Inclusion, error) {
	_, in, err := l.Entry(ctx, index)
	return in, err
}

// Find looks a leaf up by its hash and proves it; false if it is not in the
// log. ErrUnavailable if that cannot be said.
func (l *Log) Find(ctx context.Context, leaf Hash) (Inclusion, bool, error) {
	places, err := l.storage.Find(ctx, l.cfg.Name, []Hash{leaf})
	if err != nil {
		return Inclusion{}, false, fmt.Errorf("%w: look up leaf: %w", ErrUnavailable, err)
	}
	place, ok := places[leaf]
	if !ok {
		return Inclusion{}, false, nil
	}
	s, err := l.publishedWith(ctx, place.Index)
	if err != nil {
		return Inclusion{}, false, err
	}
	in, err := l.include(ctx, outcome{place: place, existing: true, snapshot: s}, leaf)
	return in, err == nil, err
}

// publishedWith returns a published tree that has the entry at index, which
// storage has. It may have been committed by another process, or a moment ago,
// or by a commit whose answer was lost: then it is published now.
func (l *Log) publishedWith(ctx context.Context, index int64) (*snapshot, error) {
	s := l.published.Load()
	if index < s.head.Size {
		return s, nil
	}
	if err := l.looks.join(ctx); err != nil {
		return nil, err
	}
	if s = l.published.Load(); index >= s.head.Size {
		return nil, fmt.Errorf("%w: entry %d lies beyond the head of log %q", ErrCorrupt, index, l.cfg.Name)
	}
	return s, nil
}

// ProveConsistency returns the RFC 6962 proof that the tree of size older is a
// prefix of the tree of size newer. ErrNotFound unless
// 1 <= older <= newer <= Size().
func (l *Log) ProveConsistency(ctx context.Context, older, newer int64) ([]Hash, error) {
	if older < 1 || older > newer {
		return nil, fmt.Errorf("%w: consistency of sizes %d and %d", ErrNotFound, older, newer)
	}
	s, err := l.until(ctx, newer)
	if err != nil {
		return nil, fmt.Errorf("consistency of sizes %d and %d: %w", older, newer, err)
	}
	return merkle.ProveTree(newer, older, l.nodesOf(ctx, s))
}

// nodesOf reads nodes that are complete in s, by their x/mod storage index.
func (l *Log) nodesOf(ctx context.Context, s *snapshot) merkle.HashReader {
	complete := l.completeNode(ctx)
	return merkle.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes := make([]Hash, len(indexes))
		for i, index := range indexes {
			height, n := merkle.SplitStoredHashIndex(index)
			hash, ok := s.edge.node(height, n)
			if !ok {
				var err error
				if hash, err = complete(height, n); err != nil {
					return nil, err
				}
			}
			hashes[i] = hash
		}
		return hashes, nil
	})
}

// completeNode returns a function that reads nodes of full tiles.
func (l *Log) completeNode(ctx context.Context) func(height int, n int64) (Hash, error) {
	return func(height int, n int64) (Hash, error) {
		id, inHeight, inN := tileOf(height, n)
		tile, err := l.fullTile(ctx, id)
		if err != nil {
			return Hash{}, err
		}
		return tile.node(inHeight, inN), nil
	}
}

// fullTile reads a full tile of the published tree.
func (l *Log) fullTile(ctx context.Context, id TileID) (fullTile, error) {
	if tile, ok := l.tiles.get(id); ok {
		return tile, nil
	}
	data, err := l.storage.Tiles(ctx, l.cfg.Name, []TileID{id})
	if err != nil {
		return nil, fmt.Errorf("%w: read tile %d of level %d: %w", ErrUnavailable, id.N, id.Level, err)
	}
	if len(data[0]) != fullTileBytes {
		return nil, fmt.Errorf("%w: tile %d of level %d has %d bytes", ErrCorrupt, id.N, id.Level, len(data[0]))
	}
	l.tiles.put(id, data[0])
	return data[0], nil
}
