// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

const origin = "log.example"

// birth is that of a log that takes entries.
var birth = tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// create makes and loads a log; it is closed at the end of the test.
func create(t testing.TB, st tlog.Storage, cfg tlog.Config) *tlog.Log {
	t.Helper()
	if err := tlog.Create(t.Context(), st, cfg, birth); err != nil {
		t.Fatal(err)
	}
	return load(t, st, cfg)
}

func load(t testing.TB, st tlog.Storage, cfg tlog.Config) *tlog.Log {
	t.Helper()
	l, err := tlog.Load(t.Context(), st, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t testing.TB, l *tlog.Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// checkWorld runs every whole-log check there is.
func checkWorld(t testing.TB, st tlog.Storage, l *tlog.Log, key crypto.Signer) tlog.Report {
	t.Helper()
	report, err := tlog.Fsck(t.Context(), st, "v2", key.Public())
	if err != nil {
		t.Fatal(err)
	}
	served, err := tlog.FsckSource(t.Context(), l, origin, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range append(report.Problems, served.Problems...) {
		t.Error(problem)
	}
	return report
}

func leaf(i int) tlog.Leaf { return tlog.Leaf{Body: fmt.Appendf(nil, "leaf %d", i)} }

func TestAppendOneByOne(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key})
	for i := range 600 {
		in, err := l.Append(t.Context(), leaf(i))
		if err != nil {
			t.Fatal(err)
		}
		if in.Index != int64(i) || in.Existing {
			t.Fatalf("entry %d is at %d, existing %v", i, in.Index, in.Existing)
		}
		if err := merkle.CheckRecord(in.Proof, in.TreeSize, in.Root, in.Index, merkle.RecordHash(leaf(i).Body)); err != nil {
			t.Fatal(err)
		}
	}
	if report := checkWorld(t, st, l, key); report.Size != 600 {
		t.Fatalf("size %d", report.Size)
	}
}

func decode(t testing.TB, b64 string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCreateAndLoad(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key}
	if _, err := tlog.Load(t.Context(), st, cfg); !errors.Is(err, tlog.ErrNoLog) {
		t.Errorf("load before create: %v", err)
	}
	l := create(t, st, cfg)
	if err := tlog.Create(t.Context(), st, cfg, birth); !errors.Is(err, tlog.ErrLogExists) {
		t.Errorf("second create: %v", err)
	}
	signed, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.ParseCheckpoint(signed, origin, key.Public())
	if err != nil || c.Size != 0 || c.Root != sha256.Sum256(nil) {
		t.Errorf("empty log: %+v, %v", c, err)
	}
	checkWorld(t, st, l, key)
	for name, other := range map[string]tlog.Config{
		"key":    {Name: "v2", Origin: origin, Signer: newKey(t)},
		"origin": {Name: "v2", Origin: "other.example", Signer: key},
	} {
		if _, err := tlog.Load(t.Context(), st, other); !errors.Is(err, tlog.ErrWrongKey) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := tlog.Load(t.Context(), st, tlog.Config{Name: "v3", Origin: origin, Signer: key}); !errors.Is(err, tlog.ErrNoLog) {
		t.Errorf("another name: %v", err)
	}
}

func TestLeafSizes(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key})
	for size, want := range map[int]error{0: tlog.ErrEmptyLeaf, 1: nil, tlog.MaxLeaf: nil, tlog.MaxLeaf + 1: tlog.ErrTooLarge} {
		if _, err := l.Append(t.Context(), tlog.Leaf{Body: make([]byte, size)}); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if report := checkWorld(t, st, l, key); report.Size != 2 {
		t.Errorf("%d entries", report.Size)
	}
}

// integratedTime follows the clock, but never backwards; an entry keeps its
// own; and a restart does not forget.
func TestClockStepsBack(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	now := time.Unix(1_760_000_000, 0)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Clock: func() time.Time { return now }}
	l := create(t, st, cfg)
	var times []int64
	for i, step := range []time.Duration{0, time.Second, -time.Hour, time.Minute, -time.Second, 2 * time.Hour} {
		now = now.Add(step)
		if i == 3 {
			closeLog(t, l)
			l = load(t, st, cfg)
		}
		in, err := l.Append(t.Context(), leaf(i))
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, in.Time-1_760_000_000)
	}
	if want := []int64{0, 1, 1, 1, 1, 3660}; !slices.Equal(times, want) {
		t.Errorf("times %v, want %v", times, want)
	}
	if in, err := l.Append(t.Context(), leaf(0)); err != nil || in.Time != 1_760_000_000 || !in.Existing {
		t.Errorf("entry 0 again: %+v, %v", in, err)
	}
	checkWorld(t, st, l, key)
}

