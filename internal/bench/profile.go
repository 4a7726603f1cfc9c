// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// profiled is a source file that makes a hallmark-server write a CPU profile
// between two signals. The product has no such door: the file is laid over
// cmd/hallmark-server for one build in a temporary folder.
//
//go:embed profile/profiled.txt
var profiled []byte

// profileEnv names the file that a profiled server writes.
const profileEnv = "HALLMARK_BENCH_PROFILE"

// buildProfiled builds hallmark-server with the profile's door and returns the
// folder that it is in.
func buildProfiled(ctx context.Context, dir string) (string, error) {
	source := filepath.Join(dir, "profiled.go")
	if err := os.WriteFile(source, profiled, 0o600); err != nil {
		return "", err
	}
	over, err := filepath.Abs("cmd/hallmark-server/profiled.go")
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{over: source}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", list, "-o", dir, "./cmd/hallmark-server") //nolint:gosec // our own program
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build a server to be profiled: %w\n%s", err, out)
	}
	return dir, nil
}

// toggleProfile starts or stops the profile of a server.
func toggleProfile(pid int) error {
	err := syscall.Kill(pid, syscall.SIGUSR1)
	time.Sleep(100 * time.Millisecond) // signals have no answer
	return err
}

// profiles writes a CPU profile of the server under the crowd for every kind
// of entry, and while it signs images.
func (b *bench) profiles(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	bin, err := buildProfiled(b.ctx, b.TempDir())
	if err != nil {
		return err
	}
	for name, value := range map[string]string{"HALLMARK_BIN": bin, profileEnv: filepath.Join(dir, "cpu")} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	t, err := b.newTarget("sqlite", lab.Options{})
	if err != nil {
		return err
	}
	for _, kind := range b.scale.kinds {
		pid := t.servers[0].PID()
		if err := toggleProfile(pid); err != nil {
			return err
		}
		w, err := b.closed(t, kind, b.scale.loop)
		if err != nil {
			return err
		}
		if err := toggleProfile(pid); err != nil {
			return err
		}
		path := filepath.Join(dir, strings.ReplaceAll(string(kind), " ", "-")+".pprof")
		if err := os.Rename(os.Getenv(profileEnv), path); err != nil { //nolint:gosec // the caller names the folder
			return err
		}
		b.judgeClosed(string(kind)+": ", w)
		b.report.say("go tool pprof -top -cum %s", path)
	}
	return b.profileSigning(dir)
}

// profileSigning writes a CPU profile of the server while it signs images.
func (b *bench) profileSigning(dir string) error {
	three, err := attestations(smallImage)
	if err != nil {
		return err
	}
	l := lab.Start(b.stage, lab.Options{BundleLog: b.bundleLog, Config: noQuotas})
	if err := toggleProfile(l.PID()); err != nil {
		return err
	}
	if err := b.images(l, three); err != nil {
		return err
	}
	if err := toggleProfile(l.PID()); err != nil {
		return err
	}
	path := filepath.Join(dir, "signing.pprof")
	b.report.say("go tool pprof -top -cum %s", path)
	return os.Rename(os.Getenv(profileEnv), path) //nolint:gosec // the caller names the folder
}
