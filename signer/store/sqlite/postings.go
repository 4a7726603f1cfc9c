// SPDX-License-Identifier: Apache-2.0

package sqlite

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// The index of a log is made of runs. A run holds the postings of a fixed span
// of entries, sorted by key, in blocks that fill their pages. The keys of an
// entry are written with it (entries.keys), and that is all an append costs;
// whenever a span of entries is complete, its run is written, and when there
// are fanOut runs of one level they are merged, a few blocks at a time, into
// one of the next (merge.go). A search looks into the few runs that cover the
// log and through the keys of the entries behind them (search.go).
//
// Why not a table with a row for each key: keys are hashes, so each of the nine
// keys of an entry goes to another page, which is read, written to the WAL and
// copied back, 8 KiB for 8 bytes. Measured with batches of 20, 800-byte bodies
// and nine keys, CPU seconds per 1,000 entries in the database alone, empty and
// after 300,000: no index 0.057 and 0.082; runs 0.091 and 0.112; a table by
// generations of 65,536 entries, so that those pages stay in memory, 0.184 and
// 0.276; one table was slower still (0.249 when generations took 0.230).
// Generations take 190 bytes of disk an entry, runs 170.

const (
	// levels is how many levels of runs there are, fanOut how many runs of one
	// make a run of the next. A log of a million entries has at most
	// fanOut - 1 runs of each level; beyond, those of the last level add up.
	levels  = 4
	fanOut  = 1 << fanBits
	fanBits = 4
	// spanBits: a run of level 1 has 256 entries. A search reads the keys of
	// as many entries that are in no run yet.
	spanBits = 8

	// keySize is the size of a hashed key, offsetSize that of an entry's
	// offset in its run: 3 bytes are enough for 2^20 entries.
	keySize     = 8
	offsetSize  = 3
	postingSize = keySize + offsetSize
)

// span is how many entries a run of a level covers.
func span(level int) int64 { return 1 << (spanBits + fanBits*(level-1)) }

// posting says that an entry, here by its offset in a run, has a key.
type posting struct {
	key    int64
	offset int64
}

func (p posting) compare(o posting) int {
	return cmp.Or(cmp.Compare(p.key, o.key), cmp.Compare(p.offset, o.offset))
}

// block is a part of a run as it is stored: postings in ascending order.
type block []byte

func (b block) len() int { return len(b) / postingSize }

func (b block) at(i int) posting {
	p := b[i*postingSize:]
	return posting{
		key:    int64(binary.BigEndian.Uint64(p)), //nolint:gosec // all 64 bits are the key
		offset: int64(p[keySize])<<16 | int64(p[keySize+1])<<8 | int64(p[keySize+2]),
	}
}

// search returns the place of the first posting that is not less than p.
func (b block) search(p posting) int {
	return sort.Search(b.len(), func(i int) bool { return b.at(i).compare(p) >= 0 })
}

func (b block) add(p posting) block {
	b = appendKey(b, p.key)
	return append(b, byte(p.offset>>16), byte(p.offset>>8), byte(p.offset)) //nolint:gosec // offsets have 24 bits
}

func appendKey(b []byte, key int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(key)) //nolint:gosec // all 64 bits are the key
}

// encodeKeys is the column entries.keys.
func encodeKeys(keys []int64) []byte {
	b := make([]byte, 0, len(keys)*keySize)
	for _, k := range keys {
		b = appendKey(b, k)
	}
	return b
}

// decodeKeys appends the postings of one entry.
func decodeKeys(to []posting, encoded []byte, offset int64) []posting {
	for ; len(encoded) >= keySize; encoded = encoded[keySize:] {
		to = append(to, posting{int64(binary.BigEndian.Uint64(encoded)), offset}) //nolint:gosec // all 64 bits are the key
	}
	return to
}

// coverage is how many entries the complete runs of each level cover; [0] is
// not used. Runs of a level are looked into only for what no higher level
// covers, so those that were merged already are never in the way.
type coverage [levels + 1]int64

// segment is a run, or the entries behind all runs (level 0), and which entries
// it answers for.
type segment struct {
	level    int
	n        int64
	from, to int64
}

// segments lists what answers for a log of some size, in the order of entries.
func (c coverage) segments(size int64) []segment {
	var list []segment
	var from int64
	for level := levels; level > 0; level-- {
		for ; from < c[level]; from += span(level) {
			list = append(list, segment{level, from / span(level), from, from + span(level)})
		}
	}
	if from < size {
		list = append(list, segment{0, 0, from, size})
	}
	return list
}

// runID is the number of a run, made like that of a tile.
func runID(log int64, level int, n int64) int64 {
	return log<<logShift | int64(level)<<levelShift | n
}

func sortPostings(p []posting) { slices.SortFunc(p, posting.compare) }

// blocks reads the blocks of a run.
type blocks struct {
	q   queryer
	run int64
}

// first returns the first block, nil if the run has none.
func (b blocks) first() (block, error) {
	return b.one(`SELECT data FROM postings WHERE run = ? ORDER BY key, entry LIMIT 1`)
}

// floor returns the last block that begins at p or before.
func (b blocks) floor(p posting) (block, error) {
	return b.one(`SELECT data FROM postings WHERE run = ? AND (key, entry) <= (?, ?) ORDER BY key DESC, entry DESC LIMIT 1`, p.key, p.offset)
}

// after returns the first block that begins after p.
func (b blocks) after(p posting) (block, error) {
	return b.one(`SELECT data FROM postings WHERE run = ? AND (key, entry) > (?, ?) ORDER BY key, entry LIMIT 1`, p.key, p.offset)
}

// lastPosting returns the last posting of the run, nil if it has none.
func (b blocks) lastPosting() (*posting, error) {
	last, err := b.one(`SELECT data FROM postings WHERE run = ? ORDER BY key DESC, entry DESC LIMIT 1`)
	if err != nil || last == nil {
		return nil, err
	}
	p := last.at(last.len() - 1)
	return &p, nil
}

func (b blocks) one(query string, args ...any) (data block, err error) {
	err = b.q.each(query, append([]any{b.run}, args...), func(scan func(...any) error) error {
		return scan((*[]byte)(&data))
	})
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if len(data)%postingSize != 0 {
		return nil, fmt.Errorf("%w: a block of the index has %d bytes", tlog.ErrCorrupt, len(data))
	}
	return data, nil
}
