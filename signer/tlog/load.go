// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"fmt"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// Load opens one log and starts its batch goroutine; Close ends it. ErrNoLog if
// the log was never created, ErrWrongKey if with another key or origin,
// ErrCorrupt if the stored edge does not hash to the signed checkpoint.
func Load(ctx context.Context, st Storage, cfg Config) (*Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	row, err := st.Log(ctx, cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("load log %q: %w", cfg.Name, err)
	}
	l, err := open(ctx, st, cfg, row)
	if err != nil {
		return nil, fmt.Errorf("load log %q: %w", cfg.Name, err)
	}
	return l, nil
}

// open is Load of a row that has been read, with a complete configuration.
func open(ctx context.Context, st Storage, cfg Config, row LogRow) (*Log, error) {
	key, err := newNoteKey(cfg.Origin, cfg.Signer.Public())
	if err != nil {
		return nil, err
	}
	key.signer = cfg.Signer
	if row.Origin != cfg.Origin {
		return nil, fmt.Errorf("%w: its origin is %q, not %q", ErrWrongKey, row.Origin, cfg.Origin)
	}
	if !bytes.Equal(row.Key, key.spki) {
		return nil, fmt.Errorf("%w: it was created with another public key", ErrWrongKey)
	}
	l := &Log{
		cfg: cfg, storage: st, key: key,
		pool:  newPool(cfg.MaxWaiting, cfg.MaxWaitingBytes),
		tiles: newTileCache(), idle: make(chan struct{}),
	}
	l.looks = &flights{look: l.look}
	l.row.Store(&row)
	s, err := l.build(ctx, row.Head)
	if err != nil {
		return nil, err
	}
	l.published.Store(s)
	go l.run()
	return l, nil
}

// build reads the tree of a committed head from storage and checks it against
// the signed checkpoint.
func (l *Log) build(ctx context.Context, head Head) (*snapshot, error) {
	e, err := readEdge(ctx, l.storage, l.cfg.Name, head.Size)
	if err != nil {
		return nil, err
	}
	s := newSnapshot(e)
	s.head = head
	return s, l.checkHead(s)
}

// checkHead says whether a snapshot's head belongs to its tree and is signed.
func (l *Log) checkHead(s *snapshot) error {
	if s.head.Size != s.edge.size || s.head.Root != s.root() {
		return fmt.Errorf("%w: %d entries hash to %s, the head says %d and %s",
			ErrCorrupt, s.edge.size, s.root(), s.head.Size, s.head.Root)
	}
	c, err := l.key.open(s.head.Checkpoint)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if c.Size != s.head.Size || c.Root != s.head.Root {
		return fmt.Errorf("%w: checkpoint of size %d stored with a head of size %d", ErrCorrupt, c.Size, s.head.Size)
	}
	return nil
}

// readEdge rebuilds the right edge of a tree: upper levels from their
// unfinished tiles, level 0 from the last entries, which are hashed again.
func readEdge(ctx context.Context, st Storage, name string, size int64) (*edge, error) {
	e := &edge{size: size}
	var ids []TileID
	for level := 1; size>>(TileHeight*level) > 0; level++ {
		ids = append(ids, TileID{Level: level, N: size >> (TileHeight * (level + 1))})
	}
	tiles, err := st.Tiles(ctx, name, ids)
	if err != nil {
		return nil, fmt.Errorf("read edge tiles: %w", err)
	}
	if size > 0 {
		e.levels = append(e.levels, newPartial())
	}
	for i, id := range ids {
		width := size >> (TileHeight * id.Level) & (TileWidth - 1)
		if int64(len(tiles[i])) < width*hashSize {
			return nil, fmt.Errorf("%w: edge tile %d of level %d has %d bytes", ErrCorrupt, id.N, id.Level, len(tiles[i]))
		}
		p := newPartial()
		for n := range width {
			p.add(hashAt(tiles[i], n))
		}
		e.levels = append(e.levels, p)
	}
	from := size &^ (TileWidth - 1)
	entries, err := st.Entries(ctx, name, from, size)
	if err != nil {
		return nil, fmt.Errorf("read last entries: %w", err)
	}
	if err := contiguous(entries, from, size); err != nil {
		return nil, err
	}
	for i := range entries {
		e.levels[0].add(merkle.RecordHash(entries[i].Body))
	}
	return e, nil
}

// contiguous says whether entries are exactly those from <= index < to.
func contiguous(entries []Entry, from, to int64) error {
	for i := range entries {
		if entries[i].Index != from+int64(i) {
			return fmt.Errorf("%w: entry %d is missing", ErrCorrupt, from+int64(i))
		}
	}
	if int64(len(entries)) != to-from {
		return fmt.Errorf("%w: entry %d is missing", ErrCorrupt, from+int64(len(entries)))
	}
	return nil
}
