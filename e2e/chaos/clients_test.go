// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
)

const (
	clients = 32
	// onceMore is one in how many entries is sent to two servers at once, and
	// one in how many is sent again later.
	onceMore = 10
	// laterBy is how many others are sent before an entry is sent again.
	laterBy = 200
	// pause is how long a client waits before it asks again.
	pause = 50 * time.Millisecond
	// patience is how long one entry may take until its 201, faults included.
	patience = 2 * time.Minute
	// lookAfter is one in how many v1 entries is looked up at another server as
	// soon as one has acknowledged it.
	lookAfter = 20
)

// ack is a 201: what a log has promised.
type ack struct {
	request int
	log     string // key id, hex
	leaf    merkle.Hash
	index   int64
	time    int64 // v1 only
}

// crowd is the clients and what they were told.
type crowd struct {
	t     testing.TB
	urls  []string
	trust *load.Trust
	reqs  []load.Request
	jobs  []job
	next  atomic.Int64
	// answered counts jobs that have their 201.
	answered      atomic.Int64
	refused, cut  atomic.Int64 // 503, and no answer
	firstWrong    sync.Once
	cancel        context.CancelFunc
	mu            sync.Mutex // guards acks
	acks          []ack
	seenElsewhere atomic.Int64
	finished      chan struct{}
}

// job is one entry to send; twice means to two servers at once.
type job struct {
	request int
	twice   bool
}

// schedule decides who is sent when: every request once, some of them twice at
// once or again later.
func schedule(n int, random *rand.Rand) []job {
	var jobs []job
	later := map[int][]job{}
	for i := range n {
		jobs = append(jobs, job{request: i, twice: random.IntN(onceMore) == 0})
		if random.IntN(onceMore) == 0 {
			later[min(n-1, i+laterBy)] = append(later[min(n-1, i+laterBy)], job{request: i})
		}
		jobs = append(jobs, later[i]...)
	}
	return jobs
}

// requests makes n requests of all kinds.
func requests(t testing.TB, seed uint64, n int) []load.Request {
	t.Helper()
	maker, err := load.NewMaker(seed)
	if err != nil {
		t.Fatal(err)
	}
	reqs, err := maker.MakeAll(t.Context(), 0, n, load.V2, load.V1DSSE, load.V1Hashed)
	if err != nil {
		t.Fatal(err)
	}
	return reqs
}

// start sets the clients to work.
func start(t testing.TB, urls []string, trust *load.Trust, seed uint64, reqs []load.Request) *crowd {
	t.Helper()
	c := &crowd{
		t: t, urls: urls, trust: trust, reqs: reqs, finished: make(chan struct{}),
		jobs: schedule(len(reqs), rand.New(rand.NewPCG(seed, 1))),
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { c.work(ctx, rand.New(rand.NewPCG(seed, uint64(2+i)))) })
	}
	go func() {
		wg.Wait()
		close(c.finished)
	}()
	return c
}

// wait returns when so many jobs have been answered, or false when all clients
// have ended.
func (c *crowd) wait(answers int) bool {
	for c.answered.Load() < int64(answers) {
		select {
		case <-c.finished:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return c.answered.Load() < int64(len(c.jobs))
}

// end waits for the clients and says what they met.
func (c *crowd) end() {
	<-c.finished
	c.cancel()
	c.t.Logf("%d entries, sent %d times: %d acknowledged, %d times 503, %d times no answer; %d looked up at another server at once",
		len(c.reqs), len(c.jobs), len(c.acks), c.refused.Load(), c.cut.Load(), c.seenElsewhere.Load())
}

// with adds what an earlier crowd was told.
func (c *crowd) with(earlier *crowd) *crowd {
	for _, a := range earlier.acks {
		a.request += len(c.reqs)
		c.acks = append(c.acks, a)
	}
	c.reqs = append(c.reqs, earlier.reqs...)
	return c
}

// wrong reports the first thing that must not happen and ends the clients.
func (c *crowd) wrong(err error) {
	c.firstWrong.Do(func() {
		c.t.Error(err)
		c.cancel()
	})
}

// work is one client.
func (c *crowd) work(ctx context.Context, random *rand.Rand) {
	here, there := c.connections(), c.connections()
	for {
		i := int(c.next.Add(1)) - 1
		if i >= len(c.jobs) || ctx.Err() != nil {
			return
		}
		j := c.jobs[i]
		first := random.IntN(len(c.urls))
		var wg sync.WaitGroup
		if j.twice {
			wg.Go(func() { c.send(ctx, there, first+1, j.request) })
		}
		c.send(ctx, here, first, j.request)
		wg.Wait()
		c.answered.Add(1)
	}
}

func (c *crowd) connections() []*load.Conn {
	conns := make([]*load.Conn, len(c.urls))
	for i, url := range c.urls {
		conns[i] = load.NewConn(url)
	}
	c.t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
	})
	return conns
}

// send asks one server after the other until there is a 201.
func (c *crowd) send(ctx context.Context, conns []*load.Conn, first, request int) {
	r := &c.reqs[request]
	for deadline := time.Now().Add(patience); ; first++ {
		status, body, err := conns[first%len(conns)].Post(ctx, r)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, load.ErrCut):
			c.cut.Add(1)
		case status == http.StatusServiceUnavailable:
			c.refused.Add(1)
		case status == http.StatusCreated:
			if err := c.accept(ctx, conns, first+1, request, body); err != nil {
				c.wrong(fmt.Errorf("%s, answered by server %d: %w", r.Kind, first%len(conns), err))
			}
			return
		default:
			c.wrong(fmt.Errorf("%s: status %d: %s", r.Kind, status, body))
			return
		}
		if time.Now().After(deadline) {
			c.wrong(fmt.Errorf("%s: no 201 within %v; the last answer was %d %.300s %w", r.Kind, patience, status, body, err))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// accept checks a 201 and writes it down.
func (c *crowd) accept(ctx context.Context, conns []*load.Conn, other, request int, body []byte) error {
	r := &c.reqs[request]
	a, err := load.ParseAnswer(r.Kind, body)
	if err != nil {
		return err
	}
	if err := c.trust.Verify(r, &a); err != nil {
		return err
	}
	c.mu.Lock()
	c.acks = append(c.acks, ack{
		request: request, log: hex.EncodeToString(a.LogID), leaf: merkle.RecordHash(a.Body), index: a.Index, time: a.Time,
	})
	c.mu.Unlock()
	if r.Kind.V1() && a.Index%lookAfter == 0 {
		return c.lookUp(ctx, conns[other%len(conns)], r, a)
	}
	return nil
}

// lookUp asks a server for what another has just acknowledged.
func (c *crowd) lookUp(ctx context.Context, conn *load.Conn, r *load.Request, want load.Answer) error {
	status, body, err := conn.Do(ctx, "/api/v1/log/entries/"+want.EntryID, nil)
	if errors.Is(err, load.ErrCut) || status == http.StatusServiceUnavailable {
		return nil // it has been killed, or its database
	}
	if status != http.StatusOK {
		return fmt.Errorf("another server was asked for entry %d at once and said %d %.300s", want.Index, status, body)
	}
	got, err := load.ParseAnswer(r.Kind, body)
	if err != nil {
		return err
	}
	if got.Index != want.Index || got.Time != want.Time {
		return fmt.Errorf("entry %d of %d is entry %d of %d at another server", want.Index, want.Time, got.Index, got.Time)
	}
	c.seenElsewhere.Add(1)
	return c.trust.Verify(r, &got)
}
