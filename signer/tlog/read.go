// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// Checkpoint returns the published signed note. Everything else that Log
// serves is covered by it or a later one.
func (l *Log) Checkpoint(context.Context) ([]byte, error) {
	return bytes.Clone(l.published.Load().head.Checkpoint), nil
}

// Size is the published number of entries.
func (l *Log) Size() int64 { return l.published.Load().head.Size }

// Tile returns the first width hashes of tile n of a level, 32 bytes each
// (C2SP tlog-tiles). ErrNotFound if the published tree has fewer.
func (l *Log) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	s := l.published.Load()
	if !exists(s.head.Size, level, n, width) {
		return nil, fmt.Errorf("%w: tile %d of level %d, width %d", ErrNotFound, n, level, width)
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
	if !exists(l.Size(), 0, n, width) {
		return nil, fmt.Errorf("%w: entry bundle %d, width %d", ErrNotFound, n, width)
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

// exists says whether tile n of a level has width hashes in a tree of a size.
func exists(size int64, level int, n int64, width int) bool {
	if level < 0 || level > maxTileLevel || n < 0 || width < 1 || width > TileWidth {
		return false
	}
	nodes := size >> (TileHeight * level)
	return n <= nodes>>TileHeight && n<<TileHeight+int64(width) <= nodes
}

// Prove returns a proof of the entry at index in the published tree, for the
// leaf hash given. ErrNotFound if the tree is smaller.
func (l *Log) Prove(ctx context.Context, index int64) (Inclusion, error) {
	s := l.published.Load()
	if index < 0 || index >= s.head.Size {
		return Inclusion{}, fmt.Errorf("%w: entry %d", ErrNotFound, index)
	}
	entries, err := l.storage.Entries(ctx, l.cfg.Name, index, index+1)
	if err != nil {
		return Inclusion{}, fmt.Errorf("%w: read entry %d: %w", ErrUnavailable, index, err)
	}
	if err := contiguous(entries, index, index+1); err != nil {
		return Inclusion{}, err
	}
	out := outcome{place: Place{Index: index, Time: entries[0].Time}, existing: true, snapshot: s}
	return l.include(ctx, out, merkle.RecordHash(entries[0].Body))
}

// Find looks a leaf up by its hash and proves it; false if it is not in the
// log. ErrUnavailable if that cannot be said, or if the leaf is committed and
// not published yet.
func (l *Log) Find(ctx context.Context, leaf Hash) (Inclusion, bool, error) {
	places, err := l.storage.Find(ctx, l.cfg.Name, []Hash{leaf})
	if err != nil {
		return Inclusion{}, false, fmt.Errorf("%w: look up leaf: %w", ErrUnavailable, err)
	}
	place, ok := places[leaf]
	if !ok {
		return Inclusion{}, false, nil
	}
	s := l.published.Load()
	if place.Index >= s.head.Size {
		return Inclusion{}, false, fmt.Errorf("%w: entry %d is not published yet", ErrUnavailable, place.Index)
	}
	in, err := l.include(ctx, outcome{place: place, existing: true, snapshot: s}, leaf)
	return in, err == nil, err
}

// ProveConsistency returns the RFC 6962 proof that the tree of size older is a
// prefix of the tree of size newer. ErrNotFound unless
// 1 <= older <= newer <= Size().
func (l *Log) ProveConsistency(ctx context.Context, older, newer int64) ([]Hash, error) {
	s := l.published.Load()
	if older < 1 || older > newer || newer > s.head.Size {
		return nil, fmt.Errorf("%w: consistency of sizes %d and %d", ErrNotFound, older, newer)
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
