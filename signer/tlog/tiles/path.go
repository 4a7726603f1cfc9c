// SPDX-License-Identifier: Apache-2.0

package tiles

import (
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	checkpointPath = "checkpoint"
	tilePrefix     = "tile/"
	entriesPrefix  = "entries/"
	// modPrefix is what x/mod's paths have in front: the height of tiles.
	modPrefix = "tile/8/"
	// modEntries is what x/mod calls entries.
	modEntries = "data/"
)

// resource is a tile or an entry bundle.
type resource struct {
	entries bool
	level   int // 0 for entries
	n       int64
	width   int // 1 to tlog.TileWidth
}

func (t resource) full() bool { return t.width == tlog.TileWidth }

// path is the one spelling of its path: "tile/0/x001/067", "tile/entries/000.p/12".
func (t resource) path() string {
	level := t.level
	if t.entries {
		level = -1
	}
	path := merkle.Tile{H: tlog.TileHeight, L: level, N: t.n, W: t.width}.Path()
	path = strings.TrimPrefix(path, modPrefix)
	if t.entries {
		path = entriesPrefix + strings.TrimPrefix(path, modEntries)
	}
	return tilePrefix + path
}

// parse accepts the one spelling of each tile and bundle, and nothing else.
func parse(path string) (resource, bool) {
	rest, ok := strings.CutPrefix(path, tilePrefix)
	if !ok {
		return resource{}, false
	}
	rest, entries := strings.CutPrefix(rest, entriesPrefix)
	if entries {
		rest = "0/" + rest
	}
	t, err := merkle.ParseTilePath(modPrefix + rest)
	if err != nil || t.L < 0 || t.N < 0 {
		return resource{}, false
	}
	return resource{entries: entries, level: t.L, n: t.N, width: t.W}, true
}
