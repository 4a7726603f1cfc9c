// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"fmt"

	merkle "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// serve remembers a checkpoint that a client was shown.
func (m *model) serve(log string, signed []byte) (int64, tlog.Hash) {
	m.t.Helper()
	row, err := m.st.Log(context.Background(), log)
	m.must(err)
	c, err := tlog.ParseCheckpoint(signed, row.Origin, m.keys[log].Public())
	m.must(err)
	if root, ok := m.served[log][c.Size]; ok && root != c.Root {
		m.t.Fatalf("two checkpoints of size %d of log %s", c.Size, log)
	}
	m.served[log][c.Size] = c.Root
	return c.Size, c.Root
}

// check is the whole-world check.
func (m *model) check(t *rapid.T) {
	m.t = t
	first, seen := m.first, make(map[string]place)
	for n, name := range m.shards {
		row, err := m.st.Log(context.Background(), name)
		m.must(err)
		state := tlog.Frozen
		if n == len(m.shards)-1 && m.active {
			state = tlog.Active
		}
		if row.FirstIndex != first || row.State != state {
			t.Fatalf("log %s is %s and begins at %d, want %s and %d", name, row.State, row.FirstIndex, state, first)
		}
		first += row.Head.Size
		m.checkLog(row, seen)
	}
	for body, where := range m.acked {
		if seen[body] != where {
			t.Fatalf("%q was acknowledged at %v and is at %v", body, where, seen[body])
		}
	}
}

// checkLog checks one log in storage and on every replica. seen collects where
// each body is, over all logs.
func (m *model) checkLog(row tlog.LogRow, seen map[string]place) {
	m.t.Helper()
	ctx := context.Background()
	report, err := tlog.Fsck(ctx, m.st, row.Name, m.keys[row.Name].Public())
	m.must(err)
	m.must(report.Err())
	entries, err := m.st.Entries(ctx, row.Name, 0, row.Head.Size)
	m.must(err)
	if int64(len(entries)) != row.Head.Size {
		m.t.Fatalf("log %s has size %d and %d entries", row.Name, row.Head.Size, len(entries))
	}
	tree := &recomputed{}
	for _, e := range entries {
		m.must(tree.add(e.Body))
		if before, ok := seen[string(e.Body)]; ok {
			m.t.Fatalf("%q is at %v, and in log %s, too", e.Body, before, row.Name)
		}
		seen[string(e.Body)] = place{row.Name, e.Index, e.Time}
	}
	for i, r := range m.replicas {
		l := m.log(r, row.Name)
		signed, err := l.Checkpoint(ctx)
		m.must(err)
		if size, _ := m.serve(row.Name, signed); size != row.Head.Size {
			m.t.Fatalf("replica %d serves size %d of log %s, which has %d", i, size, row.Name, row.Head.Size)
		}
		if got := l.Row(); got.State != row.State || got.FirstIndex != row.FirstIndex || got.Head.Size != row.Head.Size {
			m.t.Fatalf("replica %d says log %s is %+v", i, row.Name, got)
		}
		if asked, ok := m.asked[l]; !ok || asked != row.Head.Size {
			m.must(m.tessera(l, entries, tree))
			m.asked[l] = row.Head.Size
		}
	}
	for size, root := range m.served[row.Name] {
		want, err := merkle.TreeHash(size, tree)
		m.must(err)
		if size > row.Head.Size || root != want {
			m.t.Fatalf("a checkpoint of size %d was served, which is no prefix of log %s", size, row.Name)
		}
	}
}

// recomputed is a tree as x/mod computes it.
type recomputed struct{ hashes []tlog.Hash }

func (r *recomputed) add(body []byte) error {
	n := int64(0)
	if len(r.hashes) > 0 {
		n = r.size()
	}
	more, err := merkle.StoredHashes(n, body, r)
	r.hashes = append(r.hashes, more...)
	return err
}

// size is the number of leaves that make up the stored hashes.
func (r *recomputed) size() int64 {
	n := int64(len(r.hashes) / 2)
	for merkle.StoredHashCount(n) < int64(len(r.hashes)) {
		n++
	}
	return n
}

// ReadHashes implements merkle.HashReader.
func (r *recomputed) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(r.hashes)) {
			return nil, fmt.Errorf("hash %d is beyond the tree", index)
		}
		hashes[i] = r.hashes[index]
	}
	return hashes, nil
}
