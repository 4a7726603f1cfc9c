// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// walked is how many sequences there are to one that is walked.
const walked = 8

// RunModel lets two replicas append, fail, crash, restart, rotate and read in
// any order that rapid makes up, and checks the whole world after every step
// (modelcheck.go): our own fsck, golang.org/x/mod/sumdb/tlog from the entries
// alone, and Tessera's client. What failed is shrunk to the shortest sequence
// of steps.
//
// The flags -rapid.checks (100) and -rapid.steps (30, on average) make it as
// long as wanted. So that the default run takes seconds on a real database, one
// sequence in about eight is walked: with all checks after every step, few long
// ones find as much as many.
//
// open and reopen are those of Run. All sequences share one storage, each has
// logs of its own.
func RunModel(t *testing.T, open func(t *testing.T) tlog.Storage, reopen func(t *testing.T, st tlog.Storage) tlog.Storage) {
	shared := &sharedStorage{Storage: open(t)}
	if reopen != nil {
		shared.reopen = func() { shared.Storage = reopen(t, shared.Storage) }
	}
	var sequences atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		if rapid.Uint8().Draw(rt, "walk")%walked != 0 {
			return
		}
		m := newModel(rt, shared, fmt.Sprintf("m%d-", sequences.Add(1)))
		defer m.end()
		rt.Repeat(map[string]func(*rapid.T){
			"":                    m.check,
			"append":              m.append,
			"append many":         m.appendMany,
			"append while broken": m.appendBroken,
			"crash":               m.crash,
			"restart":             m.restart,
			"lose power":          m.losePower,
			"rotate":              m.rotate,
			"freeze":              m.freeze,
			"read":                m.read,
			"search":              m.search,
			"clock":               m.clock,
		})
	})
	reports, err := tlog.FsckAll(t.Context(), shared, tlog.FsckConfig{Keys: func(_ tlog.LogRow, body []byte) ([]string, error) {
		return keysOf(string(body)), nil
	}})
	if err != nil || len(reports) == 0 {
		t.Fatal(len(reports), err)
	}
	for _, r := range reports {
		if r.Err() != nil {
			t.Errorf("log %s: %v", r.Log, r.Err())
		}
	}
}

// sharedStorage is the storage behind all sequences.
type sharedStorage struct {
	tlog.Storage
	reopen func() // nil: it cannot
}

// view is the part of a storage that a sequence made: logs whose names have
// its prefix.
type view struct {
	*sharedStorage
	prefix string
}

// Logs implements tlog.Storage.
func (v *view) Logs(ctx context.Context) ([]tlog.LogRow, error) {
	rows, err := v.sharedStorage.Logs(ctx)
	return slices.DeleteFunc(rows, func(r tlog.LogRow) bool { return !strings.HasPrefix(r.Name, v.prefix) }), err
}

// Search implements tlog.Storage. Without names it asks for all of its own.
func (v *view) Search(ctx context.Context, q tlog.Query) ([]tlog.Position, error) {
	if len(q.Logs) > 0 {
		return v.sharedStorage.Search(ctx, q)
	}
	rows, err := v.Logs(ctx)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		q.Logs = append(q.Logs, rows[i].Name)
	}
	return v.sharedStorage.Search(ctx, q)
}

// model is what must be true of one sequence.
type model struct {
	t    *rapid.T
	st   *view
	kind tlog.Kind
	keys map[string]crypto.Signer // by log
	// shards are the logs that are or were active, oldest first; active says
	// whether the last one is.
	shards []string
	active bool
	// first is the global index of the first entry.
	first    int64
	replicas [2]*replica
	now      atomic.Int64 // the clock
	fresh    int          // how many bodies were made up

	acked    map[string]place               // by body
	served   map[string]map[int64]tlog.Hash // roots by log and size
	trackers map[string]*tracker
	// asked is the size at which Tessera's client was last asked about what a
	// process serves.
	asked map[*tlog.Log]int64
}

// place is where an entry was acknowledged to be.
type place struct {
	log         string
	index, time int64
}

func newModel(t *rapid.T, st *sharedStorage, prefix string) *model {
	m := &model{
		t: t, st: &view{st, prefix}, keys: make(map[string]crypto.Signer),
		kind:  rapid.SampledFrom([]tlog.Kind{tlog.V1, tlog.V2}).Draw(t, "kind"),
		acked: make(map[string]place), served: make(map[string]map[int64]tlog.Hash), trackers: make(map[string]*tracker),
		asked: make(map[*tlog.Log]int64),
	}
	m.now.Store(1_760_000_000)
	rows, err := st.Logs(context.Background())
	m.must(err)
	for _, r := range rows {
		if r.Kind == m.kind && r.FirstIndex != tlog.Unplaced {
			m.first = max(m.first, r.FirstIndex+r.Head.Size)
		}
	}
	m.rotate(t)
	for i := range m.replicas {
		m.load(i)
	}
	return m
}

func (m *model) end() {
	for _, r := range m.replicas {
		if r != nil {
			r.close()
		}
	}
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// replica is one process.
type replica struct {
	set    *tlog.Set
	faults *faults
}

func (r *replica) close() { _ = r.set.Close(context.Background()) }

// load starts a process.
func (m *model) load(i int) {
	m.t.Helper()
	r := &replica{faults: &faults{}}
	var err error
	r.set, err = tlog.LoadSet(context.Background(), m.st, tlog.SetConfig{
		Signer: func(row tlog.LogRow) (crypto.Signer, error) { return m.keys[row.Name], nil },
		Config: tlog.Config{
			Shared: true, Fault: r.faults.at,
			Clock: func() time.Time { return time.Unix(m.now.Load(), 0) },
		},
	})
	m.must(err)
	m.replicas[i] = r
}

// faults breaks batches at a point.
type faults struct {
	point atomic.Pointer[tlog.Point] // nil: nothing breaks
	left  atomic.Int64               // how often
	// crash makes the first fault the last thing that happens.
	crash, dead atomic.Bool
}

func (f *faults) at(p tlog.Point) error {
	if f.dead.Load() {
		return errBroken
	}
	if point := f.point.Load(); point == nil || *point != p || f.left.Add(-1) < 0 {
		return nil
	}
	f.dead.Store(f.crash.Load())
	return errBroken
}

func (f *faults) set(point tlog.Point, times int64) {
	f.left.Store(times)
	f.point.Store(&point)
}

// newLog creates a pending log.
func (m *model) newLog() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.must(err)
	name := fmt.Sprint(m.st.prefix, len(m.shards))
	birth := tlog.Birth{Kind: m.kind, TreeID: tlog.NewTreeID(), State: tlog.Pending}
	cfg := tlog.Config{Name: name, Origin: name + ".example", Signer: key}
	if m.kind == tlog.V1 {
		cfg.Origin = fmt.Sprintf("%s.example - %d", name, birth.TreeID)
	}
	m.must(tlog.Create(context.Background(), m.st, cfg, birth))
	m.keys[name] = key
	m.served[name] = make(map[int64]tlog.Hash)
	return name
}

// keysOf is what an entry is found by: itself, a key that some have, and one
// that all have.
func keysOf(body string) []string {
	return []string{"entry " + body, fmt.Sprint("length ", len(body)), "entry"}
}

// errOf says whether an append may have ended so.
func (m *model) errOf(err error, body string, known, broken bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tlog.ErrUnavailable) && broken:
		return nil
	case errors.Is(err, tlog.ErrFrozen) && !m.active && !known:
		return nil
	}
	return fmt.Errorf("append %q: %w", body, err)
}
