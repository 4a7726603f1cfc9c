// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// deployment is a storage with logs and their keys.
type deployment struct {
	testing.TB
	st   tlog.Storage
	keys map[string]crypto.Signer
}

func newDeployment(t testing.TB) *deployment {
	return &deployment{TB: t, st: storagetest.NewMemory(), keys: make(map[string]crypto.Signer)}
}

// birth creates a log with a key of its own. v1 and v2 have the same host.
func (d *deployment) birth(name string, kind tlog.Kind, state tlog.State) {
	d.Helper()
	b := tlog.Birth{Kind: kind, TreeID: tlog.NewTreeID(), State: state}
	cfg := tlog.Config{Name: name, Origin: name + ".example", Signer: newKey(d)}
	if kind == tlog.V1 {
		cfg.Origin = fmt.Sprintf("%s.example - %d", name, b.TreeID)
	}
	d.keys[name] = cfg.Signer
	if err := tlog.Create(context.Background(), d.st, cfg, b); err != nil {
		d.Fatal(err)
	}
}

func (d *deployment) signer(row tlog.LogRow) (crypto.Signer, error) {
	key := d.keys[row.Name]
	if key == nil {
		return nil, fmt.Errorf("no key file of log %s", row.Name)
	}
	return key, nil
}

// set is one process.
func (d *deployment) set(shared bool) *tlog.Set {
	d.Helper()
	s, err := tlog.LoadSet(context.Background(), d.st, tlog.SetConfig{Signer: d.signer, Config: tlog.Config{Shared: shared}})
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			d.Error(err)
		}
	})
	return s
}

func (d *deployment) activate(name string) {
	d.Helper()
	if err := d.st.Activate(context.Background(), name); err != nil {
		d.Fatal(err)
	}
}

func (d *deployment) freeze(name string) {
	d.Helper()
	if err := d.st.Freeze(context.Background(), name); err != nil {
		d.Fatal(err)
	}
}

// append appends and says where the leaf is.
func (d *deployment) append(s *tlog.Set, kind tlog.Kind, leaf tlog.Leaf) string {
	d.Helper()
	l, in, err := s.Append(context.Background(), kind, leaf)
	if err != nil {
		return err.Error()
	}
	if err := merkle.CheckRecord(in.Proof, in.TreeSize, in.Root, in.Index, merkle.RecordHash(leaf.Body)); err != nil {
		d.Error(err)
	}
	if c, err := tlog.ParseCheckpoint(in.Checkpoint, l.Origin(), l.PublicKey()); err != nil || c.Size != in.TreeSize {
		d.Errorf("checkpoint %+v, %v", c, err)
	}
	where := fmt.Sprintf("%s:%d", l.Row().Name, in.Index)
	if in.Existing {
		where += " again"
	}
	return where
}

func (d *deployment) want(got, want string) {
	d.Helper()
	if got != want {
		d.Errorf("got %q, want %q", got, want)
	}
}

// check is the whole-world check of all logs.
func (d *deployment) check() {
	d.Helper()
	reports, err := tlog.FsckAll(context.Background(), d.st, tlog.FsckConfig{PublicKey: func(row tlog.LogRow) (crypto.PublicKey, error) {
		return d.keys[row.Name].Public(), nil
	}})
	if err != nil {
		d.Fatal(err)
	}
	for _, r := range reports {
		if err := r.Err(); err != nil {
			d.Errorf("%s: %v", r.Log, err)
		}
	}
}

// names lists logs as name:first index:state.
func names(logs []*tlog.Log) string {
	var all []string
	for _, l := range logs {
		row := l.Row()
		all = append(all, fmt.Sprintf("%s:%d:%s", row.Name, row.FirstIndex, row.State))
	}
	return strings.Join(all, " ")
}

func (d *deployment) logs(s *tlog.Set, kind tlog.Kind) string {
	d.Helper()
	logs, err := s.Logs(context.Background(), kind)
	if err != nil {
		d.Fatal(err)
	}
	return names(logs)
}

