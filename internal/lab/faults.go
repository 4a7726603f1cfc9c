// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// faultTag is the build tag of a hallmark-server that kills itself where
// faultVariable says.
const (
	faultTag      = "hallmarkfaults"
	faultVariable = "HALLMARK_FAULT"
)

// buildFaulty compiles that server once per test process; nobody ships it.
var buildFaulty = sync.OnceValues(func() (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "hallmark-lab-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "hallmark-server")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", faultTag, "-o", path, "./cmd/hallmark-server")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir) // a temporary folder
		return "", fmt.Errorf("build a hallmark-server with fault points: %w\n%s", err, out)
	}
	return path, nil
})

// FaultyProgram is the path of a hallmark-server with fault points. Cleanup
// removes it.
func FaultyProgram(t testing.TB) string {
	t.Helper()
	path, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func cleanupFaulty() {
	if path, err := buildFaulty(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path)) // a temporary folder
	}
}

// faulty says whether the server with fault points was built.
var faulty bool

// ServeFaulty starts a server that kills itself with SIGKILL at a fault point
// of the flow, as package signer names them, when it comes there the first time
// (or the n-th: "logged:2"). It returns when the server is ready, or dead: it
// may come there while it recovers.
func (l *Lab) ServeFaulty(t testing.TB, point string) {
	t.Helper()
	program := FaultyProgram(t)
	faulty = true
	l.launch(t, program, faultVariable+"="+point)
	_ = l.waitReady(t)
}

// WaitDead waits until a server that ServeFaulty has started has killed itself.
func (l *Lab) WaitDead(t testing.TB) {
	t.Helper()
	select {
	case <-l.server.done:
	case <-time.After(startTimeout):
		t.Fatalf("hallmark-server lives on:\n%s", l.server.stderr)
	}
	if status, ok := l.server.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("hallmark-server ended with %v, not by its fault point:\n%s", l.server.cmd.ProcessState, l.server.stderr)
	}
}
