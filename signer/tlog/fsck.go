// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// maxProblems is where Fsck stops: more would say the same.
const maxProblems = 20

// Report is what Fsck found. A log without Problems is whole: every hash,
// tile and signature was recomputed or verified.
type Report struct {
	// Log is the log's name in storage; a Source has none.
	Log      string
	Origin   string
	Size     int64
	Root     Hash
	Problems []string
}

// Err is nil if there are no problems, else an ErrCorrupt that lists them.
func (r Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrCorrupt, strings.Join(r.Problems, "; "))
}

// Source is a log as its readers see it: a *Log, or a client of another
// deployment's read path. Tile and EntryBundle return what C2SP tlog-tiles
// defines, or ErrNotFound.
type Source interface {
	Checkpoint(ctx context.Context) ([]byte, error)
	Tile(ctx context.Context, level int, n int64, width int) ([]byte, error)
	EntryBundle(ctx context.Context, n int64, width int) ([]byte, error)
}

// FsckSource checks a log through its read path: the checkpoint's signature,
// every leaf hash, every tile, the root, and that no leaf is there twice.
func FsckSource(ctx context.Context, src Source, origin string, key crypto.PublicKey) (Report, error) {
	report := Report{Origin: origin}
	signed, err := src.Checkpoint(ctx)
	if err != nil {
		return report, err
	}
	c, err := ParseCheckpoint(signed, origin, key)
	if err != nil {
		report.Problems = append(report.Problems, err.Error())
		return report, nil
	}
	report.Size, report.Root = c.Size, c.Root
	check := &checker{src: src, edge: &edge{}, seen: make(map[Hash]int64)}
	for n := int64(0); n<<TileHeight < c.Size && len(check.problems) < maxProblems; n++ {
		if err := check.bundle(ctx, n, int(min(TileWidth, c.Size-n<<TileHeight))); err != nil {
			return report, err
		}
	}
	if len(check.problems) == 0 {
		if root := newSnapshot(check.edge).root(); root != c.Root {
			check.problem("%d entries hash to %s, the checkpoint says %s", c.Size, root, c.Root)
		}
		if err := check.unfinished(ctx); err != nil {
			return report, err
		}
	}
	report.Problems = check.problems
	return report, nil
}

// checker rebuilds a tree and compares.
type checker struct {
	src      Source
	edge     *edge
	seen     map[Hash]int64
	problems []string
}

func (c *checker) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// read turns what is wrong with the log into a problem (nil data), and returns
// what is wrong with reading it.
func (c *checker) read(data []byte, err error) ([]byte, error) {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		c.problem("%v", err)
		return nil, nil
	}
	return data, err
}

func (c *checker) bundle(ctx context.Context, n int64, width int) error {
	bundle, err := c.read(c.src.EntryBundle(ctx, n, width))
	if bundle == nil {
		return err
	}
	leaves, ok := SplitBundle(bundle)
	if !ok || len(leaves) != width {
		c.problem("entry bundle %d is malformed", n)
		return nil
	}
	for i, leaf := range leaves {
		index, hash := n<<TileHeight+int64(i), merkle.RecordHash(leaf)
		if before, twice := c.seen[hash]; twice {
			c.problem("entry %d is also entry %d", index, before)
		}
		c.seen[hash] = index
		for _, want := range c.edge.add(hash) {
			if err := c.tile(ctx, want.TileID, TileWidth, want.Data[:tileBytes]); err != nil {
				return err
			}
		}
	}
	return nil
}

// unfinished compares the tiles on the right edge.
func (c *checker) unfinished(ctx context.Context) error {
	for level := range c.edge.levels {
		hashes := c.edge.levels[level].nodes[0]
		if len(hashes) == 0 {
			continue
		}
		id := TileID{Level: level, N: c.edge.size >> (TileHeight * (level + 1))}
		if err := c.tile(ctx, id, len(hashes), appendHashes(nil, hashes)); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) tile(ctx context.Context, id TileID, width int, want []byte) error {
	got, err := c.read(c.src.Tile(ctx, id.Level, id.N, width))
	if err == nil && got != nil && !bytes.Equal(got, want) {
		c.problem("tile %d of level %d, width %d, has other hashes than its entries", id.N, id.Level, width)
	}
	return err
}

// SplitBundle takes an entry bundle apart: its leaves, each of which stands
// behind its length, a big-endian uint16 (C2SP tlog-tiles). False if it ends
// within a leaf.
func SplitBundle(bundle []byte) (leaves [][]byte, ok bool) {
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, false
		}
		size := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+size {
			return nil, false
		}
		leaves, bundle = append(leaves, bundle[2:2+size]), bundle[2+size:]
	}
	return leaves, true
}
