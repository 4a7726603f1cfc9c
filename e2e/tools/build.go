// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// heartbeat is how often a build says that it is alive: a cold build of the
// API server takes many minutes, and CI systems end silent jobs.
const heartbeat = 20 * time.Second

const (
	dirMode  = 0o755
	fileMode = 0o644
)

// Ensure makes every pinned program present and current and returns their
// paths in the order given. Progress goes to log, one line at a time. Calls of
// several processes on one cache are safe: one builds, the others wait and
// then find the result.
func (c Cache) Ensure(ctx context.Context, pins []Pin, log io.Writer) ([]string, error) {
	if paths, err := c.paths(pins); err == nil {
		return paths, nil
	} else if !errors.Is(err, ErrStale) {
		return nil, err
	}
	unlock, err := c.lock(log)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, p := range pins {
		// Looked up again: the process we waited for may have built it.
		if _, err := c.Path(p); err == nil {
			continue
		} else if !errors.Is(err, ErrStale) {
			return nil, err
		}
		if err := c.build(ctx, p, log); err != nil {
			return nil, err
		}
	}
	return c.paths(pins)
}

func (c Cache) paths(pins []Pin) ([]string, error) {
	out := make([]string, 0, len(pins))
	for _, p := range pins {
		path, err := c.Path(p)
		if err != nil {
			return nil, err
		}
		out = append(out, path)
	}
	return out, nil
}

// lock takes the cache's lock file. The kernel releases it when the process
// dies, so a killed build never blocks the next one.
func (c Cache) lock(log io.Writer) (unlock func(), err error) {
	if err := os.MkdirAll(c.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("make tools cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, ".lock"), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("lock tools cache: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		say(log, "waiting for another build in %s", c.Dir)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock tools cache: %w", err), f.Close())
	}
	// Closing the file releases the lock; there is nothing to flush.
	return func() { _ = f.Close() }, nil
}

// build compiles p into a folder of its own, then moves the program and after
// it the stamp into place. Power lost before the first rename leaves the old
// program with its old stamp; between the two, a program whose stamp does not
// match, which the next call builds again.
func (c Cache) build(ctx context.Context, p Pin, log io.Writer) error {
	want, err := c.stamp(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.program(p)), dirMode); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	tmp, err := os.MkdirTemp(c.Dir, ".build-")
	if err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()

	start := time.Now()
	say(log, "%s %s: building", p.Name, p.Version)
	if err := c.compile(ctx, p, tmp, log); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	stamp := filepath.Join(tmp, "stamp")
	if err := os.WriteFile(stamp, []byte(want), fileMode); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	if err := os.Rename(filepath.Join(tmp, "program"), c.program(p)); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	if err := os.Rename(stamp, c.stampFile(p)); err != nil {
		return fmt.Errorf("build %s: %w", p.Name, err)
	}
	say(log, "%s %s: done in %s", p.Name, p.Version, time.Since(start).Round(time.Second))
	return nil
}

// compile leaves the program as tmp/program.
func (c Cache) compile(ctx context.Context, p Pin, tmp string, log io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", goArgs(p, tmp)...)
	cmd.Dir = tmp
	if p.nested() {
		cmd.Dir = filepath.Join(c.Root, filepath.FromSlash(p.Version))
	}
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOBIN="+tmp)
	out := &progress{}
	cmd.Stdout, cmd.Stderr = out, out
	stop := out.report(log, p.Name)
	err := cmd.Run()
	stop()
	if err != nil {
		return fmt.Errorf("go %s %s: %w\n%s", cmd.Args[1], p.Package, err, out.tail())
	}
	if p.nested() {
		return nil
	}
	// go install names the program after the last element of its package path.
	return os.Rename(filepath.Join(tmp, path.Base(p.Package)), filepath.Join(tmp, "program"))
}

func goArgs(p Pin, tmp string) []string {
	if p.nested() {
		return []string{"build", "-v", "-mod=readonly", "-trimpath", "-tags=" + p.Tags, "-ldflags=" + p.LDFlags, "-o", filepath.Join(tmp, "program"), p.Package}
	}
	return []string{"install", "-v", "-trimpath", "-tags=" + p.Tags, "-ldflags=" + p.LDFlags, p.Package + "@" + p.Version}
}

func say(log io.Writer, format string, args ...any) {
	// Progress for people: a closed stderr must not fail a build.
	_, _ = fmt.Fprintf(log, "tools: "+format+"\n", args...)
}
