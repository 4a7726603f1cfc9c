// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"

	merkle "golang.org/x/mod/sumdb/tlog"
)

// FsckConfig describes a check of all logs in storage.
type FsckConfig struct {
	// PublicKey says whose signature the checkpoints of a log must carry; nil
	// believes the key that storage has, which then vouches for itself.
	PublicKey func(row LogRow) (crypto.PublicKey, error)
	// Keys derives from a leaf what it must be found by: all of its keys or
	// some. With nil, search is not checked.
	Keys func(row LogRow, body []byte) ([]string, error)
}

// FsckAll checks every log in storage, as Fsck does, and that their rows fit
// together: names, tree ids, origins, keys, states and global indexes. The
// reports are in the order in which the logs were created. An error says that
// something could not be read. It may run while the logs are written.
func FsckAll(ctx context.Context, st Storage, cfg FsckConfig) ([]Report, error) {
	rows, err := st.Logs(ctx)
	if err != nil {
		return nil, fmt.Errorf("fsck: %w", err)
	}
	problems := checkRows(rows)
	var reports []Report
	for i := range rows {
		key, err := cfg.publicKey(rows[i])
		if err != nil {
			return reports, fmt.Errorf("fsck of log %q: %w", rows[i].Name, err)
		}
		report, err := fsckStored(ctx, &stored{storage: st, row: rows[i], keys: cfg.Keys}, key)
		if err != nil {
			return reports, err
		}
		report.Problems = append(problems[i], report.Problems...)
		reports = append(reports, report)
	}
	return reports, nil
}

func (c FsckConfig) publicKey(row LogRow) (crypto.PublicKey, error) {
	if c.PublicKey != nil {
		return c.PublicKey(row)
	}
	key, err := x509.ParsePKIXPublicKey(row.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return key, nil
}

// Fsck reads the whole log of a name from storage and checks it: the
// checkpoint's signature, every leaf hash, every stored tile with its inner
// nodes, the root, that indexes are contiguous, times do not decrease, no leaf
// is there twice, every leaf is found under its hash, and nothing lies beyond
// the head. An error says that it could not be read; ErrNoLog that there is no
// such log. It may run while the log is written.
func Fsck(ctx context.Context, st Storage, name string, key crypto.PublicKey) (Report, error) {
	row, err := st.Log(ctx, name)
	if err != nil {
		return Report{}, fmt.Errorf("fsck of log %q: %w", name, err)
	}
	return fsckStored(ctx, &stored{storage: st, row: row}, key)
}

func fsckStored(ctx context.Context, src *stored, key crypto.PublicKey) (Report, error) {
	row := &src.row
	report, err := FsckSource(ctx, src, row.Origin, key)
	report.Log = row.Name
	if err != nil {
		return report, fmt.Errorf("fsck of log %q: %w", row.Name, err)
	}
	if report.Root != row.Head.Root || report.Size != row.Head.Size {
		src.problem("head says size %d and root %s", row.Head.Size, row.Head.Root)
	}
	if src.time != row.Head.Time {
		src.problem("head's time %d is not that of the last entry, %d", row.Head.Time, src.time)
	}
	if err := src.checkBeyond(ctx); err != nil {
		return report, fmt.Errorf("fsck of log %q: %w", row.Name, err)
	}
	report.Problems = append(report.Problems, src.problems...)
	return report, nil
}

// stored is a Source over storage that looks at what readers do not see, too.
type stored struct {
	storage  Storage
	row      LogRow
	keys     func(LogRow, []byte) ([]string, error) // nil: search is not checked
	time     int64
	problems []string
}

func (s *stored) problem(format string, args ...any) {
	if len(s.problems) < maxProblems {
		s.problems = append(s.problems, fmt.Sprintf(format, args...))
	}
}

// Checkpoint implements Source.
func (s *stored) Checkpoint(context.Context) ([]byte, error) {
	return s.row.Head.Checkpoint, nil
}

// Tile implements Source. It checks the inner nodes of a full tile.
func (s *stored) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	if level == 0 && width < TileWidth {
		return s.lastHashes(ctx, n, width)
	}
	tiles, err := s.storage.Tiles(ctx, s.row.Name, []TileID{{Level: level, N: n}})
	if err != nil {
		return nil, err
	}
	data := tiles[0]
	if len(data) < width*hashSize {
		return nil, fmt.Errorf("%w: tile %d of level %d has %d bytes", ErrCorrupt, n, level, len(data))
	}
	if width == TileWidth {
		p := newPartial()
		for i := range int64(TileWidth) {
			p.add(hashAt(data, i))
		}
		if !bytes.Equal(p.encode(), data) {
			s.problem("tile %d of level %d has wrong inner nodes", n, level)
		}
	}
	return data[:width*hashSize], nil
}

