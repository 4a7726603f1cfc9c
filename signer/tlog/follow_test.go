// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// What one replica acknowledged, every replica serves at once, whatever is
// asked first, and however far behind it is.
func TestReplicaServesAtOnce(t *testing.T) {
	for name, ask := range map[string]func(*tlog.Log, int64) error{
		"checkpoint": func(l *tlog.Log, i int64) error {
			signed, err := l.Checkpoint(t.Context())
			if err != nil {
				return err
			}
			c, err := tlog.ParseCheckpoint(signed, origin, l.PublicKey())
			if err == nil && c.Size != i+1 {
				err = fmt.Errorf("size %d", c.Size)
			}
			return err
		},
		"size": func(l *tlog.Log, i int64) error {
			if l.Size() != i+1 {
				return fmt.Errorf("size %d", l.Size())
			}
			return nil
		},
		"entry": func(l *tlog.Log, i int64) error {
			e, in, err := l.Entry(t.Context(), i)
			if err == nil && (string(e.Body) != string(leaf(int(i)).Body) || in.TreeSize != i+1) {
				err = fmt.Errorf("entry %q in a tree of %d", e.Body, in.TreeSize)
			}
			return err
		},
		"find": func(l *tlog.Log, i int64) error {
			in, found, err := l.Find(t.Context(), merkle.RecordHash(leaf(int(i)).Body))
			if err == nil && (!found || in.Index != i) {
				err = fmt.Errorf("found %v at %d", found, in.Index)
			}
			return err
		},
		"tile": func(l *tlog.Log, i int64) error {
			_, err := l.Tile(t.Context(), 0, i/tlog.TileWidth, int(i%tlog.TileWidth)+1)
			return err
		},
		"bundle": func(l *tlog.Log, i int64) error {
			_, err := l.EntryBundle(t.Context(), i/tlog.TileWidth, int(i%tlog.TileWidth)+1)
			return err
		},
		"consistency": func(l *tlog.Log, i int64) error {
			_, err := l.ProveConsistency(t.Context(), 1, i+1)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			st, key := storagetest.NewMemory(), newKey(t)
			cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Shared: true}
			writer := create(t, st, cfg)
			reader := load(t, st, cfg)
			size := 0
			for _, more := range []int{1, 1, 254, 1, 2, tlog.TileWidth, tlog.TileWidth + 1, 700} {
				for range more {
					if _, err := writer.Append(t.Context(), leaf(size)); err != nil {
						t.Fatal(err)
					}
					size++
				}
				if err := ask(reader, int64(size-1)); err != nil {
					t.Errorf("size %d: %v", size, err)
				}
				if err := ask(reader, int64(size)); name != "checkpoint" && err == nil {
					t.Errorf("size %d: more is there than was written", size)
				}
			}
			checkWorld(t, st, reader, key)
		})
	}
}

// A log that is not shared serves what it has published, and asks nobody.
func TestUnsharedLogDoesNotLook(t *testing.T) {
	key := newKey(t)
	st := &counted{Storage: storagetest.NewMemory()}
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key}
	l := create(t, st, cfg)
	if _, err := l.Append(t.Context(), leaf(0)); err != nil {
		t.Fatal(err)
	}
	before := st.rows.Load()
	for range 10 {
		if _, err := l.Checkpoint(t.Context()); err != nil {
			t.Error(err)
		}
		if _, _, err := l.Entry(t.Context(), 1); !errors.Is(err, tlog.ErrNotFound) {
			t.Error(err)
		}
	}
	if looks := st.rows.Load() - before; l.Size() != 1 || looks != 0 {
		t.Errorf("size %d after %d looks", l.Size(), looks)
	}
}

// counted counts looks at the row, and can hold them.
type counted struct {
	tlog.Storage
	rows    atomic.Int64
	arrived chan struct{} // nil: they are not held
	open    chan struct{}
}

func (s *counted) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	row, err := s.Storage.Log(ctx, name)
	if s.rows.Add(1); s.arrived != nil {
		s.arrived <- struct{}{}
		<-s.open
	}
	return row, err
}

