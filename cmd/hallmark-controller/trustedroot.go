// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

const (
	// trustedRootPeriod is how often the trusted root's file is looked at. Keys are rotated days before they are used, and Kubernetes itself takes up to
	// a minute to show a changed ConfigMap to a pod. Looking is reading one small file, which also works where file events do not arrive.
	trustedRootPeriod = 5 * time.Second
	// repositoryPeriod is how often a trust repository is asked: how long a revocation takes to arrive.
	repositoryPeriod = 30 * time.Second
	// repositoryTimeout bounds one look at it.
	repositoryTimeout = 20 * time.Second
	// maxRootFile bounds the repository's root.json, bytes.
	maxRootFile = 512 << 10
)

func (o *options) registerTrust(flags *pflag.FlagSet) {
	flags.StringVar(&o.tufURL, "tuf-url", "", "`URL` of the trust repository, instead of --trusted-root: trusted root and revocations, always the newest")
	flags.StringVar(&o.tufRoot, "tuf-root", "", "root.json `file` of the repository (compulsory with --tuf-url)")
	flags.StringVar(&o.tufCache, "tuf-cache", "", "`directory` to keep what the repository said last, for starts while it does not answer")
	flags.StringVar(&o.revocations, "revocations", "", "revocations.json `file` beside --trusted-root, re-read when it changes")
	flags.DurationVar(&o.maxAge, "revocations-max-age", 0, "deny everything when the revocations are older, or when there are none; 0: use what there is")
}

func (o *options) completeTrust() error {
	switch {
	case o.trustedRoot == "" && o.tufURL == "":
		return errors.New("no trusted root (hint: --trusted-root FILE, your Hallmark service publishes it; or --tuf-url URL --tuf-root FILE)")
	case o.trustedRoot != "" && o.tufURL != "":
		return errors.New("--trusted-root and --tuf-url exclude each other")
	case o.tufURL != "" && o.tufRoot == "":
		return errors.New("--tuf-url needs --tuf-root FILE: 1.root.json of the service, obtained over a channel that is trusted")
	case o.tufURL != "" && o.revocations != "":
		return errors.New("--revocations goes with --trusted-root: a trust repository brings its own")
	case o.maxAge < 0:
		return errors.New("--revocations-max-age is negative")
	}
	return nil
}

// material is what is trusted at one moment. It is not changed.
type material struct {
	root        *trust.Root
	revocations *trust.Revocations
}

func (m material) same(other material) bool {
	return m.root.Digest() == other.root.Digest() && m.revocations.Version() == other.revocations.Version()
}

// trustedRoot is what is trusted at the moment, from files or from a trust repository. What becomes unreadable does not take away what is
// known: the last good one stays in force, and every look complains, because a key that was to be withdrawn may still be trusted. How old its
// revocations may get is another question, --revocations-max-age.
type trustedRoot struct {
	from    string
	read    func(context.Context) (material, error)
	period  time.Duration
	maxAge  time.Duration
	log     *slog.Logger
	current atomic.Pointer[material]
	stale   atomic.Bool // the last look failed
}

// loadTrustedRoot reads it for the first time. Without a trusted root nothing can be decided, so this time an error is final.
func loadTrustedRoot(ctx context.Context, o options, log *slog.Logger) (*trustedRoot, error) {
	t := &trustedRoot{from: o.trustedRoot, read: o.readFiles, period: trustedRootPeriod, maxAge: o.maxAge, log: log}
	if o.tufURL != "" {
		root, err := readRootFile(o.tufRoot)
		if err != nil {
			return nil, err
		}
		repository := trust.TUF{URL: o.tufURL, Root: root, Cache: o.tufCache}
		t.from, t.period = o.tufURL, repositoryPeriod
		t.read = func(ctx context.Context) (material, error) {
			ctx, cancel := context.WithTimeout(ctx, repositoryTimeout)
			defer cancel()
			p, err := trust.FromTUF(ctx, repository)
			if err != nil {
				return material{}, err
			}
			if p.Unreachable != nil {
				t.log.ErrorContext(ctx, "trust repository does not answer, what it said last is used", "error", p.Unreachable, "checked", p.Checked)
			}
			return material{p.Root, p.Revocations}, nil
		}
	}
	m, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	t.current.Store(&m)
	log.Info("trusted root read", "from", t.from, "digest", m.root.Digest(), "revocations", m.revocations.Version())
	return t, nil
}

func (o *options) readFiles(context.Context) (m material, err error) {
	if m.root, err = trust.FromFile(o.trustedRoot); err != nil {
		return material{}, err
	}
	if o.revocations != "" {
		m.revocations, err = trust.RevocationsFromFile(o.revocations)
	}
	return m, err
}

func readRootFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("open the repository's root: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, maxRootFile))
}

// verifierFor makes a policy's verifier under what is trusted now.
func (t *trustedRoot) verifierFor(p *verifier.Policy) (*verifier.Verifier, error) {
	m := t.current.Load()
	return verifier.New(m.root, p, verifier.WithRevocations(m.revocations, t.maxAge))
}

// Start implements manager.Runnable: it looks until the context ends.
func (t *trustedRoot) Start(ctx context.Context) error {
	ticker := time.NewTicker(t.period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			t.look(ctx)
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica looks.
func (t *trustedRoot) NeedLeaderElection() bool { return false }

// metrics say whether the last look failed, and how new the revocations are.
func (t *trustedRoot) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hallmark_trusted_root_stale",
			Help: "1 while the trusted root cannot be read and an older one is in force.",
		}, func() float64 {
			if t.stale.Load() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hallmark_revocations_as_of_timestamp_seconds",
			Help: "When the revocations in force were known to be the newest, in seconds since 1970; 0 if there are none.",
		}, func() float64 {
			if asOf := t.current.Load().revocations.AsOf(); !asOf.IsZero() {
				return float64(asOf.Unix())
			}
			return 0
		}),
	}
}

// look reads it again.
func (t *trustedRoot) look(ctx context.Context) {
	m, err := t.read(ctx)
	t.stale.Store(err != nil)
	before := t.current.Load()
	if err != nil {
		t.log.ErrorContext(ctx, "trusted root cannot be read, the last good one stays in force", "from", t.from, "digest", before.root.Digest(), "error", err)
		return
	}
	// An older list than the one in force would take back revocations: a file from a backup, a mirror behind another.
	if m.revocations.Version() < before.revocations.Version() {
		t.stale.Store(true)
		t.log.ErrorContext(ctx, "revocations are older than those in force, which stay", "from", t.from, "version", m.revocations.Version(), "inForce", before.revocations.Version())
		m.revocations = before.revocations
	}
	t.current.Store(&m)
	if !m.same(*before) {
		t.log.InfoContext(ctx, "trusted root changed", "from", t.from, "digest", m.root.Digest(), "revocations", m.revocations.Version())
	}
}
