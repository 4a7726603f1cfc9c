// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// databaseName is the SQLite file's name in the deployment's folder.
const databaseName = "hallmark.db"

// The engines, as backups name them.
const (
	engineSQLite   = "sqlite"
	enginePostgres = "postgres"
)

// shared says whether other processes write to the database, too.
func (c *Config) shared() bool { return c.Database != nil }

func (c *Config) engine() string {
	if c.shared() {
		return enginePostgres
	}
	return engineSQLite
}

// databaseLabel names the database for people.
func (c *Config) databaseLabel() string {
	if !c.shared() {
		return c.path(databaseName)
	}
	u, err := url.Parse(c.Database.URL)
	if err != nil {
		return "the PostgreSQL database" // checked before
	}
	return u.Redacted()
}

// postgresConfig is how to reach the PostgreSQL database.
func (c *Config) postgresConfig(logger *slog.Logger) (postgres.Config, error) {
	pc := postgres.Config{URL: c.Database.URL, Logger: logger}
	if c.Database.PasswordFile == "" {
		return pc, nil
	}
	password, err := keys.ReadPassword(c.path(c.Database.PasswordFile), "")
	if err != nil {
		return postgres.Config{}, fmt.Errorf("database password: %w", err)
	}
	pc.Password = string(password)
	return pc, nil
}

// openDatabase opens the deployment's database for writing.
func openDatabase(ctx context.Context, cfg *Config, logger *slog.Logger) (store.Database, error) {
	if !cfg.shared() {
		if err := cfg.refuseLostDatabase(); err != nil {
			return nil, err
		}
		return sqlite.Open(ctx, cfg.path(databaseName))
	}
	pc, err := cfg.postgresConfig(logger)
	if err != nil {
		return nil, err
	}
	return postgres.Open(ctx, pc)
}

// openReadOnly opens the deployment's database for checks and copies, which
// may run beside servers.
func openReadOnly(ctx context.Context, cfg *Config) (store.Database, error) {
	if !cfg.shared() {
		if err := cfg.refuseLostDatabase(); err != nil {
			return nil, err
		}
		return sqlite.OpenReadOnly(ctx, cfg.path(databaseName))
	}
	pc, err := cfg.postgresConfig(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return postgres.OpenReadOnly(ctx, pc)
}

// refuseLostDatabase tells a folder that never was a deployment from one whose
// database has gone: init, which makes the first, refuses the second.
func (c *Config) refuseLostDatabase() error {
	if exists(c.path(databaseName)) || !exists(c.path("keys")) || exists(c.path(stagingName)) {
		return nil // or opening it will say what is wrong
	}
	return fmt.Errorf("open %s: %w, and there are keys: it was lost (hint: hallmark-server restore --from FOLDER --dir %s; hallmark-server init makes a deployment only where there is none)",
		c.path(databaseName), store.ErrNoDatabase, c.dir)
}

// createDatabase makes an empty database: in a folder, or in the PostgreSQL
// database, which must be empty.
func createDatabase(ctx context.Context, dir string, cfg *Config) (store.Database, error) {
	if !cfg.shared() {
		return sqlite.Create(ctx, filepath.Join(dir, databaseName))
	}
	pc, err := cfg.postgresConfig(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return postgres.Create(ctx, pc)
}
