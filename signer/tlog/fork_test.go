// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

// swapped is a storage whose content can be replaced under a running log, as
// by somebody who restores a backup.
type swapped struct{ tlog.Storage }

// history makes a storage with a log of the leaves given.
func history(t *testing.T, cfg tlog.Config, leaves ...int) tlog.Storage {
	t.Helper()
	st := storagetest.NewMemory()
	l := create(t, st, cfg)
	for _, i := range leaves {
		if _, err := l.Append(t.Context(), leaf(i)); err != nil {
			t.Fatal(err)
		}
	}
	closeLog(t, l)
	return st
}

func numbers(from, to int) []int {
	var all []int
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

// A log does not go on from a history that is not its own, keeps serving what
// it has published, and goes on when its own history is back.
func TestForkIsRefused(t *testing.T) {
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t)}
	many := numbers(0, 2*tlog.MaxMissed)
	forged := cfg
	forged.Signer = newKey(t)
	for name, leaves := range map[string][]int{
		"rolled back":            {0, 1},
		"empty":                  {},
		"same size":              {0, 1, 2, 4},
		"longer":                 {0, 1, 2, 4, 5},
		"much longer":            append([]int{1, 0}, many[2:]...),
		"longer, right, forged":  {0, 1, 2, 3, 4},
		"much longer and forged": many,
	} {
		t.Run(name, func(t *testing.T) {
			mine := history(t, cfg, 0, 1, 2, 3)
			st := &swapped{mine}
			l := load(t, st, cfg)
			before, err := l.Checkpoint(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			other := cfg
			if name == "longer, right, forged" || name == "much longer and forged" {
				other = forged
			}
			st.Storage = history(t, other, leaves...)
			for range 3 {
				_, err := l.Append(t.Context(), leaf(77777))
				if !errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("append: %v", err)
				}
				if !errors.Is(err, tlog.ErrForked) && !errors.Is(err, tlog.ErrWrongKey) && !errors.Is(err, tlog.ErrCorrupt) {
					t.Errorf("append: %v", err)
				}
			}
			after, err := l.Checkpoint(t.Context())
			if err != nil || string(after) != string(before) {
				t.Errorf("the checkpoint changed: %s, %v", after, err)
			}
			st.Storage = mine
			if in, err := l.Append(t.Context(), leaf(4)); err != nil || in.Index != 4 {
				t.Errorf("after the right history is back: %+v, %v", in, err)
			}
			checkWorld(t, mine, l, cfg.Signer)
		})
	}
}

// A replica that reads does not follow a history that is not its own either. It
// says so, and goes on when its own history is back.
func TestForkIsNotFollowed(t *testing.T) {
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t), Shared: true}
	forged := cfg
	forged.Signer = newKey(t)
	many := numbers(0, 2*tlog.MaxMissed)
	for name, tc := range map[string]struct {
		by     tlog.Config
		leaves []int
	}{
		"rolled back":            {cfg, []int{0, 1}},
		"empty":                  {cfg, nil},
		"same size":              {cfg, []int{0, 1, 2, 4}},
		"longer":                 {cfg, []int{0, 1, 2, 4, 5}},
		"much longer":            {cfg, append([]int{1, 0}, many[2:]...)},
		"longer, right, forged":  {forged, []int{0, 1, 2, 3, 4}},
		"much longer and forged": {forged, many},
	} {
		t.Run(name, func(t *testing.T) {
			mine := history(t, cfg, 0, 1, 2, 3)
			st := &swapped{mine}
			l := load(t, st, cfg)
			st.Storage = history(t, tc.by, tc.leaves...)
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, tlog.ErrForked) && !errors.Is(err, tlog.ErrCorrupt) || !errors.Is(err, tlog.ErrUnavailable) {
					t.Errorf("%s: %v", what, err)
				}
			}
			for range 2 {
				_, err := l.Checkpoint(t.Context())
				refused("checkpoint", err)
				_, _, err = l.Entry(t.Context(), 4)
				refused("entry", err)
				_, err = l.Tile(t.Context(), 0, 0, 5)
				refused("tile", err)
				_, err = l.EntryBundle(t.Context(), 0, 5)
				refused("bundle", err)
				_, err = l.ProveConsistency(t.Context(), 4, 5)
				refused("consistency", err)
			}
			if l.Size() != 4 {
				t.Errorf("size %d", l.Size())
			}
			st.Storage = mine
			if in, err := l.Append(t.Context(), leaf(4)); err != nil || in.Index != 4 || l.Size() != 5 {
				t.Errorf("after the right history is back: %+v, %v", in, err)
			}
			checkWorld(t, mine, l, cfg.Signer)
		})
	}
}

