// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// prepareEvery is how often a replica looks for logs that are about to become
// active. Between `log add` and `log activate` there are days.
const prepareEvery = 10 * time.Second

// keyRing opens the keys of logs, each once: their files are guarded by a hash
// that is slow on purpose, and a replica that follows a rotation has no time
// for it while requests wait.
type keyRing struct {
	cfg      *Config
	password []byte

	mu   sync.Mutex // guards open, and that a key is opened once
	open map[string]crypto.Signer
}

func newKeyRing(cfg *Config, password []byte) *keyRing {
	return &keyRing{cfg: cfg, password: password, open: map[string]crypto.Signer{}}
}

// signer is tlog.SetConfig.Signer.
func (k *keyRing) signer(row tlog.LogRow) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.open[row.Name]; key != nil {
		return key, nil
	}
	key, err := k.cfg.openKey(context.Background(), k.cfg.path("keys"), k.cfg.place(logKey(row.Name)), k.password)
	if err != nil {
		return nil, hinted(fmt.Errorf("key of log %q: %w", row.Name, err), "every replica needs the keys/ of all logs")
	}
	k.open[row.Name] = key
	return key, nil
}

// prepare opens the keys of pending logs, so that this process can follow when
// they become active. It returns those that cannot be opened here.
func (k *keyRing) prepare(ctx context.Context, db store.Database) (missing map[string]error, err error) {
	rows, err := db.Logs(ctx)
	if err != nil {
		return nil, err
	}
	missing = map[string]error{}
	for _, row := range rows {
		if row.State != tlog.Pending {
			continue
		}
		if _, err := k.signer(row); err != nil {
			missing[row.Name] = err
		}
	}
	return missing, nil
}

// prepareUntil prepares for rotations that another process makes, and warns of
// those that this one could not follow.
func (k *keyRing) prepareUntil(ctx context.Context, db store.Database, logger *slog.Logger) {
	tick := time.NewTicker(prepareEvery)
	defer tick.Stop()
	for {
		missing, err := k.prepare(ctx, db)
		if err != nil && ctx.Err() == nil {
			logger.WarnContext(ctx, "pending logs cannot be looked for", "error", err)
		}
		for log, err := range missing {
			logger.WarnContext(ctx, "this replica cannot follow when the log becomes active (hint: copy its key and trust/ here first)", "log", log, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
