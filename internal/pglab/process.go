// SPDX-License-Identifier: Apache-2.0

package pglab

import (
	"os/exec"
	"runtime"
)

// process is a running server.
type process struct {
	pid   int
	ended chan struct{} // closed when it has
}

// startProcess starts a program on a thread of its own that lives as long: the
// kernel sends the parent-death signal when the thread that started the child
// ends, not when the process does.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // however it ended
			close(p.ended)
		}
	}()
	return p, <-started
}
