// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"crypto"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// World remembers what a log has acknowledged, and checks that the log stands
// by it.
type World struct {
	testing.TB
	Config tlog.Config

	mu    sync.Mutex
	acked map[string]tlog.Inclusion // by body
	heads map[int64]tlog.Hash       // roots by tree size, as shown to anybody
}

// NewWorld returns a World in which nothing has happened.
func NewWorld(t testing.TB, cfg tlog.Config) *World {
	return &World{TB: t, Config: cfg, acked: make(map[string]tlog.Inclusion), heads: make(map[int64]tlog.Hash)}
}

// Load opens the log; it is closed at the end of the test.
func (w *World) Load(st tlog.Storage, cfg tlog.Config) *tlog.Log {
	w.Helper()
	l, err := tlog.Load(context.Background(), st, cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// Append appends and remembers what was acknowledged.
func (w *World) Append(ctx context.Context, l *tlog.Log, body string) error {
	in, err := l.Append(ctx, tlog.Leaf{Body: []byte(body)})
	if err == nil {
		err = w.Remember(body, in)
	}
	return err
}

// Remember checks an acknowledgement, by itself and against all others.
func (w *World) Remember(body string, in tlog.Inclusion) error {
	leaf := merkle.RecordHash([]byte(body))
	if err := merkle.CheckRecord(in.Proof, in.TreeSize, in.Root, in.Index, leaf); err != nil {
		return err
	}
	c, err := tlog.ParseCheckpoint(in.Checkpoint, w.Config.Origin, w.public())
	if err != nil {
		return err
	}
	if c.Size != in.TreeSize || c.Root != in.Root {
		return fmt.Errorf("checkpoint %+v is not that of the proof", c)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.acked[body]; ok && (before.Index != in.Index || before.Time != in.Time) {
		return fmt.Errorf("%q moved from %d to %d", body, before.Index, in.Index)
	}
	if root, ok := w.heads[c.Size]; ok && root != c.Root {
		return fmt.Errorf("two checkpoints of size %d", c.Size)
	}
	w.acked[body], w.heads[c.Size] = in, c.Root
	return nil
}

// Acknowledged returns how many entries were acknowledged.
func (w *World) Acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

// Check runs every whole-log check: fsck of storage and of the read path, that
// every acknowledged entry is where it was said to be, and that every
// checkpoint ever shown is a prefix of the log.
func (w *World) Check(st tlog.Storage, l *tlog.Log) {
	w.Helper()
	ctx := context.Background()
	report, err := tlog.Fsck(ctx, st, w.Config.Name, w.public())
	if err != nil {
		w.Fatal(err)
	}
	served, err := tlog.FsckSource(ctx, l, w.Config.Origin, w.public())
	if err != nil {
		w.Fatal(err)
	}
	for _, problem := range append(report.Problems, served.Problems...) {
		w.Error(problem)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if int64(len(w.acked)) > l.Size() {
		w.Errorf("%d entries were acknowledged, the log has %d", len(w.acked), l.Size())
	}
	bodies := slices.Collect(maps.Keys(w.acked))
	const askers = 32
	each(askers, func(i int) {
		for ; i < len(bodies); i += askers {
			in := w.acked[bodies[i]]
			got, err := l.Append(ctx, tlog.Leaf{Body: []byte(bodies[i])})
			if err != nil || got.Index != in.Index || got.Time != in.Time || !got.Existing {
				w.Errorf("%q was acknowledged at %d, asking again gives %d, existing %v, %v", bodies[i], in.Index, got.Index, got.Existing, err)
			}
		}
	})
	root, size := report.Root, report.Size
	for older, olderRoot := range w.heads {
		if older == 0 {
			continue
		}
		proof, err := l.ProveConsistency(ctx, older, size)
		if err == nil {
			err = merkle.CheckTree(proof, size, root, older, olderRoot)
		}
		if err != nil {
			w.Errorf("the checkpoint of size %d is not a prefix of the log of size %d: %v", older, size, err)
		}
	}
}

func (w *World) public() crypto.PublicKey { return w.Config.Signer.Public() }
