// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// maxCheckpoint bounds a checkpoint, bytes: three lines and the signatures of
// a log and of any number of witnesses that anybody has asked for.
const maxCheckpoint = 64 << 10

// logView is a log as a stranger sees it: a verified checkpoint, and tiles that
// are worth what their hashes say.
type logView struct {
	source tlog.Source
	checkpoint
}

// viewLog reads and verifies a log's present checkpoint.
func viewLog(ctx context.Context, source tlog.Source, keys *logKeys) (*logView, error) {
	signed, err := source.Checkpoint(ctx)
	if err != nil {
		return nil, wrongAnswer(fmt.Errorf("read the log's checkpoint: %w", err))
	}
	if len(signed) > maxCheckpoint {
		return nil, no("the log's checkpoint has more than %d bytes", maxCheckpoint)
	}
	c, err := keys.open(signed)
	if err != nil {
		return nil, err
	}
	return &logView{source, c}, nil
}

// provenEntry is a leaf with a proof that was made here and leads to the
// checkpoint.
type provenEntry struct {
	index int64
	hash  merkle.Hash
	body  []byte
	proof merkle.RecordProof
}

// entry reads the entry at an index of the log and proves it.
func (v *logView) entry(ctx context.Context, index int64) (provenEntry, error) {
	if index < 0 || index >= v.Size {
		return provenEntry{}, no("log %q has %d entries, no index %d", v.Origin, v.Size, index)
	}
	bundle, at := index/tlog.TileWidth, index%tlog.TileWidth
	width := min(int64(tlog.TileWidth), v.Size-bundle*tlog.TileWidth)
	raw, err := v.source.EntryBundle(ctx, bundle, int(width))
	if err != nil {
		return provenEntry{}, wrongAnswer(fmt.Errorf("read entries of log %q: %w", v.Origin, err))
	}
	leaves, ok := tlog.SplitBundle(raw)
	if !ok || at >= int64(len(leaves)) {
		return provenEntry{}, no("log %q: entry bundle %d ends before entry %d", v.Origin, bundle, index)
	}
	body := leaves[at]
	proof, err := v.prove(ctx, index, merkle.RecordHash(body))
	if err != nil {
		return provenEntry{}, err
	}
	return provenEntry{index: index, hash: merkle.RecordHash(body), body: body, proof: proof}, nil
}

// prove makes a proof that a leaf is at an index, of tiles, and checks it.
func (v *logView) prove(ctx context.Context, index int64, leaf merkle.Hash) (merkle.RecordProof, error) {
	var proof merkle.RecordProof
	err := v.compute(ctx, func(r merkle.HashReader) error {
		var err error
		proof, err = merkle.ProveRecord(v.Size, index, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := merkle.CheckRecord(proof, v.Size, v.Root, index, leaf); err != nil {
		return nil, no("log %q serves other bytes for entry %d than its checkpoint commits to", v.Origin, index)
	}
	return proof, nil
}

// rootAt computes the root that the log had at a smaller size.
func (v *logView) rootAt(ctx context.Context, size int64) (root merkle.Hash, err error) {
	err = v.compute(ctx, func(r merkle.HashReader) error {
		root, err = merkle.TreeHash(size, r)
		return err
	})
	return root, err
}

// compute runs f over the nodes of the tree. Every tile is compared with the
// checkpoint's root before f sees a hash of it.
func (v *logView) compute(ctx context.Context, f func(merkle.HashReader) error) error {
	reader := &tileReader{read: func(t merkle.Tile) ([]byte, error) {
		return v.source.Tile(ctx, t.L, t.N, t.W)
	}}
	err := f(merkle.TileHashReader(merkle.Tree{N: v.Size, Hash: v.Root}, reader))
	switch {
	case err == nil:
		return nil
	case reader.failed != nil:
		return wrongAnswer(fmt.Errorf("read tiles of log %q: %w", v.Origin, reader.failed))
	default: // the tiles came, and do not fit
		return no("log %q serves tiles that its checkpoint does not commit to: %w", v.Origin, err)
	}
}

// tileReader implements merkle.TileReader.
type tileReader struct {
	read   func(merkle.Tile) ([]byte, error)
	failed error
}

// Height implements merkle.TileReader.
func (*tileReader) Height() int { return tlog.TileHeight }

// SaveTiles implements merkle.TileReader: a command reads each tile once.
func (*tileReader) SaveTiles([]merkle.Tile, [][]byte) {}

// ReadTiles implements merkle.TileReader.
func (r *tileReader) ReadTiles(tiles []merkle.Tile) ([][]byte, error) {
	all := make([][]byte, 0, len(tiles))
	for _, t := range tiles {
		data, err := r.read(t)
		if err != nil {
			r.failed = fmt.Errorf("tile %d of level %d: %w", t.N, t.L, err)
			return nil, r.failed
		}
		all = append(all, data)
	}
	return all, nil
}
