// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// tended is a deployment with a repository, and what takes care of it.
func tended(t *testing.T) (*Config, *tender) {
	t.Helper()
	dir := newDeployment(t)
	runs(t, 0, "tuf", "init", "--dir", dir, "--root-keys", t.TempDir())
	cfg, err := readConfig(filepath.Join(dir, configName))
	check(t, err)
	password, err := cfg.password()
	check(t, err)
	return cfg, newTender(cfg, password, slog.New(slog.DiscardHandler))
}

// TestTendInterrupted takes rotations of CA, CT and TSA from phase to phase, and
// loses each time what was written last, as a crash does: the next look ends up
// where the first one did, and no key is published twice or ended early.
func TestTendInterrupted(t *testing.T) {
	cfg, care := tended(t)
	ctx, start := context.Background(), time.Now().UTC().Truncate(time.Second)
	record := cfg.path("trust", rotationsName)
	for _, kind := range []string{kindCA, kindCT, kindTSA} {
		_, err := recordRotation(ctx, cfg, care.password, kind, rotateOptions{wait: time.Hour, keep: 2 * time.Hour})
		check(t, err)
		says(t, exitNo, "already", "keys", "rotate", kind, "--dir", cfg.dir)
	}
	for _, step := range []struct {
		after time.Duration
		phase string
		ended bool
	}{
		{0, "published", false},
		{59 * time.Minute, "published", false},
		{61 * time.Minute, "active", false},
		{3 * time.Hour, "active", false},
		{61*time.Minute + 2*time.Hour, "done", true},
		{24 * time.Hour, "done", true},
	} {
		before, err := os.ReadFile(record)
		check(t, err)
		for range 2 {
			check(t, care.tend(ctx, start.Add(step.after)))
			all, err := readRotations(cfg)
			check(t, err)
			for _, r := range all.Rotations {
				if r.phase() != step.phase {
					t.Fatalf("after %s: %s is %s, want %s", step.after, r.Kind, r.phase(), step.phase)
				}
			}
			m, err := cfg.readMaterial()
			check(t, err)
			if len(m.CertificateAuthorities) != 2 || len(m.CertificateLogs) != 2 || len(m.TimestampAuthorities) != 2 {
				t.Fatalf("after %s: %d, %d, %d", step.after, len(m.CertificateAuthorities), len(m.CertificateLogs), len(m.TimestampAuthorities))
			}
			if ended := !m.CertificateAuthorities[0].End.IsZero(); ended != step.ended || !m.CertificateAuthorities[1].End.IsZero() ||
				m.CertificateLogs[0].End.IsZero() == step.ended || m.TimestampAuthorities[0].End.IsZero() == step.ended {
				t.Fatalf("after %s: ended %t, want %t", step.after, ended, step.ended)
			}
			check(t, os.WriteFile(record, before, 0o600)) // the crash
		}
		check(t, care.tend(ctx, start.Add(step.after)))
	}
	// The repository has what the files have, and all of it verifies.
	doc, err := os.ReadFile(cfg.path("trust", trustedRootName))
	check(t, err)
	found := false
	check(t, filepath.WalkDir(cfg.path(repositoryFolder), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, trustedRootName) {
			published, err := os.ReadFile(path) //nolint:gosec // G122: a folder of the test
			found = found || bytes.Equal(published, doc)
			return err
		}
		return err
	}))
	if !found {
		t.Error("the trusted root is not in the repository")
	}
	all, err := readRotations(cfg)
	check(t, err)
	if got := all.inUse(kindCA) + " " + all.inUse(kindCT) + " " + all.inUse(kindTSA); got != "ca-2 ct-2 tsa-2" {
		t.Errorf("in use: %s", got)
	}
	// Whoever reads it now signs with the new keys.
	online, err := newAuthorities(ctx, cfg, care.password, slog.New(slog.DiscardHandler))
	check(t, err)
	if n := len(online.current.Load().issuers); n != 2 {
		t.Errorf("certificates of %d authorities are known", n)
	}
	check(t, online.ready(ctx))
	if _, err := os.Stat(cfg.path("keys", "ca-2-root.key")); err != nil {
		t.Error(err)
	}
}

// TestTendWarns before clients refuse, and of what cannot be done.
func TestTendWarns(t *testing.T) {
	cfg, care := tended(t)
	ctx, now := context.Background(), time.Now()
	check(t, care.tend(ctx, now))
	check(t, care.ready(ctx))
	status, _ := care.last()
	var warning obs.Warning
	for after, role := range map[time.Duration]string{340 * 24 * time.Hour: "root", 2 * 24 * time.Hour: "timestamp"} {
		if err := care.expiring(status, now.Add(after)); !errors.As(err, &warning) || !strings.Contains(err.Error(), role) {
			t.Errorf("after %s: %v, want a warning of %s", after, err, role)
		}
	}
	// A root that nobody signed is refused, and said.
	check(t, os.WriteFile(cfg.path("trust", tuf.RootName(2)), []byte("{}"), 0o600))
	if err := care.tend(ctx, now); err == nil {
		t.Error("a root that is none was taken")
	}
	if err := care.ready(ctx); !errors.As(err, &warning) {
		t.Errorf("ready: %v", err)
	}
	check(t, os.Remove(cfg.path("trust", tuf.RootName(2))))
	check(t, care.tend(ctx, now))
	// Without the targets key the list is not said again, and everything else goes on.
	before, err := cfg.readRevocations()
	check(t, err)
	check(t, os.Remove(cfg.path("keys", "tuf-targets.key")))
	check(t, care.tend(ctx, now.Add(48*time.Hour)))
	after, err := cfg.readRevocations()
	check(t, err)
	if after.Version != before.Version {
		t.Error("revocations were said again without a key")
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