func TestLoadSetNeedsLogs(t *testing.T) {
	d := newDeployment(t)
	if _, err := tlog.LoadSet(t.Context(), d.st, tlog.SetConfig{Signer: d.signer}); !errors.Is(err, tlog.ErrNoLog) {
		t.Errorf("empty storage: %v", err)
	}
	if _, err := tlog.LoadSet(t.Context(), d.st, tlog.SetConfig{}); err == nil {
		t.Error("a set without keys was loaded")
	}
	d.birth("v2", tlog.V2, tlog.Active)
	other := newKey(t)
	_, err := tlog.LoadSet(t.Context(), d.st, tlog.SetConfig{Signer: func(tlog.LogRow) (crypto.Signer, error) { return other, nil }})
	if !errors.Is(err, tlog.ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
}

// One process of two, neither of which is told: the other one rotates.
func TestSetFollowsRotation(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared ", shared), func(t *testing.T) {
			d := newDeployment(t)
			d.birth("one", tlog.V1, tlog.Active)
			d.birth("v2", tlog.V2, tlog.Active)
			s := d.set(shared)
			d.want(d.append(s, tlog.V1, leaf(1)), "one:0")
			d.want(d.append(s, tlog.V1, leaf(2)), "one:1")
			d.want(d.append(s, tlog.V2, leaf(1)), "v2:0")
			d.want(d.append(s, tlog.V2, leaf(1)), "v2:0 again")
			d.birth("two", tlog.V1, tlog.Pending)
			d.want(d.logs(s, tlog.V1), "one:0:active")
			d.activate("two")
			// The first thing after the rotation is, in turn, an append and a
			// list.
			if shared {
				d.want(d.logs(s, ""), "one:0:frozen two:2:active v2:0:active")
			}
			d.want(d.append(s, tlog.V1, leaf(2)), "one:1 again")
			d.want(d.append(s, tlog.V1, leaf(3)), "two:0")
			d.want(d.append(s, tlog.V1, leaf(1)), "one:0 again")
			d.want(d.append(s, tlog.V1, leaf(3)), "two:0 again")
			d.want(d.append(s, tlog.V2, leaf(2)), "v2:1")
			d.want(d.logs(s, tlog.V1), "one:0:frozen two:2:active")
			d.birth("three", tlog.V1, tlog.Pending)
			d.activate("three")
			d.birth("four", tlog.V1, tlog.Pending)
			d.activate("four") // twice while nobody looked, one of them empty
			d.want(d.append(s, tlog.V1, leaf(4)), "four:0")
			d.want(d.append(s, tlog.V1, leaf(3)), "two:0 again")
			d.want(d.logs(s, tlog.V1), "one:0:frozen two:2:frozen three:3:frozen four:3:active")
			d.birth("five", tlog.V1, tlog.Pending)
			d.birth("six", tlog.V1, tlog.Pending)
			d.activate("six") // shards are in the order in which they became active
			d.want(d.append(s, tlog.V1, leaf(5)), "six:0")
			d.activate("five")
			d.want(d.append(s, tlog.V1, leaf(6)), "five:0")
			d.want(d.logs(s, tlog.V1), "one:0:frozen two:2:frozen three:3:frozen four:3:frozen six:4:frozen five:5:active")
			d.check()
		})
	}
}

// A log that was frozen without a successor answers for what it has.
func TestSetFrozenWithoutSuccessor(t *testing.T) {
	d := newDeployment(t)
	d.birth("v2", tlog.V2, tlog.Active)
	s := d.set(false)
	d.want(d.append(s, tlog.V2, leaf(1)), "v2:0")
	if _, _, err := s.Append(t.Context(), tlog.V1, leaf(1)); !errors.Is(err, tlog.ErrNoLog) {
		t.Errorf("a kind that there is not: %v", err)
	}
	if _, err := s.Active(t.Context(), tlog.V1); !errors.Is(err, tlog.ErrNoLog) {
		t.Errorf("a kind that there is not: %v", err)
	}
	d.freeze("v2")
	for range 2 {
		d.want(d.append(s, tlog.V2, leaf(1)), "v2:0 again")
		if _, _, err := s.Append(t.Context(), tlog.V2, leaf(2)); !errors.Is(err, tlog.ErrFrozen) {
			t.Errorf("a new leaf: %v", err)
		}
		if _, err := s.Active(t.Context(), tlog.V2); !errors.Is(err, tlog.ErrFrozen) {
			t.Errorf("active: %v", err)
		}
	}
	d.birth("next", tlog.V2, tlog.Pending)
	if _, _, err := s.Append(t.Context(), tlog.V2, leaf(2)); !errors.Is(err, tlog.ErrFrozen) {
		t.Errorf("with a pending successor: %v", err)
	}
	d.activate("next")
	d.want(d.append(s, tlog.V2, leaf(2)), "next:0")
	d.check()
}