// Many who read at once share a look at storage, but none is served from a look
// that began before it asked.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newKey(t)
		memory := storagetest.NewMemory()
		st := &counted{Storage: memory}
		cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Shared: true}
		writer := create(t, memory, cfg)
		reader := load(t, st, cfg)
		st.arrived, st.open = make(chan struct{}, 2), make(chan struct{})
		before := st.rows.Load()
		var wg sync.WaitGroup
		readFrom := func(want int64) {
			wg.Go(func() {
				signed, err := reader.Checkpoint(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				if c, err := tlog.ParseCheckpoint(signed, origin, key.Public()); err != nil || c.Size < want {
					t.Errorf("size %d, want %d or more; %v", c.Size, want, err)
				}
			})
		}
		readFrom(0)
		<-st.arrived // the first has read the row, and is held
		if _, err := writer.Append(t.Context(), leaf(0)); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			readFrom(1)
		}
		synctest.Wait() // all of them wait
		close(st.open)
		wg.Wait()
		if looks := st.rows.Load() - before; looks != 2 {
			t.Errorf("%d looks", looks)
		}
	})
}

// A reader whose context ends does not wait for storage, and does not take the
// look away from others.
func TestLookOutlivesItsReader(t *testing.T) {
	key := newKey(t)
	memory := storagetest.NewMemory()
	st := &counted{Storage: memory}
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Shared: true}
	writer := create(t, memory, cfg)
	reader := load(t, st, cfg)
	if _, err := writer.Append(t.Context(), leaf(0)); err != nil {
		t.Fatal(err)
	}
	st.arrived, st.open = make(chan struct{}, 2), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := reader.Checkpoint(ctx)
		gone <- err
	}()
	<-st.arrived
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) || !errors.Is(err, tlog.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	close(st.open)
	if reader.Size() != 1 {
		t.Errorf("size %d", reader.Size())
	}
}

// Storage that cannot be read: a shared log does not say what may be old.
func TestReplicaCutOff(t *testing.T) {
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t), Shared: true}
	st := &cutOff{Storage: history(t, cfg, numbers(0, 300)...)}
	l := load(t, st, cfg)
	st.down.Store(true)
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, tlog.ErrUnavailable) || !errors.Is(err, errCut) {
		t.Errorf("checkpoint: %v", err)
	}
	if _, _, err := l.Entry(t.Context(), 300); !errors.Is(err, tlog.ErrUnavailable) || errors.Is(err, tlog.ErrNotFound) {
		t.Errorf("an entry that may be there: %v", err)
	}
	if l.Size() != 300 {
		t.Errorf("size %d", l.Size())
	}
	if _, err := l.Tile(t.Context(), 0, 1, 44); err != nil {
		t.Errorf("a tile that is in memory: %v", err)
	}
	st.down.Store(false)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Errorf("after the cut: %v", err)
	}
}

var errCut = errors.New("cut off")

// cutOff is a storage that cannot be reached at times.
type cutOff struct {
	tlog.Storage
	down atomic.Bool
}

func (s *cutOff) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	if s.down.Load() {
		return tlog.LogRow{}, errCut
	}
	return s.Storage.Log(ctx, name)
}

