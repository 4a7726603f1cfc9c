// SPDX-License-Identifier: Apache-2.0

package stock

import (
	"context"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Daemon is a stock program that runs until the test ends, or Stop.
type Daemon struct {
	stop   func()
	output *output
	exited chan struct{}
}

// Start starts the program and does not wait for it. If the test failed, its
// output is printed.
func (c Command) Start(t testing.TB, args ...string) *Daemon {
	t.Helper()
	// It outlives t.Context, which ends before cleanup functions run that may
	// still want to talk to it.
	ctx, cancel := context.WithCancel(context.Background())
	cmd := c.prepare(ctx, t, args)
	d := &Daemon{output: &output{}, exited: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, d.output, d.output
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start %s: %v", c.Tool, err)
	}
	go d.wait(cmd)
	d.stop = sync.OnceFunc(func() { cancel(); <-d.exited })
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("%s:\n%s", c.Tool, d.Output())
		}
	})
	return d
}

func (d *Daemon) wait(cmd *exec.Cmd) {
	defer close(d.exited)
	_ = cmd.Wait() // ends by our signal; an early end shows in Exited
}

// Output is what it has printed so far.
func (d *Daemon) Output() string { return d.output.String() }

// Exited is closed when the program has ended.
func (d *Daemon) Exited() <-chan struct{} { return d.exited }

// Stop ends it before the test does.
func (d *Daemon) Stop() { d.stop() }

// output keeps what a server prints while it runs.
type output struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
