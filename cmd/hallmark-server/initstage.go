// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	// stagingName is the folder in which init makes a deployment.
	stagingName = ".init"
	// startedName is a file in it that says: keys and trust are complete, the
	// PostgreSQL database is being made with them.
	startedName = "database-started"
)

// The keys of a deployment, by file name. The two roots sign once, in init, and
// belong in a safe from then on; serve does not open them.
const (
	keyCARoot  = "ca-root"
	keyCA      = "ca"
	keyCT      = "ct"
	keyLogV1   = "log-v1"
	keyLogV2   = "log-v2"
	keyTSARoot = "tsa-root"
	keyTSA     = "tsa"
)

// initialise creates everything in a folder beside the deployment's and moves
// it into place, the database last: serve refuses to start without a database,
// so a crash here leaves nothing that looks finished. The next init begins
// again, or ends what was being moved already.
//
// A PostgreSQL database cannot be moved. It is made when everything else is
// complete in the folder, and an init that was interrupted meanwhile goes on
// with the keys that it has begun to use.
func initialise(ctx context.Context, cfg *Config, now time.Time) error {
	staging := cfg.path(stagingName)
	if halfMoved(cfg, staging) {
		return moveIntoPlace(cfg, staging)
	}
	if err := refuseExisting(cfg); err != nil {
		return err
	}
	password, err := cfg.password()
	if err != nil {
		return err
	}
	started := cfg.shared() && exists(filepath.Join(staging, startedName))
	if !started {
		if err := stage(ctx, staging, cfg, password, now); err != nil {
			return err
		}
	}
	if err := stageDatabase(ctx, staging, cfg, password, started); err != nil {
		return err
	}
	return moveIntoPlace(cfg, staging)
}

// stage makes everything but the database.
func stage(ctx context.Context, staging string, cfg *Config, password []byte, now time.Time) error {
	if err := os.RemoveAll(staging); err != nil { // left by an interrupted init
		return fmt.Errorf("initialise: %w", err)
	}
	for _, sub := range []string{"keys", "certs", "trust"} {
		if err := os.MkdirAll(filepath.Join(staging, sub), 0o700); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	made, err := generateKeys(ctx, cfg, filepath.Join(staging, "keys"), password)
	if err != nil {
		return err
	}
	if err := stageFulcio(ctx, staging, cfg, made, password); err != nil {
		return err
	}
	if err := cfg.createChartKey(ctx, staging, password, now); err != nil {
		return err
	}
	if err := cfg.createTUFKeys(ctx, staging, password, now); err != nil {
		return err
	}
	if cfg.rootKeys != "" {
		if err := (&Config{dir: staging}).signFirstRoot(cfg.rootKeys, now); err != nil {
			return err
		}
	}
	return createTrust(staging, cfg, made, now)
}

// stageDatabase makes the database and the two logs in it.
func stageDatabase(ctx context.Context, staging string, cfg *Config, password []byte, started bool) (err error) {
	if cfg.shared() && !started {
		if err := writeNew(filepath.Join(staging, startedName), nil); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	db, err := createDatabase(ctx, staging, cfg)
	switch {
	case errors.Is(err, store.ErrExists) && started:
		db, err = openDatabase(ctx, cfg, slog.New(slog.DiscardHandler))
	case errors.Is(err, store.ErrExists):
		err = noError{fmt.Errorf("initialise: %w (hint: a deployment gets a database of its own; a deployment that lost its folder is restored from a backup)", err)}
		err = errors.Join(err, os.RemoveAll(staging))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, l := range []newLog{{name: logV1, kind: tlog.V1}, {name: logV2, kind: tlog.V2}} {
		l.state, l.host = tlog.Active, cfg.host()
		if l.key, err = cfg.openKey(ctx, filepath.Join(staging, "keys"), cfg.place(logKey(l.name)), password); err != nil {
			return err
		}
		if err := ensureLog(ctx, db, cfg, l); err != nil {
			return err
		}
	}
	return nil
}

// ensureLog makes a log, or accepts the one that an interrupted init made with
// the same key.
func ensureLog(ctx context.Context, db store.Database, cfg *Config, l newLog) error {
	row, err := db.Log(ctx, l.name)
	if errors.Is(err, tlog.ErrNoLog) {
		return createLog(ctx, db, cfg, l)
	}
	if err != nil {
		return err
	}
	public, err := publicKeyOf(row)
	if err != nil {
		return err
	}
	if cryptoutils.EqualKeys(public, l.key.Public()) != nil {
		return noError{fmt.Errorf("initialise: %s has logs of another deployment (hint: a deployment gets a database of its own)", cfg.databaseLabel())}
	}
	return seed(ctx, db, cfg, l.name, l.key)
}

// deploymentParts are what init moves into place, in this order.
func (c *Config) deploymentParts() []string {
	parts := []string{"keys", "certs", "trust"}
	if !c.shared() {
		parts = append(parts, databaseName)
	}
	return parts
}

// halfMoved says whether an earlier init was interrupted in moveIntoPlace: the
// first part is in place, the last is not, and each is in one of the two
// folders only. All of it was finished before the first was moved.
func halfMoved(cfg *Config, staging string) bool {
	parts := cfg.deploymentParts()
	for _, name := range parts {
		if exists(cfg.path(name)) == exists(filepath.Join(staging, name)) {
			return false
		}
	}
	return exists(cfg.path(parts[0])) && !exists(cfg.path(parts[len(parts)-1]))
}

func moveIntoPlace(cfg *Config, staging string) error {
	for _, name := range cfg.deploymentParts() {
		if from := filepath.Join(staging, name); exists(from) {
			if err := os.Rename(from, cfg.path(name)); err != nil {
				return fmt.Errorf("initialise: %w", err)
			}
		}
	}
	return os.RemoveAll(staging) // the database's lock file
}

func refuseExisting(cfg *Config) error {
	if err := cfg.refuseLostDatabase(); err != nil && !cfg.shared() {
		return noError{fmt.Errorf("initialise: %w", err)}
	}
	for _, name := range cfg.deploymentParts() {
		if exists(cfg.path(name)) {
			return noError{fmt.Errorf("initialise: %s exists; a deployment is created once (hint: hallmark-server serve --dir %s)", cfg.path(name), cfg.dir)}
		}
	}
	return nil
}

// generateKeys makes and stores every key of the deployment that is in a file,
// and pins those that are in a KMS; and the long-lived keys, if the
// configuration names some.
func generateKeys(ctx context.Context, cfg *Config, dir string, password []byte) (map[string]crypto.Signer, error) {
	made := map[string]crypto.Signer{}
	for _, name := range roleKeys() {
		key, err := cfg.makeKey(ctx, dir, cfg.place(name), password)
		if err != nil {
			return nil, err
		}
		made[name] = key
	}
	for _, k := range cfg.signingKeys() {
		if _, err := cfg.makeKey(ctx, dir, k.place, password); err != nil {
			return nil, err
		}
	}
	return made, nil
}