// A commit whose answer was lost is found again, also when other processes have
// committed behind it: a few entries, and more than can be caught up under the
// lock. Nothing is there twice, and the entry has the place and time of its
// first commit.
func TestLostAnswerFollowedByOthers(t *testing.T) {
	for _, others := range []int{0, 1, 300, tlog.MaxMissed + 5} {
		t.Run(fmt.Sprint(others, " others"), func(t *testing.T) {
			st, key := storagetest.NewMemory(), newKey(t)
			now := int64(1_760_000_000)
			cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Clock: func() time.Time { return time.Unix(now, 0) }}
			create(t, st, cfg)
			lost := cfg
			var l *tlog.Log
			broken := false
			lost.Fault = func(p tlog.Point) error {
				if p != tlog.AfterCommit || broken {
					return nil
				}
				broken = true
				return errors.New("the connection broke")
			}
			// The others come when the first attempt has left the lock.
			l = load(t, &afterCommit{Storage: st, then: func() {
				now += 100
				other := load(t, st, cfg)
				var wg sync.WaitGroup
				const writers = 8
				for w := range writers {
					wg.Go(func() {
						for i := w; i < others; i += writers {
							if _, err := other.Append(context.Background(), leaf(1000+i)); err != nil {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
			}}, lost)
			in, err := l.Append(t.Context(), leaf(0))
			if err != nil || in.Index != 0 || in.Time != 1_760_000_000 || in.TreeSize != int64(others)+1 || !broken {
				t.Errorf("%+v, %v", in, err)
			}
			if in, err := l.Append(t.Context(), leaf(0)); err != nil || in.Index != 0 || !in.Existing {
				t.Errorf("again: %+v, %v", in, err)
			}
			checkWorld(t, st, l, key)
		})
	}
}

// afterCommit calls then when the first commit has ended.
type afterCommit struct {
	tlog.Storage
	once sync.Once
	then func()
}

func (s *afterCommit) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	err := s.Storage.Commit(ctx, b, plan)
	s.once.Do(s.then)
	return err
}

// A reader may publish what others committed behind a batch before the batch
// publishes its own: what is seen never shrinks.
func TestBatchPublishesLate(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Shared: true}
	other := create(t, st, cfg)
	var l *tlog.Log
	l = load(t, &afterCommit{Storage: st, then: func() {
		for i := range 300 {
			if _, err := other.Append(context.Background(), leaf(1+i)); err != nil {
				t.Error(err)
			}
		}
		if l.Size() != 301 {
			t.Errorf("the reader sees %d entries", l.Size())
		}
	}}, cfg)
	if in, err := l.Append(t.Context(), leaf(0)); err != nil || in.Index != 0 || in.TreeSize != 1 {
		t.Errorf("%+v, %v", in, err)
	}
	if size := l.Row().Head.Size; size != 301 {
		t.Errorf("size %d is published", size)
	}
	checkWorld(t, st, l, key)
}

// Everything at once: replicas that write, readers that make them look, and
// every answer is one history.
func TestReplicasUnderReaders(t *testing.T) {
	st, key := storagetest.NewMemory(), newKey(t)
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: key, Shared: true}
	w := storagetest.NewWorld(t, cfg)
	logs := []*tlog.Log{create(t, st, cfg), load(t, st, cfg), load(t, st, cfg)}
	var done atomic.Bool
	var readers, writers sync.WaitGroup
	for i, l := range logs {
		for n := range 4 {
			writers.Go(func() {
				for k := range 150 {
					if err := w.Append(context.Background(), l, fmt.Sprint(i%2, n, k)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		readers.Go(func() {
			for last := int64(0); !done.Load(); {
				signed, err := l.Checkpoint(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				c, err := tlog.ParseCheckpoint(signed, origin, key.Public())
				if err != nil || c.Size < last {
					t.Errorf("size %d after %d: %v", c.Size, last, err)
					return
				}
				if last > 0 {
					if _, err := l.ProveConsistency(context.Background(), last, c.Size); err != nil {
						t.Error(err)
					}
				}
				last = c.Size
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	for _, l := range logs {
		if l.Size() != 2*4*150 {
			t.Errorf("size %d", l.Size())
		}
		w.Check(st, l)
	}
}

func TestAbsurdIndexes(t *testing.T) {
	for _, shared := range []bool{false, true} {
		l := create(t, storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t), Shared: shared})
		for _, i := range []int64{-1, math.MinInt64, math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 >> 8} {
			if _, _, err := l.Entry(t.Context(), i); !errors.Is(err, tlog.ErrNotFound) {
				t.Errorf("entry %d: %v", i, err)
			}
			for level := range 9 {
				if _, err := l.Tile(t.Context(), level, i, 256); !errors.Is(err, tlog.ErrNotFound) {
					t.Errorf("tile %d of level %d: %v", i, level, err)
				}
			}
			if _, err := l.EntryBundle(t.Context(), i, 1); !errors.Is(err, tlog.ErrNotFound) {
				t.Errorf("bundle %d: %v", i, err)
			}
		}
	}
}
