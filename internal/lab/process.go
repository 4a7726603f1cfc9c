// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/freeport"
)

// startTimeout is how long the service may take to get ready on a busy
// machine.
const startTimeout = 60 * time.Second

// process is a running hallmark-server.
type process struct {
	cmd    *exec.Cmd
	stderr *Output
	done   chan struct{} // closed when it has ended
}

// Serve starts the service and waits until it is ready. The test ends it.
func (l *Lab) Serve(t testing.TB) {
	t.Helper()
	l.launch(t, Program(t, "hallmark-server"))
	if !l.waitReady(t) {
		t.Fatalf("hallmark-server ended:\n%s", l.server.stderr)
	}
}

// launch starts a program as the service, with more variables in its
// environment.
func (l *Lab) launch(t testing.TB, program string, env ...string) {
	t.Helper()
	cmd := exec.Command(program, "serve", "--dir", l.Dir, "--listen", l.listen, "--admin", l.admin) //nolint:noctx // it is ended by Stop or Kill
	p := &process{cmd: cmd, stderr: &Output{}, done: make(chan struct{})}
	p.cmd.Stderr, p.cmd.Env = p.stderr, append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // a killed process is no error here
		close(p.done)
	}()
	l.server = p
	t.Cleanup(func() { l.Kill(t) })
}

// waitReady returns when the service is ready, or, with false, when it has
// ended.
func (l *Lab) waitReady(t testing.TB) bool {
	t.Helper()
	deadline := time.After(startTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(l.AdminURL + "/readyz") //nolint:noctx // bounded by the deadline
		if err == nil {
			_ = resp.Body.Close() // nothing in it
			if resp.StatusCode == http.StatusOK {
				return true
			}
		}
		select {
		case <-l.server.done:
			return false
		case <-deadline:
			t.Fatalf("hallmark-server is not ready:\n%s", l.server.stderr)
		case <-tick.C:
		}
	}
}

// Log returns what the service wrote to stderr since it was started.
func (l *Lab) Log() string { return l.server.stderr.String() }

// PID is the service's process.
func (l *Lab) PID() int { return l.server.cmd.Process.Pid }

// Kill is kill -9.
func (l *Lab) Kill(t testing.TB) {
	t.Helper()
	l.signal(t, syscall.SIGKILL)
}

// Stop asks the service to end and waits until it has.
func (l *Lab) Stop(t testing.TB) {
	t.Helper()
	l.signal(t, syscall.SIGTERM)
	if code := l.server.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("hallmark-server ended with %d:\n%s", code, l.server.stderr)
	}
}

func (l *Lab) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := l.server.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	select {
	case <-l.server.done:
	case <-time.After(startTimeout):
		t.Fatalf("hallmark-server does not end:\n%s", l.server.stderr)
	}
}

// Fsck has the deployment's logs, index and database checked and fails the
// test if they are not whole. Servers may run. It returns the report.
func (l *Lab) Fsck(t testing.TB) string {
	t.Helper()
	r := l.Server(t, "fsck")
	if r.Code != 0 {
		t.Fatalf("fsck: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// FreeAddress returns a loopback address that was free a moment ago.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return address
}
