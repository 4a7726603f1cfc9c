// SPDX-License-Identifier: Apache-2.0

// Package stock runs other people's programs, unmodified, for Hallmark's tests:
// the verifiers that users have and the registry that they push to.
//
// Programs come from the tools cache (package e2e/tools). A test that asks for
// one that is not built fails and says `make tools`; it never skips, because a
// suite that passes without the programs proves nothing about them.
//
// Every program runs with an empty home folder and without a way out: proxy
// settings point at a closed port, so an attempt to reach anything but this
// machine fails at once instead of passing on a machine that has a network.
package stock

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/e2e/tools"
)

// deadProxy is the discard port of this machine, where nothing listens.
const deadProxy = "http://127.0.0.1:9"

// commandTimeout ends a program that hangs. Verification takes about a second;
// the rest is for machines that run several suites at once.
const commandTimeout = 2 * time.Minute

// killDelay is what a program gets between being asked to stop and being
// killed.
const killDelay = 5 * time.Second

// Tool returns the path of a stock program by its name in e2e/tools/tools.txt,
// for example "cosign-v3" or "kube/etcd". It fails the test when the program
// is missing or was not built from its pin.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := find(name)
	if err != nil {
		t.Fatalf("stock program: %v", err)
	}
	return path
}

func find(name string) (string, error) {
	all, err := tools.Pins()
	if err != nil {
		return "", err
	}
	pins, err := tools.Select(all, []string{name})
	if err != nil {
		return "", err
	}
	cache, err := tools.Open()
	if err != nil {
		return "", err
	}
	return cache.Path(pins[0])
}

// Command is one run of a stock program.
type Command struct {
	// Tool is the program's name in e2e/tools/tools.txt.
	Tool string
	// Env is added to the clean environment: NAME=VALUE.
	Env []string
	// Dir is the working folder; empty means a new one.
	Dir string
	// Stdin may be nil.
	Stdin io.Reader
}

// Result is how a program ended.
type Result struct {
	// Code is the exit code; -1 if a signal ended the program.
	Code           int
	Stdout, Stderr string
}

// Run runs the program to its end. A program that cannot be started, or that
// outlives two minutes, fails the test; any exit code is a result.
func (c Command) Run(t testing.TB, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := c.prepare(ctx, t, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("run %s %s: %v, %v\n%s", c.Tool, strings.Join(args, " "), err, ctx.Err(), stderr.String())
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

func (c Command) prepare(ctx context.Context, t testing.TB, args []string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, Tool(t, c.Tool), args...)
	cmd.Dir = c.Dir
	if cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	cmd.Env = append(cleanEnv(t.TempDir()), c.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killDelay
	return cmd
}

// cleanEnv inherits nothing but the search path: a developer's credentials,
// proxies and COSIGN_* settings must not change what a test sees.
func cleanEnv(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + home,
		"TMPDIR=" + home,
		"HTTP_PROXY=" + deadProxy,
		"HTTPS_PROXY=" + deadProxy,
		"NO_PROXY=127.0.0.1,::1,localhost",
		// The registry would look for a trace collector.
		"OTEL_TRACES_EXPORTER=none",
	}
}

// Names of the two cosigns: what most of the field runs, and the current one.
const (
	CosignV2 = "cosign-v2"
	CosignV3 = "cosign-v3"
)

// Cosign runs cosign of the given version, CosignV2 or CosignV3.
func Cosign(t testing.TB, version string, args ...string) Result {
	t.Helper()
	return Command{Tool: version}.Run(t, args...)
}
