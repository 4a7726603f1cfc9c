// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/bench/load"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// checkpointPaths are where checkpoints are served, by API.
var checkpointPaths = []string{"/api/v2/checkpoint", "/api/v1/log"}

// reader goes from server to server, without end, and keeps every checkpoint it
// is shown. What one server has shown, the next one must not be behind: a
// client's requests may go to any of them.
type reader struct {
	t      testing.TB
	trust  *load.Trust
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu   sync.Mutex // guards seen and read
	seen map[tlog.Checkpoint]bool
	read int
}

// readAlong starts reading.
func readAlong(t testing.TB, trust *load.Trust, urls []string) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{t: t, trust: trust, cancel: cancel, seen: map[tlog.Checkpoint]bool{}}
	for i := range urls { // each with another order
		r.ended.Go(func() {
			r.walk(ctx, append(append([]string(nil), urls[i:]...), urls[:i]...))
		})
	}
	return r
}

// stop ends the reading and returns what was seen.
func (r *reader) stop() map[tlog.Checkpoint]bool {
	r.cancel()
	r.ended.Wait()
	r.t.Logf("%d checkpoints read, %d of them different", r.read, len(r.seen))
	return r.seen
}

func (r *reader) walk(ctx context.Context, urls []string) {
	var conns []*load.Conn
	for _, url := range urls {
		conn := load.NewConn(url)
		defer conn.Close()
		conns = append(conns, conn)
	}
	largest := make(map[string]tlog.Checkpoint) // by path
	for ctx.Err() == nil {
		for i, conn := range conns {
			for _, path := range checkpointPaths {
				status, body, err := conn.Do(ctx, path, nil)
				if err != nil || status == http.StatusServiceUnavailable {
					continue // it has been killed, or its database
				}
				if status != http.StatusOK {
					r.t.Errorf("%s: status %d: %.300s", path, status, body)
					return
				}
				c, err := r.parse(path, body)
				if err != nil {
					r.t.Errorf("%s: %v", path, err)
					return
				}
				if before := largest[path]; c.Size < before.Size {
					r.t.Errorf("%s: server %d shows %d entries after another has shown %d", path, i, c.Size, before.Size)
					return
				}
				largest[path] = c
				r.note(c)
			}
		}
		pauseFor(ctx)
	}
}

// parse verifies what a path answered.
func (r *reader) parse(path string, body []byte) (tlog.Checkpoint, error) {
	note := string(body)
	if path == "/api/v1/log" {
		var info struct{ SignedTreeHead string }
		if err := json.Unmarshal(body, &info); err != nil {
			return tlog.Checkpoint{}, err
		}
		note = info.SignedTreeHead
	}
	return r.trust.Open(note)
}

func (r *reader) note(c tlog.Checkpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[c] = true
	r.read++
}

// pauseFor lets the clients have the processor.
func pauseFor(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(readEvery):
	}
}

// readEvery is how long a reader rests after a round.
const readEvery = 10 * time.Millisecond
