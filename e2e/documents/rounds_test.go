// SPDX-License-Identifier: Apache-2.0

package documents

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// away is how far away the registry is: the time that every request takes. Beside
// it the time is nothing that a client needs to send the next one of several that
// do not wait for each other.
const away = 10 * time.Millisecond

// counter counts what reaches the registry: requests, and the rounds in which they
// came.
type counter struct {
	mu   sync.Mutex
	seen []request // guarded by mu
}

// request is one that was answered.
type request struct {
	what       string
	begun, end time.Time
}

func (c *counter) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		time.Sleep(away)
		next.ServeHTTP(w, r)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, request{r.Method + " " + r.URL.Path, begun, time.Now()})
	})
}

// since takes what was answered since it was asked last.
func (c *counter) since() traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// traffic is what somebody has asked of the registry.
type traffic []request

// rounds is the length of the longest chain of requests of which each began after
// the one before it was answered: how often whoever asked had to wait for the
// registry, however many requests there were side by side.
func (t traffic) rounds() int {
	byBegin := slices.Clone(t)
	slices.SortFunc(byBegin, func(a, b request) int { return a.begun.Compare(b.begun) })
	longest := 0
	depth := make([]int, len(byBegin))
	for i, r := range byBegin {
		depth[i] = 1
		for j := range i {
			if !byBegin[j].end.After(r.begun) {
				depth[i] = max(depth[i], depth[j]+1)
			}
		}
		longest = max(longest, depth[i])
	}
	return longest
}

// String lists the requests, each with when it began and how long it took.
func (t traffic) String() string {
	if len(t) == 0 {
		return "none"
	}
	var out string
	first := slices.MinFunc(t, func(a, b request) int { return a.begun.Compare(b.begun) }).begun
	for _, r := range t {
		out += fmt.Sprintf("%s +%s: %s\n", r.begun.Sub(first).Round(time.Microsecond), r.end.Sub(r.begun).Round(time.Microsecond), r.what)
	}
	return out
}

// TestRounds: what waits for an answer is a round, what runs beside it is none.
func TestRounds(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	for name, tc := range map[string]struct {
		all  traffic
		want int
	}{
		"none":             {nil, 0},
		"side by side":     {traffic{{"a", at(0), at(10)}, {"b", at(1), at(11)}, {"c", at(9), at(19)}}, 1},
		"one by one":       {traffic{{"c", at(30), at(31)}, {"a", at(0), at(10)}, {"b", at(10), at(20)}}, 3},
		"a long one aside": {traffic{{"long", at(0), at(100)}, {"a", at(1), at(10)}, {"b", at(20), at(30)}, {"last", at(101), at(102)}}, 3},
	} {
		if got := tc.all.rounds(); got != tc.want {
			t.Errorf("%s: %d rounds, want %d", name, got, tc.want)
		}
	}
}
