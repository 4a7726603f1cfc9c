// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// trustedRootPeriod is how often the trusted root is looked at. Keys are rotated days before they are used, and Kubernetes itself takes up to
// a minute to show a changed ConfigMap to a pod. Looking is reading one small file, which also works where file events do not arrive.
const trustedRootPeriod = 5 * time.Second

// trustedRoot is the trusted root of the moment. A file that becomes unreadable does not take away what is known: the last good root stays
// in force, and every look complains, because a key that was to be withdrawn may still be trusted.
type trustedRoot struct {
	path    string
	log     *slog.Logger
	current atomic.Pointer[trust.Root]
	stale   atomic.Bool // the last look failed
}

// loadTrustedRoot reads the file for the first time. Without a trusted root nothing can be decided, so this time an error is final.
func loadTrustedRoot(path string, log *slog.Logger) (*trustedRoot, error) {
	root, err := trust.FromFile(path)
	if err != nil {
		return nil, err
	}
	t := &trustedRoot{path: path, log: log}
	t.current.Store(root)
	log.Info("trusted root read", "file", path, "digest", root.Digest())
	return t, nil
}

// Start looks at the file again and again until the context ends.
func (t *trustedRoot) Start(ctx context.Context) error {
	ticker := time.NewTicker(trustedRootPeriod)
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

// NeedLeaderElection tells the manager that every replica needs its own root.
func (t *trustedRoot) NeedLeaderElection() bool { return false }

// metric is 1 while the file cannot be read, for an alert.
func (t *trustedRoot) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hallmark_trusted_root_stale",
		Help: "1 while the trusted root file cannot be read and an older one is in force.",
	}, func() float64 {
		if t.stale.Load() {
			return 1
		}
		return 0
	})
}

func (t *trustedRoot) look(ctx context.Context) {
	root, err := trust.FromFile(t.path)
	t.stale.Store(err != nil)
	if err != nil {
		t.log.ErrorContext(ctx, "trusted root cannot be read, the last good one stays in force", "file", t.path, "digest", t.current.Load().Digest(), "error", err)
		return
	}
	if root.Digest() != t.current.Load().Digest() {
		t.current.Store(root)
		t.log.InfoContext(ctx, "trusted root changed", "file", t.path, "digest", root.Digest())
	}
}
