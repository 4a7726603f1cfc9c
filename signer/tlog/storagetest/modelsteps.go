// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"context"
	"fmt"
	"maps"
	"slices"

	merkle "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// fill is how many entries it takes to cross the border of a tile.
const fill = 300

// body draws an entry: a new one, or one that was sent before and may or may
// not have been acknowledged.
func (m *model) body(t *rapid.T) string {
	n := rapid.IntRange(0, m.fresh).Draw(t, "body")
	m.fresh = max(m.fresh, n+1)
	return fmt.Sprintf("%sentry %d", m.st.prefix, n)
}

func (m *model) replica(t *rapid.T) int {
	return rapid.IntRange(0, len(m.replicas)-1).Draw(t, "replica")
}

// send is one append to be made.
type send struct {
	replica *replica
	body    string
}

// group draws appends that are made at the same time. Often some of them are
// the same.
func (m *model) group(t *rapid.T) []send {
	var sends []send
	for range rapid.IntRange(1, 8).Draw(t, "appends") {
		sends = append(sends, send{m.replicas[m.replica(t)], m.body(t)})
	}
	return sends
}

// all makes appends at the same time, and something else meanwhile, and
// remembers what was acknowledged. broken says that some may fail.
func (m *model) all(sends []send, broken bool, meanwhile func()) {
	m.t.Helper()
	type result struct {
		log string
		in  tlog.Inclusion
		err error
	}
	results := make([]result, len(sends))
	known := make([]bool, len(sends)) // acknowledged before, so it must be again
	for i, s := range sends {
		_, known[i] = m.acked[s.body]
	}
	each(len(sends)+1, func(i int) {
		if i == len(sends) {
			meanwhile()
			return
		}
		s, r := sends[i], &results[i]
		var l *tlog.Log
		l, r.in, r.err = s.replica.set.Append(context.Background(), m.kind, tlog.Leaf{Body: []byte(s.body), Keys: keysOf(s.body)})
		if r.err == nil {
			r.log = l.Row().Name
		}
	})
	for i, r := range results {
		m.must(m.errOf(r.err, sends[i].body, known[i], broken))
		if r.err == nil {
			m.remember(sends[i].body, r.log, r.in)
		}
	}
}

// remember checks an answer against all that were given before.
func (m *model) remember(body, log string, in tlog.Inclusion) {
	m.t.Helper()
	m.must(merkle.CheckRecord(in.Proof, in.TreeSize, in.Root, in.Index, merkle.RecordHash([]byte(body))))
	if size, root := m.serve(log, in.Checkpoint); size != in.TreeSize || root != in.Root {
		m.t.Fatalf("checkpoint of size %d is not that of the proof, %d", size, in.TreeSize)
	}
	now := place{log, in.Index, in.Time}
	if before, ok := m.acked[body]; ok && before != now {
		m.t.Fatalf("%q moved from %v to %v", body, before, now)
	}
	m.acked[body] = now
}

func nothing() {}

func (m *model) append(t *rapid.T) {
	m.all([]send{{m.replicas[m.replica(t)], m.body(t)}}, false, nothing)
}

func (m *model) appendMany(t *rapid.T) {
	sends := m.group(t)
	if rapid.IntRange(0, 19).Draw(t, "fill a tile") == 0 {
		for range fill {
			m.fresh++
			sends = append(sends, send{m.replicas[m.replica(t)], fmt.Sprintf("%sentry %d", m.st.prefix, m.fresh-1)})
		}
	}
	m.all(sends, false, nothing)
}

// appendBroken: a process loses its connection at a point, once or for longer.
func (m *model) appendBroken(t *rapid.T) {
	f := m.replicas[m.replica(t)].faults
	f.set(rapid.SampledFrom(tlog.Points()).Draw(t, "point"), rapid.Int64Range(1, 5).Draw(t, "times"))
	m.all(m.group(t), true, nothing)
	f.point.Store(nil)
}

// crash: a process ends at a point, whatever it was doing.
func (m *model) crash(t *rapid.T) {
	i := m.replica(t)
	r := m.replicas[i]
	r.faults.crash.Store(true)
	r.faults.set(rapid.SampledFrom(tlog.Points()).Draw(t, "point"), 1)
	m.all(m.group(t), true, nothing)
	r.close()
	m.load(i)
}

func (m *model) restart(t *rapid.T) {
	i := m.replica(t)
	m.must(m.replicas[i].set.Close(context.Background()))
	m.load(i)
}