// A successor whose key this machine does not have makes appends fail, not
// answers for what there is.
func TestSetWithoutKeyOfSuccessor(t *testing.T) {
	d := newDeployment(t)
	d.birth("v2", tlog.V2, tlog.Active)
	s := d.set(true)
	d.want(d.append(s, tlog.V2, leaf(1)), "v2:0")
	d.birth("next", tlog.V2, tlog.Pending)
	key := d.keys["next"]
	delete(d.keys, "next")
	if _, err := s.Active(t.Context(), tlog.V2); err != nil {
		t.Errorf("while the successor is pending: %v", err)
	}
	d.activate("next")
	if _, _, err := s.Append(t.Context(), tlog.V2, leaf(2)); !errors.Is(err, tlog.ErrUnavailable) || !strings.Contains(err.Error(), "no key file of log next") {
		t.Errorf("append: %v", err)
	}
	d.want(d.append(s, tlog.V2, leaf(1)), "v2:0 again")
	d.keys["next"] = key
	d.want(d.append(s, tlog.V2, leaf(2)), "next:0")
	d.check()
}

// Entries of frozen logs are read like any other.
func TestReadFrozenLog(t *testing.T) {
	d := newDeployment(t)
	d.birth("one", tlog.V2, tlog.Active)
	s := d.set(true)
	const size = 300
	for i := range size {
		d.append(s, tlog.V2, leaf(i))
	}
	d.freeze("one")
	for range 2 { // with the set that saw it freeze, and with one that did not
		logs, err := s.Logs(t.Context(), tlog.V2)
		if err != nil || len(logs) != 1 {
			t.Fatal(logs, err)
		}
		l := logs[0]
		for _, i := range []int{0, 255, 256, size - 1} {
			e, in, err := l.Entry(t.Context(), int64(i))
			if err != nil || string(e.Body) != string(leaf(i).Body) || e.Time != in.Time || e.Hash != merkle.RecordHash(e.Body) ||
				merkle.CheckRecord(in.Proof, size, in.Root, int64(i), e.Hash) != nil {
				t.Errorf("entry %d: %+v, %v", i, e, err)
			}
		}
		if _, _, err := l.Entry(t.Context(), size); !errors.Is(err, tlog.ErrNotFound) {
			t.Errorf("beyond the end: %v", err)
		}
		report, err := tlog.FsckSource(t.Context(), l, l.Origin(), l.PublicKey())
		if err != nil || report.Err() != nil || report.Size != size {
			t.Errorf("%+v, %v", report, err)
		}
		if in, err := l.Append(t.Context(), leaf(7)); err != nil || in.Index != 7 || !in.Existing {
			t.Errorf("an entry that it has: %+v, %v", in, err)
		}
		if _, err := l.Append(t.Context(), leaf(size)); !errors.Is(err, tlog.ErrFrozen) || errors.Is(err, tlog.ErrUnavailable) {
			t.Errorf("a new entry: %v", err)
		}
		s = d.set(false)
	}
	d.check()
}

// A batch of a log that is frozen under it: who is in the log is answered.
func TestFrozenUnderABatch(t *testing.T) {
	g := newGate()
	st, key := storagetest.NewMemory(), newKey(t)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key}
	other := create(t, st, cfg)
	cfg.Fault = g.at(tlog.Taken)
	l := load(t, st, cfg)
	if _, err := other.Append(t.Context(), leaf(1)); err != nil { // l does not know of it
		t.Fatal(err)
	}
	first := inBackground(t.Context(), l, leaf(0))
	<-g.reached
	again, fresh := inBackground(t.Context(), l, leaf(1)), inBackground(t.Context(), l, leaf(2))
	for tlog.Waiting(l) != 2 { // so that they are in one batch
		runtime.Gosched()
	}
	if err := st.Freeze(t.Context(), "v2"); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	if r := <-first; !errors.Is(r.err, tlog.ErrFrozen) {
		t.Errorf("%+v", r)
	}
	if r := <-again; r.err != nil || r.in.Index != 0 || !r.in.Existing || r.in.TreeSize != 1 {
		t.Errorf("%+v", r)
	}
	if r := <-fresh; !errors.Is(r.err, tlog.ErrFrozen) {
		t.Errorf("%+v", r)
	}
	if row := l.Row(); row.State != tlog.Frozen || row.Head.Size != 1 {
		t.Errorf("row %+v", row)
	}
	checkWorld(t, st, l, key)
}

