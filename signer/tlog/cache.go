// SPDX-License-Identifier: Apache-2.0

package tlog

import "sync"

// cachedTiles is how many full tiles are kept at least: 256 tiles of 8.5 KB
// are 2.2 MB (twice that at most, and twice again until they are collected), and
// hold the upper levels of a tree of ten million entries together with the
// tiles in use.
const cachedTiles = 256

// tileCache keeps full tiles, which never change. It has two generations: a
// tile that is used moves to the young one, and when that is full the old one
// is forgotten.
type tileCache struct {
	mu         sync.Mutex // guards what follows
	young, old map[TileID]fullTile
}

func newTileCache() *tileCache {
	return &tileCache{young: make(map[TileID]fullTile)}
}

func (c *tileCache) get(id TileID) (fullTile, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t, ok := c.young[id]; ok {
		return t, true
	}
	t, ok := c.old[id]
	if ok {
		c.insert(id, t)
	}
	return t, ok
}

func (c *tileCache) put(id TileID, t fullTile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(id, t)
}

// insert needs mu.
func (c *tileCache) insert(id TileID, t fullTile) {
	if len(c.young) >= cachedTiles {
		c.old, c.young = c.young, make(map[TileID]fullTile)
	}
	c.young[id] = t
}
