// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hallmark-dev/hallmark/internal/obs"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// probeBytes is a page of SQLite's write-ahead log: when there is room for
// this, there is room for a commit.
const probeBytes = 4 << 10

// readiness says whether the service can write. One that only reads would
// refuse every request with 503, and another replica may do better.
func readiness(cfg *Config, db store.Database, set *tlog.Set) map[string]obs.Check {
	checks := map[string]obs.Check{
		"database": func(ctx context.Context) error { _, err := db.Logs(ctx); return err },
	}
	for _, kind := range cfg.Signing.kinds() {
		checks["log "+string(kind)] = func(ctx context.Context) error { return canAppend(ctx, db, set, kind) }
	}
	if !cfg.shared() {
		checks["disk"] = func(context.Context) error { return hasRoom(cfg.dir) }
	}
	return checks
}

// canAppend takes the lock that an append takes, and gives it back.
func canAppend(ctx context.Context, db store.Database, set *tlog.Set, kind tlog.Kind) error {
	l, err := set.Active(ctx, kind)
	if err != nil {
		return err
	}
	row := l.Row()
	return db.Commit(ctx, tlog.Batch{Log: row.Name, EdgeSize: row.Head.Size}, func(locked tlog.Locked) (tlog.Write, error) {
		if locked.Frozen {
			return tlog.Write{}, fmt.Errorf("%w: %q", tlog.ErrFrozen, row.Name)
		}
		return tlog.Write{}, nil
	})
}

// hasRoom writes to the folder of the database and removes what it wrote.
func hasRoom(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".ready-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, probeBytes)); err != nil {
		return err
	}
	return f.Sync()
}
