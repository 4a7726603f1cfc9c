// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	merkle "golang.org/x/mod/sumdb/tlog"
)

const (
	// TileHeight is that of C2SP tlog-tiles: a tile has 256 hashes.
	TileHeight = 8
	// TileWidth is the number of hashes of a full tile and of entries of a
	// full bundle.
	TileWidth = 1 << TileHeight
	// maxTileLevel is the highest tile level of a tree of int64 size.
	maxTileLevel = 62 / TileHeight

	// middleHeight is the height inside a tile whose nodes are stored behind a
	// full tile's hashes. They cut the path to one leaf from 247 hashes to
	// 22 for 6 % more bytes.
	middleHeight = TileHeight / 2
	middleNodes  = TileWidth >> middleHeight

	hashSize = merkle.HashSize
	// tileBytes is a full tile as served, fullTileBytes as stored.
	tileBytes     = TileWidth * hashSize
	fullTileBytes = tileBytes + middleNodes*hashSize
)

// The Data of a StoredTile is, for a full tile, its 256 hashes and then its 16
// nodes of height 4. An unfinished tile is stored for levels 1 and up only, its
// hashes alone, and replaced when it grows, which is once in 256 entries. The
// unfinished tile of level 0 is not stored: it would be 8 KB in every commit,
// and the entries themselves say the same.

// partial is a tile that is being filled: nodes[h][i] is its complete node i
// of height h, so nodes[0] are the tile's hashes. The slices only grow, within
// one array: whoever holds shorter slices of it never sees a change.
type partial struct {
	nodes [TileHeight][]Hash
}

func newPartial() partial {
	var p partial
	all := make([]Hash, 2*TileWidth-2) // 256 + 128 + … + 2
	for h := range p.nodes {
		n := TileWidth >> h
		p.nodes[h], all = all[:0:n], all[n:]
	}
	return p
}

// copy returns a tile that shares nothing with p.
func (p *partial) copy() partial {
	c := newPartial()
	for h := range p.nodes {
		c.nodes[h] = append(c.nodes[h], p.nodes[h]...)
	}
	return c
}

// add appends a hash and the inner nodes it completes. If that fills the tile,
// it returns the tile's root.
func (p *partial) add(hash Hash) (root Hash, full bool) {
	for h := range p.nodes {
		p.nodes[h] = append(p.nodes[h], hash)
		n := len(p.nodes[h])
		if n%2 == 1 {
			return Hash{}, false
		}
		hash = merkle.NodeHash(p.nodes[h][n-2], hash)
	}
	return hash, true
}

// encode returns the tile as it is stored.
func (p *partial) encode() []byte {
	data := make([]byte, 0, fullTileBytes)
	data = appendHashes(data, p.nodes[0])
	if len(p.nodes[0]) == TileWidth {
		data = appendHashes(data, p.nodes[middleHeight])
	}
	return data
}

func appendHashes(to []byte, hashes []Hash) []byte {
	for i := range hashes {
		to = append(to, hashes[i][:]...)
	}
	return to
}

// fullTile is the stored data of a full tile.
type fullTile []byte

// node returns node n of a height below TileHeight.
func (t fullTile) node(height int, n int64) Hash {
	switch height {
	case 0:
		return hashAt(t, n)
	case middleHeight:
		return hashAt(t[tileBytes:], n)
	}
	return merkle.NodeHash(t.node(height-1, 2*n), t.node(height-1, 2*n+1))
}

func hashAt(data []byte, n int64) Hash {
	return Hash(data[n*hashSize : (n+1)*hashSize])
}

// tileOf returns the tile that holds node n of a height, and the node's place
// in it.
func tileOf(height int, n int64) (id TileID, inHeight int, inN int64) {
	inHeight = height % TileHeight
	shift := TileHeight - inHeight
	id = TileID{Level: height / TileHeight, N: n >> shift}
	return id, inHeight, n - id.N<<shift
}
