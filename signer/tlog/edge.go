// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/sha256"
	"math/bits"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a tree: per tile level the one tile that is not
// full. It is all that is needed to append, to compute the root, and to prove
// a fresh entry. A full tile never changes, so it is not part of the edge.
type edge struct {
	size   int64
	levels []partial
}

// clone returns an edge that can be extended without e noticing. Extending two
// clones of one edge at the same time is not allowed: they share arrays.
func (e *edge) clone() *edge {
	return &edge{size: e.size, levels: append([]partial(nil), e.levels...)}
}

// copy returns an edge that shares nothing with e.
func (e *edge) copy() *edge {
	c := &edge{size: e.size, levels: make([]partial, len(e.levels))}
	for i := range e.levels {
		c.levels[i] = e.levels[i].copy()
	}
	return c
}

// add appends a leaf hash and returns the tiles that it filled, lowest first.
func (e *edge) add(leaf Hash) (filled []StoredTile) {
	hash := leaf
	for level := 0; ; level++ {
		if level == len(e.levels) {
			e.levels = append(e.levels, newPartial())
		}
		tile := &e.levels[level]
		root, full := tile.add(hash)
		if !full {
			break
		}
		id := TileID{Level: level, N: e.size >> (TileHeight * (level + 1))}
		filled = append(filled, StoredTile{TileID: id, Data: tile.encode()})
		*tile = newPartial()
		hash = root
	}
	e.size++
	return filled
}

// unfinished returns the stored form of the unfinished tiles of levels 1 and
// up that differ from what a tree of size since had stored.
func (e *edge) unfinished(since int64) []StoredTile {
	var tiles []StoredTile
	for level := 1; level < len(e.levels); level++ {
		shift := TileHeight * level
		if e.size>>shift == since>>shift || len(e.levels[level].nodes[0]) == 0 {
			continue
		}
		id := TileID{Level: level, N: e.size >> (shift + TileHeight)}
		tiles = append(tiles, StoredTile{TileID: id, Data: e.levels[level].encode()})
	}
	return tiles
}

// node returns a complete node if it lies in an unfinished tile.
func (e *edge) node(height int, n int64) (Hash, bool) {
	id, inHeight, inN := tileOf(height, n)
	if id.Level >= len(e.levels) || id.N != e.size>>(TileHeight*(id.Level+1)) {
		return Hash{}, false
	}
	return e.levels[id.Level].nodes[inHeight][inN], true
}

// mustNode is node for nodes that are on the edge by construction.
func (e *edge) mustNode(height int, n int64) Hash {
	h, ok := e.node(height, n)
	if !ok {
		panic("tlog: node is not on the edge")
	}
	return h
}

// fringe returns the rightmost node of every height up to the root's, for the
// heights where that node is incomplete or the highest complete one: lower
// heights are zero. The last is the tree hash.
func (e *edge) fringe() []Hash {
	if e.size == 0 {
		return []Hash{sha256.Sum256(nil)} // RFC 6962 section 2.1
	}
	size := uint64(e.size) //nolint:gosec // sizes are not negative
	height := bits.TrailingZeros64(size)
	fringe := make([]Hash, height, bits.Len64(size)+1)
	hash := e.mustNode(height, e.size>>height-1)
	fringe = append(fringe, hash)
	for last := (e.size - 1) >> height; last > 0; last >>= 1 {
		if last%2 == 1 {
			hash = merkle.NodeHash(e.mustNode(height, last-1), hash)
		}
		height++
		fringe = append(fringe, hash)
	}
	return fringe
}

// snapshot is a committed tree, ready to prove from. It never changes.
type snapshot struct {
	head   Head
	edge   *edge
	fringe []Hash
}

// newSnapshot freezes an edge; the caller sets the head.
func newSnapshot(e *edge) *snapshot {
	return &snapshot{edge: e, fringe: e.fringe()}
}

func (s *snapshot) root() Hash { return s.fringe[len(s.fringe)-1] }

// auditPath is the inclusion proof of leaf index (RFC 6962 section 2.1.1).
// complete answers for the nodes that are not on the edge.
func (s *snapshot) auditPath(index int64, complete func(height int, n int64) (Hash, error)) ([]Hash, error) {
	path := make([]Hash, 0, len(s.fringe))
	for height := 0; (s.edge.size-1)>>height > 0; height++ {
		sibling, last := index>>height^1, (s.edge.size-1)>>height
		switch {
		case sibling > last:
			// The node is the last of its row and moves up as it is.
		case sibling == last && s.edge.size&(1<<height-1) != 0:
			path = append(path, s.fringe[height])
		default:
			hash, ok := s.edge.node(height, sibling)
			if !ok {
				var err error
				if hash, err = complete(height, sibling); err != nil {
					return nil, err
				}
			}
			path = append(path, hash)
		}
	}
	return path, nil
}