// locks counts batches.
type locks struct {
	tlog.Storage
	taken atomic.Int64
}

func (s *locks) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	s.taken.Add(1)
	return s.Storage.Commit(ctx, b, plan)
}

// A log that is known to be frozen needs no lock for its answers.
func TestFrozenLogIsNotLocked(t *testing.T) {
	d := newDeployment(t)
	st := &locks{Storage: d.st}
	d.st = st
	d.birth("one", tlog.V2, tlog.Active)
	s := d.set(true)
	d.want(d.append(s, tlog.V2, leaf(1)), "one:0")
	d.freeze("one")
	logs, err := s.Logs(t.Context(), tlog.V2)
	if err != nil {
		t.Fatal(err)
	}
	before := st.taken.Load()
	if in, err := logs[0].Append(t.Context(), leaf(1)); err != nil || !in.Existing {
		t.Errorf("%+v, %v", in, err)
	}
	if _, err := logs[0].Append(t.Context(), leaf(2)); !errors.Is(err, tlog.ErrFrozen) {
		t.Errorf("a new leaf: %v", err)
	}
	if _, err := logs[0].Append(t.Context(), tlog.Leaf{}); !errors.Is(err, tlog.ErrEmptyLeaf) {
		t.Errorf("no leaf: %v", err)
	}
	if got := st.taken.Load() - before; got != 0 {
		t.Errorf("the log was locked %d times", got)
	}
	d.check()
}

// A row that was read before another, and is looked at after it, changes
// nothing: a log does not thaw.
func TestOldRowIsIgnored(t *testing.T) {
	d := newDeployment(t)
	d.birth("one", tlog.V2, tlog.Active)
	memory := d.st
	st := &counted{Storage: memory}
	d.st = st
	s := d.set(true)
	l, err := s.Active(t.Context(), tlog.V2)
	if err != nil {
		t.Fatal(err)
	}
	st.arrived, st.open = make(chan struct{}, 1), make(chan struct{})
	read := make(chan error, 1)
	go func() {
		_, err := l.Checkpoint(context.Background())
		read <- err
	}()
	<-st.arrived // it has read that the log is active
	d.freeze("one")
	d.want(d.logs(s, tlog.V2), "one:0:frozen")
	close(st.open)
	if err := <-read; err != nil {
		t.Error(err)
	}
	if row := l.Row(); row.State != tlog.Frozen {
		t.Errorf("the log is %s", row.State)
	}
}

func TestLogSigns(t *testing.T) {
	for name, key := range keyKinds(t) {
		l := create(t, storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: key})
		message := []byte(`{"body":"e30="}`)
		sig, err := l.Sign(message)
		if err != nil {
			t.Fatal(err)
		}
		ok := false
		switch public := l.PublicKey().(type) {
		case *ecdsa.PublicKey:
			digest := sha256.Sum256(message)
			ok = ecdsa.VerifyASN1(public, digest[:], sig)
		case ed25519.PublicKey:
			ok = ed25519.Verify(public, message, sig)
		}
		if !ok {
			t.Errorf("%s: the signature is wrong", name)
		}
	}
}

func TestSetClose(t *testing.T) {
	d := newDeployment(t)
	d.birth("v2", tlog.V2, tlog.Active)
	s := d.set(true)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Append(t.Context(), tlog.V2, leaf(1)); !errors.Is(err, tlog.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := s.Logs(t.Context(), ""); !errors.Is(err, tlog.ErrClosed) {
		t.Errorf("logs: %v", err)
	}
}