// lastHashes is the unfinished tile of level 0, which is not stored.
func (s *stored) lastHashes(ctx context.Context, n int64, width int) ([]byte, error) {
	from := n << TileHeight
	entries, err := s.storage.Entries(ctx, s.row.Name, from, from+int64(width))
	if err != nil {
		return nil, err
	}
	var hashes []Hash
	for i := range entries {
		hashes = append(hashes, merkle.RecordHash(entries[i].Body))
	}
	return appendHashes(nil, hashes), nil
}

// EntryBundle implements Source. It checks contiguity, times and that every
// leaf is found by its hash and its keys.
func (s *stored) EntryBundle(ctx context.Context, n int64, width int) ([]byte, error) {
	from := n << TileHeight
	entries, err := s.storage.Entries(ctx, s.row.Name, from, from+int64(width))
	if err != nil {
		return nil, err
	}
	if err := contiguous(entries, from, from+int64(width)); err != nil {
		return nil, err
	}
	hashes := make([]Hash, len(entries))
	for i := range entries {
		hashes[i] = merkle.RecordHash(entries[i].Body)
		if entries[i].Time < s.time {
			s.problem("entry %d is older than the one before it", entries[i].Index)
		}
		s.time = entries[i].Time
	}
	places, err := s.storage.Find(ctx, s.row.Name, hashes)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if got, ok := places[hashes[i]]; !ok || got != (Place{Index: entries[i].Index, Time: entries[i].Time}) {
			s.problem("entry %d is not found under its hash", entries[i].Index)
		}
		if err := s.checkSearch(ctx, &entries[i]); err != nil {
			return nil, err
		}
	}
	return encodeBundle(entries), nil
}

// checkSearch says whether an entry is found by what its body should be found
// by. An entry may have more keys than can be known from its body.
func (s *stored) checkSearch(ctx context.Context, e *Entry) error {
	if s.keys == nil {
		return nil
	}
	keys, err := s.keys(s.row, e.Body)
	if err == nil {
		keys, err = checkKeys(keys, MaxKeys)
	}
	if err != nil {
		s.problem("entry %d: what it should be found by cannot be told: %v", e.Index, err)
		return nil
	}
	for some := range slices.Chunk(keys, MaxQueryKeys) {
		found, err := s.storage.Search(ctx, Query{
			Keys: some, All: true, Limit: 1,
			Logs: []string{s.row.Name}, After: &Position{Log: s.row.Name, Index: e.Index - 1},
		})
		if err != nil {
			return err
		}
		if len(found) == 0 || found[0] != (Position{Log: s.row.Name, Index: e.Index}) {
			s.problem("entry %d is not found by all of its keys: %q", e.Index, some)
		}
	}
	return nil
}

// checkBeyond looks for entries behind the head. A batch that was committed
// meanwhile is none: then the head has moved, too.
func (s *stored) checkBeyond(ctx context.Context) error {
	name, size := s.row.Name, s.row.Head.Size
	beyond, err := s.storage.Entries(ctx, name, size, size+1)
	if err != nil || len(beyond) == 0 {
		return err
	}
	row, err := s.storage.Log(ctx, name)
	if err == nil && row.Head.Size == size {
		s.problem("entry %d lies beyond the head", size)
	}
	return err
}
