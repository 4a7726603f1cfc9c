// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// readChunk is how many entries are read at a time.
const readChunk = 1000

// history is one log as it is in the database.
type history struct {
	row     tlog.LogRow
	entries []tlog.Entry
	leaves  map[merkle.Hash]int64
	hashes  []merkle.Hash // of x/mod's stored tree
}

// readHistory reads a whole log and hashes it with x/mod, not with the engine.
func readHistory(t testing.TB, st tlog.Storage, row tlog.LogRow) *history {
	t.Helper()
	h := &history{row: row, leaves: map[merkle.Hash]int64{}}
	for from := int64(0); from < row.Head.Size; from += readChunk {
		chunk, err := st.Entries(t.Context(), row.Name, from, min(from+readChunk, row.Head.Size))
		if err != nil {
			t.Fatal(err)
		}
		h.entries = append(h.entries, chunk...)
	}
	if int64(len(h.entries)) != row.Head.Size {
		t.Errorf("log %s has %d entries, its head says %d", row.Name, len(h.entries), row.Head.Size)
	}
	for i, e := range h.entries {
		if e.Index != int64(i) {
			t.Fatalf("log %s: entry %d stands where %d should be", row.Name, e.Index, i)
		}
		if i > 0 && e.Time < h.entries[i-1].Time {
			t.Errorf("log %s: entry %d is older than the one before it", row.Name, i)
		}
		leaf := merkle.RecordHash(e.Body)
		if other, twice := h.leaves[leaf]; twice {
			t.Errorf("log %s: entries %d and %d are the same", row.Name, other, i)
		}
		h.leaves[leaf] = e.Index
		stored, err := merkle.StoredHashes(e.Index, e.Body, h)
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, stored...)
	}
	return h
}

// ReadHashes implements merkle.HashReader.
func (h *history) ReadHashes(indexes []int64) ([]merkle.Hash, error) {
	out := make([]merkle.Hash, len(indexes))
	for i, at := range indexes {
		out[i] = h.hashes[at]
	}
	return out, nil
}

// root is the root of the first entries.
func (h *history) root(t testing.TB, size int64) merkle.Hash {
	t.Helper()
	root, err := merkle.TreeHash(size, h)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// judge holds what clients and readers were told against what is in the
// database.
func judge(t testing.TB, st tlog.Storage, c *crowd, seen map[tlog.Checkpoint]bool) {
	t.Helper()
	rows, err := st.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byID, byOrigin := map[string]*history{}, map[string]*history{}
	total := 0
	for _, row := range rows {
		key, err := x509.ParsePKIXPublicKey(row.Key)
		if err != nil {
			t.Fatal(err)
		}
		id, err := tlog.KeyID(row.Origin, key)
		if err != nil {
			t.Fatal(err)
		}
		h := readHistory(t, st, row)
		byID[hex.EncodeToString(id)], byOrigin[row.Origin] = h, h
		total += len(h.entries)
		if row.Kind == tlog.V1 {
			total-- // the genesis entry of every v1 log
		}
	}
	judgeAcks(t, c, byID)
	if total != len(c.reqs) {
		t.Errorf("%d different entries were sent, the logs have %d", len(c.reqs), total)
	}
	for checkpoint := range c.trust.Seen() {
		seen[checkpoint] = true // those in the answers
	}
	for checkpoint := range seen {
		h := byOrigin[checkpoint.Origin]
		switch {
		case h == nil:
			t.Errorf("a checkpoint of %q, which is no log of this database", checkpoint.Origin)
		case checkpoint.Size > int64(len(h.entries)):
			t.Errorf("%q: a checkpoint of %d entries was shown, there are %d", checkpoint.Origin, checkpoint.Size, len(h.entries))
		case checkpoint.Root != h.root(t, checkpoint.Size):
			t.Errorf("%q: the checkpoint of %d entries has another root than the first %d entries: a fork", checkpoint.Origin, checkpoint.Size, checkpoint.Size)
		}
	}
	t.Logf("%d different checkpoints are consistent with one history of %d entries", len(seen), total)
	judgeIndex(t, st, c, byID)
}

// judgeAcks looks every 201 up, and wants all of one entry to agree.
func judgeAcks(t testing.TB, c *crowd, byID map[string]*history) {
	t.Helper()
	acked := make(map[int]ack, len(c.reqs))
	for _, a := range c.acks {
		h := byID[a.log]
		switch {
		case h == nil:
			t.Errorf("entry %d was acknowledged by %s, which is no log of this database", a.index, a.log)
			continue
		case a.index >= int64(len(h.entries)):
			t.Errorf("log %s: entry %d was acknowledged and is lost, there are %d", h.row.Name, a.index, len(h.entries))
			continue
		}
		e := h.entries[a.index]
		if leaf := merkle.RecordHash(e.Body); leaf != a.leaf {
			t.Errorf("log %s: entry %d was acknowledged as %s and is %s", h.row.Name, a.index, a.leaf, leaf)
		}
		if c.reqs[a.request].Kind.V1() && e.Time != a.time {
			t.Errorf("log %s: entry %d was acknowledged with time %d and has %d", h.row.Name, a.index, a.time, e.Time)
		}
		if first, again := acked[a.request]; again && (first.log != a.log || first.index != a.index || first.time != a.time) {
			t.Errorf("log %s: a duplicate of entry %d was answered as entry %d", h.row.Name, first.index, a.index)
		}
		acked[a.request] = a
	}
	if len(acked) != len(c.reqs) {
		t.Errorf("%d of %d entries were acknowledged", len(acked), len(c.reqs))
	}
}

// searchers is how many searches run at a time.
const searchers = 8

// judgeIndex searches for every acknowledged entry by its digest.
func judgeIndex(t testing.TB, st tlog.Storage, c *crowd, byID map[string]*history) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var next, missing atomic.Int64
	var wg sync.WaitGroup
	for range searchers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(c.acks)); i = next.Add(1) - 1 {
				a := c.acks[i]
				h := byID[a.log]
				if h == nil {
					continue // said already
				}
				where := tlog.Position{Log: h.row.Name, Index: a.index}
				if err := findable(ctx, st, c.reqs[a.request].Digest, where); err != nil && missing.Add(1) < 10 {
					t.Errorf("%s: %v", c.reqs[a.request].Kind, err)
				}
			}
		})
	}
	wg.Wait()
	if n := missing.Load(); n > 0 {
		t.Errorf("%d of %d acknowledged entries are not found by their digests", n, len(c.acks))
	}
}

// findable says whether the index leads from a digest to an entry.
func findable(ctx context.Context, st tlog.Storage, digest string, where tlog.Position) error {
	key, err := index.Hash("sha256", digest)
	if err != nil {
		return err
	}
	found, err := st.Search(ctx, tlog.Query{Keys: []string{key}, Limit: tlog.MaxPage})
	if err == nil && !slices.Contains(found, where) {
		err = fmt.Errorf("entry %d of log %s is not found by its digest, but %v", where.Index, where.Log, found)
	}
	return err
}
