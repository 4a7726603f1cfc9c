// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long hallmark dev may take to stop.
const stopTimeout = 40 * time.Second

// stage is a running `hallmark dev` and what the scenes share.
type stage struct {
	bin, dir string
	dev      *exec.Cmd
	env      map[string]string // DIR/env
	image    string            // registry/acme/app@digest, signed
	token    string            // of the CI job
}

// openStage starts `hallmark dev` in a temporary folder.
func openStage(ctx context.Context, bin string) (_ *stage, err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "hallmark-demo-")
	if err != nil {
		return nil, err
	}
	s := &stage{bin: bin, dir: dir, env: map[string]string{}}
	s.title("A whole Hallmark on this machine")
	s.shell("hallmark dev --dir DIR")
	s.dev = exec.CommandContext(ctx, filepath.Join(bin, "hallmark"), "dev", "--dir", dir) //nolint:gosec // our own program
	s.dev.Cancel = func() error { return s.dev.Process.Signal(syscall.SIGTERM) }
	s.dev.WaitDelay = stopTimeout
	var words bytes.Buffer
	s.dev.Stderr = &words
	stdout, err := s.dev.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.dev.Start(); err != nil {
		return nil, fmt.Errorf("start hallmark dev: %w (hint: make build)", err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		return nil, errors.Join(fmt.Errorf("hallmark dev did not get ready:\n%s", words.String()), s.close())
	}
	if err := s.readEnv(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.say("ready: signing service %s, registry %s, token issuer %s", s.env["HALLMARK_URL"], s.env["REGISTRY"], s.env["OIDC_ISSUER"])
	return s, nil
}

// close stops what openStage started and removes its folder.
func (s *stage) close() error {
	_ = s.dev.Process.Signal(syscall.SIGTERM) // it may have ended
	err := s.dev.Wait()
	if err != nil {
		err = fmt.Errorf("hallmark dev did not stop cleanly: %w", err)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *stage) readEnv() error {
	raw, err := os.ReadFile(filepath.Join(s.dir, "env"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			s.env[name] = strings.Trim(value, "'")
		}
	}
	return nil
}

// hallmark shows a hallmark command and runs it with the environment of a CI
// job (with a token) or of a workstation (without).
func (s *stage) hallmark(ctx context.Context, token string, args ...string) (code int, out string, err error) {
	s.shell("hallmark " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "hallmark"), args...) //nolint:gosec // our own program
	cmd.Env = []string{"HOME=" + s.dir, "HALLMARK_URL=" + s.env["HALLMARK_URL"], "TRUSTED_ROOT=" + s.env["TRUSTED_ROOT"]}
	if token != "" {
		cmd.Env = append(cmd.Env, "HALLMARK_ID_TOKEN="+token)
	}
	var shown bytes.Buffer
	cmd.Stdout, cmd.Stderr = &shown, &shown
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, "", err
	}
	s.quote(shown.String())
	return cmd.ProcessState.ExitCode(), shown.String(), nil
}

// must checks the outcome of a command.
func must(what string, code, want int, out string, contains ...string) error {
	if code != want {
		return fmt.Errorf("%s: exit code %d, want %d", what, code, want)
	}
	for _, text := range contains {
		if !strings.Contains(out, text) {
			return fmt.Errorf("%s: the answer does not say %q", what, text)
		}
	}
	return nil
}

func (s *stage) title(text string) { print("\n== %s\n", text) }
func (s *stage) shell(text string) { print("$ %s\n", strings.ReplaceAll(text, s.dir, "DIR")) }
func (s *stage) say(format string, args ...any) {
	print("  "+format+"\n", args...)
}

// quote prints a program's words, indented, with the tabs of its data aligned.
func (s *stage) quote(text string) {
	for line := range strings.Lines(strings.ReplaceAll(text, s.dir, "DIR")) {
		name, value, tabbed := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if tabbed {
			print("  %-12s %s\n", name, value)
			continue
		}
		print("  %s\n", name)
	}
}

func print(format string, args ...any) {
	_, _ = fmt.Fprintf(io.Writer(os.Stdout), format, args...)
}