// gate holds batches at a point until it is opened.
type gate struct {
	reached, open chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 1000), make(chan struct{})} }

func (g *gate) at(point tlog.Point) func(tlog.Point) error {
	return func(p tlog.Point) error {
		if p == point {
			g.reached <- struct{}{}
			<-g.open
		}
		return nil
	}
}

// result of an Append in the background.
type result struct {
	in  tlog.Inclusion
	err error
}

func inBackground(ctx context.Context, l *tlog.Log, leaf tlog.Leaf) <-chan result {
	done := make(chan result, 1)
	go func() {
		in, err := l.Append(ctx, leaf)
		done <- result{in, err}
	}()
	return done
}

func TestPoolIsBounded(t *testing.T) {
	for name, cfg := range map[string]tlog.Config{
		"number": {MaxWaiting: 2},
		"bytes":  {MaxWaitingBytes: 250},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			st, key := storagetest.NewMemory(), newKey(t)
			cfg.Name, cfg.Origin, cfg.Signer, cfg.Fault = "v2", origin, key, g.at(tlog.Taken)
			l := create(t, st, cfg)
			big := func(i byte) tlog.Leaf { return tlog.Leaf{Body: append(make([]byte, 99), i)} }
			pending := []<-chan result{inBackground(t.Context(), l, big(0))}
			<-g.reached // the first is in a batch
			full := 0
			var refused []byte
			for i := byte(1); i <= 5; i++ {
				// Each either waits or is refused at once; refused ones do not
				// take room, so the pool keeps exactly two.
				done := inBackground(t.Context(), l, big(i))
				if !waits(t, l, done) {
					full++
					refused = append(refused, i)
					continue
				}
				pending = append(pending, done)
			}
			if full != 3 {
				t.Errorf("%d of 5 were refused", full)
			}
			close(g.open)
			for _, done := range pending {
				if r := <-done; r.err != nil {
					t.Error(r.err)
				}
			}
			for _, i := range refused {
				if _, err := l.Append(t.Context(), big(i)); err != nil {
					t.Errorf("again: %v", err)
				}
			}
			if report := checkWorld(t, st, l, key); report.Size != 6 {
				t.Errorf("%d entries", report.Size)
			}
		})
	}
}

// waits reports whether an Append has been let into the pool. It returns
// ErrPoolFull at once otherwise.
func waits(t *testing.T, l *tlog.Log, done <-chan result) bool {
	t.Helper()
	before := tlog.Waiting(l)
	for {
		select {
		case r := <-done:
			if !errors.Is(r.err, tlog.ErrPoolFull) {
				t.Errorf("refused with %v", r.err)
			}
			return false
		default:
		}
		if tlog.Waiting(l) > before {
			return true
		}
		runtime.Gosched()
	}
}

func TestContextEndsWhileWaiting(t *testing.T) {
	g := newGate()
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key, Fault: g.at(tlog.Taken)})
	cause := errors.New("the client has gone")

	inBatch, cancelInBatch := context.WithCancelCause(t.Context())
	first := inBackground(inBatch, l, leaf(0))
	<-g.reached
	inPool, cancelInPool := context.WithCancelCause(t.Context())
	second := inBackground(inPool, l, leaf(1))
	third := inBackground(t.Context(), l, leaf(2))
	for tlog.Waiting(l) != 2 {
		runtime.Gosched()
	}
	cancelInBatch(cause)
	cancelInPool(cause)
	if r := <-first; !errors.Is(r.err, cause) || !errors.Is(r.err, tlog.ErrUnavailable) {
		t.Errorf("cancelled in a batch: %v", r.err)
	}
	if r := <-second; !errors.Is(r.err, cause) || errors.Is(r.err, tlog.ErrUnavailable) {
		t.Errorf("cancelled in the pool: %v", r.err)
	}
	close(g.open)
	if r := <-third; r.err != nil || r.in.Index != 1 {
		t.Errorf("%+v", r)
	}
	// Who was in the batch is in the log, who was in the pool is not.
	if in, err := l.Append(t.Context(), leaf(0)); err != nil || !in.Existing || in.Index != 0 {
		t.Errorf("%+v, %v", in, err)
	}
	if in, err := l.Append(t.Context(), leaf(1)); err != nil || in.Existing || in.Index != 2 {
		t.Errorf("%+v, %v", in, err)
	}
	checkWorld(t, st, l, key)
}