// losePower: all processes and the database end and start.
func (m *model) losePower(t *rapid.T) {
	if m.st.reopen == nil {
		t.Skip("storage keeps nothing")
	}
	m.end()
	m.st.reopen()
	for i := range m.replicas {
		m.load(i)
	}
}

// rotate: the active log, if there is one, is frozen, and the next one is
// activated, while others write.
func (m *model) rotate(t *rapid.T) {
	next := m.newLog()
	activate := func() {
		if err := m.st.Activate(context.Background(), next); err != nil {
			panic(err) // not on the test's goroutine
		}
	}
	m.shards = append(m.shards, next)
	m.active = true
	if m.replicas[0] == nil { // the first log
		activate()
		return
	}
	// Between two shards appends are refused if the last one was frozen before.
	sends := m.group(t)
	if rapid.Bool().Draw(t, "under load") {
		m.active = false
		m.all(sends, false, activate)
		m.active = true
		return
	}
	activate()
	m.all(sends, false, nothing)
}

func (m *model) freeze(*rapid.T) {
	m.must(m.st.Freeze(context.Background(), m.shards[len(m.shards)-1]))
	m.active = false
}

// clock steps, forwards and backwards.
func (m *model) clock(t *rapid.T) {
	m.now.Add(rapid.Int64Range(-5000, 5000).Draw(t, "seconds"))
}

// some draws an acknowledged entry.
func (m *model) some(t *rapid.T) (string, place) {
	if len(m.acked) == 0 {
		t.Skip("nothing was acknowledged")
	}
	body := rapid.SampledFrom(slices.Sorted(maps.Keys(m.acked))).Draw(t, "acknowledged")
	return body, m.acked[body]
}

// log is a log as a replica sees it.
func (m *model) log(r *replica, name string) *tlog.Log {
	m.t.Helper()
	logs, err := r.set.Logs(context.Background(), m.kind)
	m.must(err)
	i := slices.IndexFunc(logs, func(l *tlog.Log) bool { return l.Row().Name == name })
	if i < 0 {
		m.t.Fatalf("a replica does not know log %s", name)
	}
	return logs[i]
}

// read asks for an acknowledged entry, by index and by hash.
func (m *model) read(t *rapid.T) {
	body, want := m.some(t)
	l := m.log(m.replicas[m.replica(t)], want.log)
	e, in, err := l.Entry(context.Background(), want.index)
	m.must(err)
	if string(e.Body) != body || e.Time != want.time {
		t.Fatalf("entry %v is %q, not %q", want, e.Body, body)
	}
	m.remember(body, want.log, in)
	in, found, err := l.Find(context.Background(), merkle.RecordHash([]byte(body)))
	m.must(err)
	if !found {
		t.Fatalf("%q is not found", body)
	}
	m.remember(body, want.log, in)
	never := merkle.RecordHash([]byte(m.st.prefix + "never sent"))
	if _, found, err := l.Find(context.Background(), never); found || err != nil {
		t.Fatalf("what was never sent is found: %v, %v", found, err)
	}
}

// search finds an acknowledged entry by its own key, and by one that others
// have, too.
func (m *model) search(t *rapid.T) {
	body, want := m.some(t)
	set := m.replicas[m.replica(t)].set
	own, err := set.Search(context.Background(), tlog.Query{Keys: keysOf(body), All: true, Limit: 2})
	m.must(err)
	if position := (tlog.Position{Log: want.log, Index: want.index}); len(own) != 1 || own[0] != position {
		t.Fatalf("search for %q found %v, want %v", body, own, position)
	}
	q := tlog.Query{Keys: []string{"entry"}, Newest: rapid.Bool().Draw(t, "newest"), Limit: rapid.IntRange(1, 200).Draw(t, "limit")}
	var all []tlog.Position
	for page := []tlog.Position{{}}; len(page) > 0; {
		page, err = set.Search(context.Background(), q)
		m.must(err)
		all = append(all, page...)
		if len(page) > 0 {
			q.After = &page[len(page)-1]
		}
	}
	var expect []tlog.Position
	for _, name := range m.shards {
		row, err := m.st.Log(context.Background(), name)
		m.must(err)
		for i := range row.Head.Size {
			expect = append(expect, tlog.Position{Log: name, Index: i})
		}
	}
	if q.Newest {
		slices.Reverse(expect)
	}
	if !slices.Equal(all, expect) {
		t.Fatalf("search for all found %d of %d, or in another order", len(all), len(expect))
	}
}
