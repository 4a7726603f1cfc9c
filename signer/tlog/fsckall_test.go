// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// deaf is a storage whose search misses an entry.
type deaf struct {
	tlog.Storage
	to int64
}

func (s *deaf) Search(ctx context.Context, q tlog.Query) ([]tlog.Position, error) {
	found, err := s.Storage.Search(ctx, q)
	return slices.DeleteFunc(found, func(p tlog.Position) bool { return p.Index == s.to }), err
}

// Fsck of all logs finds what one log's does, says in which, and that an entry
// is found by less than it should be.
func TestFsckAll(t *testing.T) {
	d := newDeployment(t)
	d.birth("one", tlog.V1, tlog.Active)
	d.birth("two", tlog.V2, tlog.Active)
	d.birth("pending", tlog.V2, tlog.Pending)
	s := d.set(false)
	// A leaf's keys are its words, and one more that its body does not tell.
	words := func(_ tlog.LogRow, body []byte) ([]string, error) { return strings.Fields(string(body)), nil }
	for i := range 40 {
		l := leaf(i)
		l.Keys, _ = words(tlog.LogRow{}, l.Body)
		l.Keys = append(l.Keys, "extra")
		d.append(s, tlog.V1, l)
		d.append(s, tlog.V2, l)
	}
	fsck := func(st tlog.Storage, cfg tlog.FsckConfig) map[string]tlog.Report {
		t.Helper()
		reports, err := tlog.FsckAll(t.Context(), st, cfg)
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]tlog.Report)
		for _, r := range reports {
			all[r.Log] = r
		}
		return all
	}
	for _, keys := range []func(tlog.LogRow, []byte) ([]string, error){nil, words} {
		all := fsck(d.st, tlog.FsckConfig{Keys: keys})
		for name, size := range map[string]int64{"one": 40, "two": 40, "pending": 0} {
			if r := all[name]; r.Size != size || r.Err() != nil {
				t.Errorf("log %s: %+v", name, r)
			}
		}
	}
	all := fsck(&deaf{d.st, 17}, tlog.FsckConfig{Keys: words})
	for name, problems := range map[string]int{"one": 1, "two": 1, "pending": 0} {
		if r := all[name]; len(r.Problems) != problems || problems > 0 && !strings.Contains(r.Problems[0], "entry 17 is not found by") {
			t.Errorf("log %s: %+v", name, r)
		}
	}
	all = fsck(d.st, tlog.FsckConfig{Keys: func(row tlog.LogRow, body []byte) ([]string, error) {
		if row.Kind == tlog.V1 && string(body) == "leaf 3" {
			return nil, errors.New("not an entry")
		}
		return append(strings.Fields(string(body)), map[tlog.Kind]string{tlog.V1: "extra", tlog.V2: "unwritten"}[row.Kind]), nil
	}})
	if r := all["one"]; len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "not an entry") {
		t.Errorf("an entry without keys: %+v", r)
	}
	if r := all["two"]; len(r.Problems) < 10 {
		t.Errorf("a key that was never written: %+v", r)
	}
	other := newKey(t)
	all = fsck(d.st, tlog.FsckConfig{PublicKey: func(row tlog.LogRow) (crypto.PublicKey, error) {
		if row.Name == "two" {
			return other.Public(), nil
		}
		return d.keys[row.Name].Public(), nil
	}})
	if all["one"].Err() != nil || all["two"].Err() == nil {
		t.Errorf("another key: %+v", all)
	}
	st := &lossy{Storage: d.st, entries: func(e []tlog.Entry) []tlog.Entry { e[0].Body = []byte("x"); return e }}
	if all = fsck(st, tlog.FsckConfig{}); all["one"].Err() == nil || all["two"].Err() == nil || all["pending"].Err() != nil {
		t.Errorf("changed entries: %+v", all)
	}
}