// The caller's buffer is the caller's again when Append has returned, also if
// it returned early.
func TestBodyIsCopied(t *testing.T) {
	g := newGate()
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key, Fault: g.at(tlog.Taken)})
	ctx, cancel := context.WithCancel(t.Context())
	body := []byte("the leaf")
	done := inBackground(ctx, l, tlog.Leaf{Body: body})
	<-g.reached
	cancel()
	<-done
	copy(body, "xxxxxxxx")
	close(g.open)
	if in, err := l.Append(t.Context(), tlog.Leaf{Body: []byte("the leaf")}); err != nil || !in.Existing {
		t.Errorf("%+v, %v", in, err)
	}
	checkWorld(t, st, l, key)
}

func TestClose(t *testing.T) {
	g := newGate()
	st, key := storagetest.NewMemory(), newKey(t)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Fault: g.at(tlog.Taken)}
	l := create(t, st, cfg)
	var pending []<-chan result
	for i := range 5 {
		pending = append(pending, inBackground(t.Context(), l, leaf(i)))
	}
	<-g.reached
	closed := make(chan error, 1)
	go func() { closed <- l.Close(context.Background()) }()
	for _, err := l.Append(canceled(), leaf(99)); !errors.Is(err, tlog.ErrClosed); _, err = l.Append(canceled(), leaf(99)) {
		runtime.Gosched()
	}
	close(g.open)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	answered := 0
	for _, done := range pending {
		r := <-done
		if r.err == nil {
			answered++
		} else if !errors.Is(r.err, tlog.ErrClosed) {
			t.Error(r.err)
		}
	}
	// Whoever was let in before Close was logged.
	l = load(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key})
	if report := checkWorld(t, st, l, key); report.Size != int64(answered) || answered == 0 {
		t.Errorf("%d answered, %d logged", answered, report.Size)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCloseGivesUp(t *testing.T) {
	g := newGate()
	l := create(t, storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t), Fault: g.at(tlog.Taken)})
	first := inBackground(t.Context(), l, leaf(0))
	<-g.reached
	second := inBackground(t.Context(), l, leaf(1))
	for tlog.Waiting(l) != 1 {
		runtime.Gosched()
	}
	if err := l.Close(canceled()); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if r := <-second; !errors.Is(r.err, tlog.ErrClosed) {
		t.Errorf("who waited: %v", r.err)
	}
	close(g.open)
	if r := <-first; r.err != nil {
		t.Errorf("who was in the batch: %v", r.err)
	}
}

func TestProveAndConsistencyBounds(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	l := create(t, st, tlog.Config{Name: "v2", Origin: origin, Signer: key})
	for i := range 300 {
		if _, err := l.Append(t.Context(), leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, index := range []int64{-1, 300, 1 << 40} {
		if _, err := l.Prove(t.Context(), index); !errors.Is(err, tlog.ErrNotFound) {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	for _, sizes := range [][2]int64{{0, 1}, {-1, 5}, {2, 1}, {1, 301}, {301, 301}} {
		if _, err := l.ProveConsistency(t.Context(), sizes[0], sizes[1]); !errors.Is(err, tlog.ErrNotFound) {
			t.Errorf("sizes %v: %v", sizes, err)
		}
	}
	for _, index := range []int64{0, 255, 256, 299} {
		in, err := l.Prove(t.Context(), index)
		if err != nil || merkle.CheckRecord(in.Proof, 300, in.Root, index, merkle.RecordHash(leaf(int(index)).Body)) != nil {
			t.Errorf("entry %d: %v", index, err)
		}
	}
}

// A leaf is found by its hash with a proof in the present tree; what was never
// logged is not, and what is committed but not published is published.
func TestFind(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key}
	l := create(t, st, cfg)
	for i := range 300 {
		if _, err := l.Append(t.Context(), leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{0, 255, 256, 299} {
		hash := merkle.RecordHash(leaf(i).Body)
		in, found, err := l.Find(t.Context(), hash)
		if err != nil || !found || !in.Existing || in.Index != int64(i) || merkle.CheckRecord(in.Proof, 300, in.Root, in.Index, hash) != nil {
			t.Errorf("leaf %d: %+v, %v, %v", i, in, found, err)
		}
	}
	unknown := merkle.RecordHash(leaf(300).Body)
	if in, found, err := l.Find(t.Context(), unknown); found || err != nil {
		t.Errorf("unknown leaf: %+v, %v, %v", in, found, err)
	}
	if _, err := load(t, st, cfg).Append(t.Context(), leaf(300)); err != nil { // another process
		t.Fatal(err)
	}
	if in, found, err := l.Find(t.Context(), unknown); err != nil || !found || in.TreeSize != 301 || l.Size() != 301 {
		t.Errorf("unpublished leaf: %+v, %v, %v", in, found, err)
	}
}
