// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// programs are Hallmark's own, by the name of their folder in cmd.
var programs = []string{"hallmark", "hallmark-server", "hallmark-controller", "hallmark-chart"}

// build compiles the programs once per test process.
var build = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("HALLMARK_BIN"); dir != "" {
		return dir, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "hallmark-lab-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", dir}
	for _, p := range programs {
		args = append(args, "./cmd/"+p)
	}
	cmd := exec.CommandContext(context.Background(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build Hallmark: %w\n%s", err, out)
	}
	return dir, nil
})

// Program returns the path of one of Hallmark's programs: in HALLMARK_BIN (as
// `make test` sets it), or built from this tree. A program that is not there
// fails the test.
func Program(t testing.TB, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (hint: make build)", err)
	}
	return path
}

// cleanup removes what Program built.
func cleanup() {
	if faulty {
		cleanupFaulty()
	}
	if dir, err := build(); err == nil && os.Getenv("HALLMARK_BIN") == "" {
		_ = os.RemoveAll(dir) // a temporary folder
	}
}

func moduleRoot() (string, error) {
	out, err := exec.CommandContext(context.Background(), "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("find the module: not inside one")
	}
	return filepath.Dir(mod), nil
}

// Result is what a program did.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs a program to its end with exactly the given environment.
func Run(t testing.TB, stdin string, env []string, program string, args ...string) Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(stdin), &stdout, &stderr, env
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", program, err)
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
