// SPDX-License-Identifier: Apache-2.0

// Package devrun runs `hallmark dev` for programs that show or measure it.
package devrun

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long hallmark dev may take to stop.
const stopTimeout = 40 * time.Second

// Dev is a running `hallmark dev` in a temporary folder.
type Dev struct {
	// Bin holds the programs, Dir is --dir.
	Bin, Dir string
	// Env is the content of DIR/env.
	Env map[string]string

	cmd *exec.Cmd
}

// Start starts the hallmark of bin and returns when it is ready. When that
// fails nothing is left of it, neither a process nor the folder.
func Start(ctx context.Context, bin string) (*Dev, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hallmark-dev-")
	if err != nil {
		return nil, err
	}
	d := &Dev{Bin: bin, Dir: dir, Env: map[string]string{}}
	d.cmd = exec.CommandContext(ctx, filepath.Join(bin, "hallmark"), "dev", "--dir", dir) //nolint:gosec // our own program
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.WaitDelay = stopTimeout
	var words bytes.Buffer
	d.cmd.Stderr = &words
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := d.cmd.Start(); err != nil {
		err = fmt.Errorf("start hallmark dev: %w (hint: make build)", err)
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		err := errors.Join(errors.New("hallmark dev did not get ready"), d.Stop())
		return nil, fmt.Errorf("%w\n%s", err, words.String())
	}
	if err := d.readEnv(); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

// Stop ends it and removes its folder.
func (d *Dev) Stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	err := d.cmd.Wait()
	if err != nil {
		err = fmt.Errorf("hallmark dev did not stop cleanly: %w", err)
	}
	return errors.Join(err, os.RemoveAll(d.Dir))
}

// PID is the process of hallmark dev; the service is its only child.
func (d *Dev) PID() int { return d.cmd.Process.Pid }

// Token mints a CI token; claims are NAME=VALUE.
func (d *Dev) Token(ctx context.Context, claims ...string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(d.Bin, "hallmark"), TokenArgs(d.Dir, claims...)...).Output() //nolint:gosec // our own program
	if err != nil {
		return "", fmt.Errorf("hallmark dev token: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// TokenArgs are the arguments of hallmark that Token runs.
func TokenArgs(dir string, claims ...string) []string {
	args := []string{"dev", "token", "--dir", dir, "--provider", "github"}
	for _, c := range claims {
		args = append(args, "--claim", c)
	}
	return args
}

func (d *Dev) readEnv() error {
	raw, err := os.ReadFile(filepath.Join(d.Dir, "env"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			d.Env[name] = strings.Trim(value, "'")
		}
	}
	return nil
}
