// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// patience is how long a program may take to get ready or to end on a busy
// machine.
const patience = 60 * time.Second

// program runs in the background of a script.
type program struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when it and everything that holds its output have ended
	first chan string   // its first line

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
}

// launch starts a program with exactly this environment.
func launch(dir string, env []string, path string, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(path, args...), done: make(chan struct{}), first: make(chan string, 1)} //nolint:noctx // ended by terminate or killAll
	p.cmd.Dir, p.cmd.Env = dir, env
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	words, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		lines := bufio.NewReader(out)
		line, _ := lines.ReadString('\n') // an end without a line is an empty line
		p.keep(&p.stdout, strings.NewReader(line))
		p.first <- line
		p.keep(&p.stdout, lines)
	})
	readers.Go(func() { p.keep(&p.stderr, words) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	return p, nil
}

// keep copies line by line, so that what was said is there while it runs.
func (p *program) keep(into *bytes.Buffer, from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		into.WriteString(line)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *program) output() (stdout, stderr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String(), p.stderr.String()
}

// waitReady returns when the program has said so.
func (p *program) waitReady() error {
	select {
	case line := <-p.first:
		if line == "ready\n" {
			return nil
		}
	case <-time.After(patience):
	}
	stdout, stderr := p.output()
	return fmt.Errorf("not ready; it said:\n%s%s", stdout, stderr)
}

// end sends a signal and waits until everything has ended.
func (p *program) end(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("it, or what it started, does not end after %s", sig)
	}
}

func startProgram(ts *testscript.TestScript, s *scene, args []string) error {
	if s.running[args[0]] != nil {
		return fmt.Errorf("%s runs already", args[0])
	}
	var env []string
	for _, name := range []string{"PATH", "HOME", "KEY_PASSWORD"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	p, err := launch(ts.MkAbs("."), env, lab.Program(s.t, args[1]), args[2:]...)
	if err != nil {
		return err
	}
	s.running[args[0]] = p
	return p.waitReady()
}

func terminateProgram(ts *testscript.TestScript, s *scene, args []string) error {
	p, err := s.ended(ts, args[0], syscall.SIGTERM)
	if err != nil {
		return err
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended with exit code %d, want 0", args[0], code)
	}
	return nil
}

func crashProgram(ts *testscript.TestScript, s *scene, args []string) error {
	_, err := s.ended(ts, args[0], syscall.SIGKILL)
	return err
}

// ended ends a program and makes its output that of the command.
func (s *scene) ended(ts *testscript.TestScript, name string, sig os.Signal) (*program, error) {
	p := s.running[name]
	if p == nil {
		return nil, fmt.Errorf("no %s was started", name)
	}
	if err := p.end(sig); err != nil {
		return nil, err
	}
	delete(s.running, name)
	stdout, stderr := p.output()
	_, _ = io.WriteString(ts.Stdout(), stdout)
	_, _ = io.WriteString(ts.Stderr(), stderr)
	return p, nil
}

// killAll ends what a failed script left, first in a way that lets a program
// end what it started.
func (s *scene) killAll() {
	for name, p := range s.running {
		if err := p.end(syscall.SIGTERM); err != nil {
			s.t.Errorf("%s: %v", name, errors.Join(err, p.cmd.Process.Kill()))
		}
	}
}
