// SPDX-License-Identifier: Apache-2.0

package storagetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// shardTests are about rows: their order, states and global indexes.
func shardTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"order of logs":      (*suite).orderOfLogs,
		"names and tree ids": (*suite).identities,
		"one is active":      (*suite).oneActive,
		"activate":           (*suite).activate,
		"freeze":             (*suite).freeze,
		"first index":        (*suite).firstIndex,
		"frozen log":         (*suite).frozen,
		"rotation":           (*suite).rotation,
	}
}

// states tells of every log, in order: name, state and first index.
func (s *suite) states() string {
	s.Helper()
	rows, err := s.st.Logs(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	var all []string
	for _, r := range rows {
		one, err := s.st.Log(s.Context(), r.Name)
		if err != nil || fmt.Sprint(one) != fmt.Sprint(r) {
			s.Errorf("log %s is %v in the list, and by itself %v, %v", r.Name, r, one, err)
		}
		all = append(all, fmt.Sprintf("%s %s %d", r.Name, r.State, r.FirstIndex))
	}
	return strings.Join(all, ", ")
}

func (s *suite) wantStates(want string) {
	s.Helper()
	if got := s.states(); got != want {
		s.Errorf("logs are %s, want %s", got, want)
	}
}

// shard creates a log and returns what became of it.
func (s *suite) shard(name string, kind tlog.Kind, state tlog.State) error {
	r := row(name)
	r.Kind, r.State, r.FirstIndex = kind, state, 99 // not for the caller to say
	return s.st.CreateLog(s.Context(), r)
}

func (s *suite) mustShard(name string, kind tlog.Kind, state tlog.State) {
	s.Helper()
	if err := s.shard(name, kind, state); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) mustActivate(name string) {
	s.Helper()
	if err := s.st.Activate(s.Context(), name); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) mustFreeze(name string) {
	s.Helper()
	if err := s.st.Freeze(s.Context(), name); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) orderOfLogs() {
	s.mustShard("z", tlog.V1, tlog.Pending)
	s.mustShard("m", tlog.V2, tlog.Active)
	s.mustShard("B", tlog.V1, tlog.Active)
	s.wantStates("a pending -1, z pending -1, m active 0, B active 0")
	s.mustActivate("z")
	s.mustWrite("m", 1)
	s.wantStates("a pending -1, z active 0, m active 0, B frozen 0")
}

func (s *suite) identities() {
	taken, other := row("a"), row("b")
	other.TreeID = taken.TreeID
	if err := s.st.CreateLog(s.Context(), other); !errors.Is(err, tlog.ErrLogExists) {
		s.Errorf("a tree id twice: %v", err)
	}
	other = row("a")
	other.TreeID = row("b").TreeID
	if err := s.st.CreateLog(s.Context(), other); !errors.Is(err, tlog.ErrLogExists) {
		s.Errorf("a name twice: %v", err)
	}
	s.wantStates("a pending -1")
	other = row("b")
	other.TreeID = 1<<63 - 1
	if err := s.st.CreateLog(s.Context(), other); err != nil {
		s.Fatal(err)
	}
	if got, err := s.st.Log(s.Context(), "b"); err != nil || got.TreeID != 1<<63-1 {
		s.Errorf("the largest tree id: %d, %v", got.TreeID, err)
	}
}

func (s *suite) oneActive() {
	s.mustShard("b", tlog.V2, tlog.Active)
	if err := s.shard("c", tlog.V2, tlog.Active); !errors.Is(err, tlog.ErrLogExists) {
		s.Errorf("a second active log: %v", err)
	}
	s.mustShard("d", tlog.V1, tlog.Active)
	s.mustWrite("b", 1, 2, 3)
	s.mustFreeze("b")
	s.mustShard("e", tlog.V2, tlog.Active)
	s.wantStates("a pending -1, b frozen 0, d active 0, e active 3")
}

func (s *suite) activate() {
	s.mustShard("b", tlog.V2, tlog.Pending)
	s.mustActivate("a")
	s.wantStates("a active 0, b pending -1")
	s.mustWrite("a", 1, 2)
	s.mustWrite("b", 7) // its first entry is made before anybody is sent to it
	s.mustActivate("a")
	s.wantStates("a active 0, b pending -1")
	s.mustActivate("b")
	s.mustActivate("b")
	s.wantStates("a frozen 0, b active 2")
	if err := s.st.Activate(s.Context(), "a"); !errors.Is(err, tlog.ErrFrozen) {
		s.Errorf("activate a frozen log: %v", err)
	}
	if err := s.st.Activate(s.Context(), "none"); !errors.Is(err, tlog.ErrNoLog) {
		s.Errorf("activate no log: %v", err)
	}
	s.wantStates("a frozen 0, b active 2")
	s.wantSize("a", 2)
	s.wantSize("b", 1)
}

func (s *suite) freeze() {
	s.mustShard("b", tlog.V2, tlog.Active)
	s.mustWrite("b", 1)
	s.mustFreeze("b")
	s.mustFreeze("b")
	s.mustFreeze("a")
	s.wantStates("a frozen -1, b frozen 0")
	if err := s.st.Freeze(s.Context(), "none"); !errors.Is(err, tlog.ErrNoLog) {
		s.Errorf("freeze no log: %v", err)
	}
}

// firstIndex: shards that are empty, another kind, a log that was frozen
// before it was ever active, and shards that are activated in another order
// than they were created in.
func (s *suite) firstIndex() {
	s.mustShard("c", tlog.V2, tlog.Pending)
	s.mustShard("b", tlog.V2, tlog.Pending)
	s.mustShard("v1", tlog.V1, tlog.Active)
	s.mustShard("never", tlog.V2, tlog.Pending)
	s.mustShard("empty", tlog.V2, tlog.Pending)
	s.mustShard("d", tlog.V2, tlog.Pending)
	s.mustWrite("v1", 1, 2, 3, 4, 5)
	s.mustWrite("never", 1, 2, 3, 4, 5, 6, 7)
	s.mustFreeze("never")
	s.mustActivate("a")
	s.mustWrite("a", 1, 2, 3)
	s.mustActivate("b")
	s.mustWrite("b", 4)
	s.mustActivate("empty")
	s.mustActivate("c")
	s.mustWrite("c", 5, 6)
	s.mustFreeze("c")
	s.mustActivate("d")
	s.wantStates("a frozen 0, c frozen 4, b frozen 3, v1 active 0, never frozen -1, empty frozen 4, d active 6")
}

func (s *suite) frozen() {
	s.mustActivate("a")
	s.mustWrite("a", 1, 2, 3)
	s.mustFreeze("a")
	before := s.dump("a")
	calls := 0
	b := tlog.Batch{Log: "a", EdgeSize: 1, Leaves: []tlog.Hash{entry(0, 2).Hash, entry(0, 9).Hash}}
	see := func(write tlog.Write) error {
		return s.st.Commit(s.Context(), b, func(l tlog.Locked) (tlog.Write, error) {
			calls++
			if !l.Frozen || l.Head.Size != 3 || len(l.Existing) != 1 || l.Existing[entry(0, 2).Hash].Index != 1 || len(l.Missed) != 2 {
				s.Errorf("under the lock: %+v", l)
			}
			return write, nil
		})
	}
	if err := see(tlog.Write{}); err != nil {
		s.Errorf("looking: %v", err)
	}
	if err := see(tlog.Write{Head: head(4), Entries: []tlog.Entry{entry(3, 9)}}); !errors.Is(err, tlog.ErrFrozen) {
		s.Errorf("writing: %v", err)
	}
	if calls != 2 {
		s.Errorf("plan was called %d times", calls)
	}
	if s.dump("a") != before {
		s.Error("a frozen log was written to")
	}
	s.mustShard("b", tlog.V2, tlog.Active)
	for name, want := range map[string]bool{"a": true, "b": false} {
		if err := s.st.Commit(s.Context(), tlog.Batch{Log: name}, func(l tlog.Locked) (tlog.Write, error) {
			if l.Frozen != want {
				s.Errorf("log %s frozen: %v", name, l.Frozen)
			}
			return tlog.Write{}, nil
		}); err != nil {
			s.Error(err)
		}
	}
}

// rotation: the active log is rotated while many write. Nothing is written to
// a shard once the next one has its first index.
func (s *suite) rotation() {
	shards := []string{"a", "b", "c", "d"}
	for _, name := range shards[1:] {
		s.mustShard(name, tlog.V2, tlog.Pending)
	}
	s.mustActivate("a")
	const writers = 8
	var wg sync.WaitGroup
	written := make([]int, len(shards)) // per shard, under mu
	var mu sync.Mutex
	begun := make(chan struct{}) // a writer has written, or all have ended
	for w := range writers {
		wg.Go(func() {
			number := w * 10000
			for i, name := range shards[:len(shards)-1] {
				for {
					number++
					frozen := false
					err := s.st.Commit(s.Context(), tlog.Batch{Log: name}, func(l tlog.Locked) (tlog.Write, error) {
						if frozen = l.Frozen; frozen {
							return tlog.Write{}, nil
						}
						return tlog.Write{Head: head(l.Head.Size + 1), Entries: []tlog.Entry{entry(l.Head.Size, number)}}, nil
					})
					if err != nil {
						s.Error(err)
						return
					}
					if frozen {
						break
					}
					mu.Lock()
					written[i]++
					mu.Unlock()
					if number%3 == 0 {
						begun <- struct{}{}
						number++
					}
				}
			}
		})
	}
	go func() { wg.Wait(); close(begun) }()
	for _, name := range shards[1:] {
		for range writers { // until some has been written to the shard before it
			<-begun
		}
		s.mustActivate(name)
	}
	for range begun { // until all have ended
	}
	first := int64(0)
	for i, name := range shards {
		s.wantSize(name, int64(written[i]))
		r, err := s.st.Log(s.Context(), name)
		if err != nil || r.FirstIndex != first {
			s.Errorf("log %s begins at %d, want %d; %v", name, r.FirstIndex, first, err)
		}
		first += int64(written[i])
	}
}
