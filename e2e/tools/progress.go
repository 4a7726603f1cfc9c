// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"time"
)

// tailLines is how much of a failed build is shown: enough for the compiler's
// errors, which come last.
const tailLines = 40

// progress collects the output of `go build -v`, which prints one line for
// each compiled package, counts the lines and keeps the last of them.
type progress struct {
	mu      sync.Mutex
	partial []byte   // guarded by mu: the line being written
	last    []string // guarded by mu: at most tailLines
	lines   int      // guarded by mu
}

// Write never fails: it only takes notes.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.partial = append(p.partial, b...)
	for {
		line, rest, found := bytes.Cut(p.partial, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.lines++
		p.last = append(p.last, string(line))
		if len(p.last) > tailLines {
			p.last = p.last[1:]
		}
		p.partial = rest
	}
}

func (p *progress) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(append(p.last, string(p.partial)), "\n")
}

func (p *progress) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines
}

// report says every heartbeat how far the build is, until stop is called.
func (p *progress) report(log io.Writer, name string) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	start := time.Now()
	wg.Go(func() {
		t := time.NewTicker(heartbeat)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				say(log, "%s: %d packages fetched or compiled, %s", name, p.count(), time.Since(start).Round(time.Second))
			}
		}
	})
	return func() { close(done); wg.Wait() }
}
