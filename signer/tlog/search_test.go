// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
)

func TestSetSearch(t *testing.T) {
	d := newDeployment(t)
	d.birth("one", tlog.V2, tlog.Active)
	d.birth("never", tlog.V2, tlog.Pending)
	never := load(t, d.st, tlog.Config{Name: "never", Origin: "never.example", Signer: d.keys["never"]})
	keyed := func(i int, keys ...string) tlog.Leaf { return tlog.Leaf{Body: leaf(i).Body, Keys: keys} }
	if _, err := never.Append(t.Context(), keyed(0, "red")); err != nil {
		t.Fatal(err)
	}
	reader, writer := d.set(false), d.set(false)
	d.append(writer, tlog.V2, keyed(1, "red", "red", "big"))
	d.append(writer, tlog.V2, keyed(1, "other keys do not count"))
	d.birth("two", tlog.V2, tlog.Pending)
	d.activate("two")
	d.append(writer, tlog.V2, keyed(2, "red"))
	search := func(q tlog.Query) string {
		t.Helper()
		if q.Limit == 0 {
			q.Limit = 10
		}
		found, err := reader.Search(t.Context(), q)
		if err != nil {
			return err.Error()
		}
		logs, err := reader.Logs(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		// What is found can be read at once.
		for _, p := range found {
			i := slices.IndexFunc(logs, func(l *tlog.Log) bool { return l.Row().Name == p.Log })
			if i < 0 {
				t.Errorf("search found log %s, which nobody is sent to", p.Log)
				continue
			}
			if _, _, err := logs[i].Entry(t.Context(), p.Index); err != nil {
				t.Error(err)
			}
		}
		return fmt.Sprint(found)
	}
	d.want(search(tlog.Query{Keys: []string{"red"}}), "[{one 0} {two 0}]")
	d.want(search(tlog.Query{Keys: []string{"red", "red"}, All: true, Newest: true}), "[{two 0} {one 0}]")
	d.want(search(tlog.Query{Keys: []string{"big", "red"}, All: true}), "[{one 0}]")
	d.want(search(tlog.Query{Keys: []string{"other keys do not count"}}), "[]")
	d.want(search(tlog.Query{Keys: []string{"red"}, Logs: []string{"two"}}), "[{two 0}]")
	d.want(search(tlog.Query{Keys: []string{"red"}, After: &tlog.Position{Log: "one"}}), "[{two 0}]")
	for name, q := range map[string]tlog.Query{
		"no key":        {Limit: 1},
		"empty key":     {Keys: []string{""}, Limit: 1},
		"long key":      {Keys: []string{strings.Repeat("k", tlog.MaxKey+1)}, Limit: 1},
		"too many keys": {Keys: make([]string, tlog.MaxQueryKeys+1), Limit: 1},
		"no limit":      {Keys: []string{"k"}},
		"large limit":   {Keys: []string{"k"}, Limit: tlog.MaxPage + 1},
	} {
		if _, err := reader.Search(t.Context(), q); !errors.Is(err, tlog.ErrBadKeys) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := reader.Search(t.Context(), tlog.Query{Keys: []string{"k"}, Limit: 1, After: &tlog.Position{Log: "none"}}); !errors.Is(err, tlog.ErrNoLog) {
		t.Errorf("after an entry of no log: %v", err)
	}
	d.check()
}

// spied notes the keys that storage is given.
type spied struct {
	tlog.Storage
	keys []string
}

func (s *spied) Commit(ctx context.Context, b tlog.Batch, plan func(tlog.Locked) (tlog.Write, error)) error {
	return s.Storage.Commit(ctx, b, func(l tlog.Locked) (tlog.Write, error) {
		w, err := plan(l)
		for _, e := range w.Entries {
			s.keys = append(s.keys, e.Keys...)
		}
		return w, err
	})
}

func (s *spied) Search(ctx context.Context, q tlog.Query) ([]tlog.Position, error) {
	s.keys = append(s.keys, q.Keys...)
	return s.Storage.Search(ctx, q)
}

// Storage is given each key once, of entries and of queries.
func TestKeysAreDistinct(t *testing.T) {
	d := newDeployment(t)
	st := &spied{Storage: d.st}
	d.st = st
	d.birth("v2", tlog.V2, tlog.Active)
	s := d.set(false)
	d.append(s, tlog.V2, tlog.Leaf{Body: []byte("leaf"), Keys: []string{"b", "a", "b", "B"}})
	d.want(strings.Join(st.keys, " "), "b a B")
	st.keys = nil
	if _, err := s.Search(t.Context(), tlog.Query{Keys: []string{"b", "b", "a"}, Limit: 1}); err != nil {
		t.Fatal(err)
	}
	d.want(strings.Join(st.keys, " "), "b a")
}

func TestLeafKeys(t *testing.T) {
	l := create(t, storagetest.NewMemory(), tlog.Config{Name: "v2", Origin: origin, Signer: newKey(t)})
	many := make([]string, tlog.MaxKeys+1)
	for i := range many {
		many[i] = fmt.Sprint("key ", i)
	}
	for name, tc := range map[string]struct {
		keys []string
		err  error
	}{
		"none":     {nil, nil},
		"most":     {many[1:], nil},
		"too many": {many, tlog.ErrBadKeys},
		"longest":  {[]string{strings.Repeat("k", tlog.MaxKey)}, nil},
		"too long": {[]string{"k", strings.Repeat("k", tlog.MaxKey+1)}, tlog.ErrBadKeys},
		"empty":    {[]string{"k", ""}, tlog.ErrBadKeys},
	} {
		if _, err := l.Append(t.Context(), tlog.Leaf{Body: []byte(name), Keys: tc.keys}); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l.Size() != 3 {
		t.Errorf("%d entries", l.Size())
	}
}