// A history that continues ours is fine, however long it is.
func TestContinuedElsewhere(t *testing.T) {
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t)}
	for _, size := range []int{5, 4 + tlog.MaxMissed, 5 + tlog.MaxMissed, 3 * tlog.MaxMissed} {
		st := &swapped{history(t, cfg, numbers(0, 4)...)}
		l := load(t, st, cfg)
		st.Storage = history(t, cfg, numbers(0, size)...)
		in, err := l.Append(t.Context(), leaf(2))
		if err != nil || in.Index != 2 || in.TreeSize != int64(size) || l.Size() != int64(size) {
			t.Errorf("an old entry: %+v, %v", in.TreeSize, err)
		}
		if in, err := l.Append(t.Context(), leaf(size)); err != nil || in.Index != int64(size) {
			t.Errorf("a new one: %+v, %v", in, err)
		}
		checkWorld(t, st.Storage, l, cfg.Signer)
	}
}

// lossy changes what is read.
type lossy struct {
	tlog.Storage
	entries func([]tlog.Entry) []tlog.Entry
	tiles   func([][]byte) [][]byte
	row     func(tlog.LogRow) tlog.LogRow
}

func (s *lossy) Entries(ctx context.Context, log string, from, to int64) ([]tlog.Entry, error) {
	got, err := s.Storage.Entries(ctx, log, from, to)
	if s.entries != nil && len(got) > 0 {
		got = s.entries(append([]tlog.Entry(nil), got...))
	}
	return got, err
}

func (s *lossy) Tiles(ctx context.Context, log string, ids []tlog.TileID) ([][]byte, error) {
	got, err := s.Storage.Tiles(ctx, log, ids)
	if s.tiles != nil && len(got) > 0 {
		got = s.tiles(append([][]byte(nil), got...))
	}
	return got, err
}

func (s *lossy) Log(ctx context.Context, name string) (tlog.LogRow, error) {
	got, err := s.Storage.Log(ctx, name)
	if s.row != nil {
		got = s.row(got)
	}
	return got, err
}

func TestLoadRefusesCorruptStorage(t *testing.T) {
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t)}
	good := history(t, cfg, numbers(0, 300)...)
	later := history(t, cfg, numbers(0, 301)...)
	laterRow, err := later.Log(t.Context(), "v2")
	if err != nil {
		t.Fatal(err)
	}
	for name, st := range map[string]*lossy{
		"entry missing":        {entries: func(e []tlog.Entry) []tlog.Entry { return append(e[:3], e[4:]...) }},
		"last entry missing":   {entries: func(e []tlog.Entry) []tlog.Entry { return e[:len(e)-1] }},
		"entry changed":        {entries: func(e []tlog.Entry) []tlog.Entry { e[5].Body = []byte("x"); return e }},
		"entries swapped":      {entries: func(e []tlog.Entry) []tlog.Entry { e[5].Body, e[6].Body = e[6].Body, e[5].Body; return e }},
		"tile missing":         {tiles: func(t [][]byte) [][]byte { t[0] = nil; return t }},
		"tile short":           {tiles: func(t [][]byte) [][]byte { t[0] = t[0][:31]; return t }},
		"tile changed":         {tiles: func(t [][]byte) [][]byte { t[0] = make([]byte, len(t[0])); return t }},
		"size":                 {row: func(r tlog.LogRow) tlog.LogRow { r.Head.Size--; return r }},
		"root":                 {row: func(r tlog.LogRow) tlog.LogRow { r.Head.Root[0] ^= 1; return r }},
		"checkpoint cut":       {row: func(r tlog.LogRow) tlog.LogRow { r.Head.Checkpoint = r.Head.Checkpoint[:40]; return r }},
		"another's checkpoint": {row: func(r tlog.LogRow) tlog.LogRow { r.Head.Checkpoint = laterRow.Head.Checkpoint; return r }},
		"later head":           {row: func(tlog.LogRow) tlog.LogRow { return laterRow }},
	} {
		st.Storage = good
		if _, err := tlog.Load(t.Context(), st, cfg); !errors.Is(err, tlog.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A proof from a corrupt tile is not given out.
func TestCorruptTileIsNotServed(t *testing.T) {
	cfg := tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t)}
	st := &lossy{Storage: history(t, cfg, numbers(0, 600)...)}
	l := load(t, st, cfg)
	st.tiles = func(t [][]byte) [][]byte { t[0] = make([]byte, len(t[0])); return t }
	if _, err := l.Append(t.Context(), leaf(3)); !errors.Is(err, tlog.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	st.tiles = func(t [][]byte) [][]byte { t[0] = nil; return t }
	if _, err := l.Prove(t.Context(), 300); !errors.Is(err, tlog.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	st.entries = func(e []tlog.Entry) []tlog.Entry { return e[1:] }
	if _, err := l.EntryBundle(t.Context(), 1, 256); !errors.Is(err, tlog.ErrCorrupt) {
		t.Errorf("%v", err)
	}
}
