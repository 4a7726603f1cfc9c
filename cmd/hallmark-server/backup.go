// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

func backupCommand() *cobra.Command {
	var dir, to string
	cmd := &cobra.Command{
		Use: "backup --dir DIR --to FOLDER", Short: "Copy the deployment while it serves", Args: program.NoArguments,
		Long: "Copy the database, the encrypted keys, certificates, trust material, configuration and signing policy into\n" +
			"a new folder, with a manifest. The service may be running.\n" +
			"Passwords and the TLS key are not copied: keep them elsewhere, a backup without the password opens nothing.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to == "" {
			return usageError{fmt.Errorf("--to is compulsory (hint: %s)", cmd.UseLine())}
		}
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		m, err := backUp(cmd.Context(), cfg, to, time.Now())
		if err != nil {
			return err
		}
		for _, path := range cfg.keptElsewhere() {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "not in the backup: %s\n", path)
		}
		return program.Print(*format, cmd.OutOrStdout(), m, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "backup\t%s\n", to)
			for _, l := range m.Logs {
				_, _ = fmt.Fprintf(w, "log\t%s\nentries\t%d\n", l.Origin, l.Size)
			}
		})
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&to, "to", "", "folder of the backup; it must not exist (compulsory)")
	return cmd
}

// backUp makes the backup under another name and gives it its own when it is
// complete and durable.
func backUp(ctx context.Context, cfg *Config, to string, now time.Time) (_ *manifest, err error) {
	if exists(to) {
		return nil, noError{fmt.Errorf("back up to %s: it exists, and a backup is never overwritten", to)}
	}
	parent := filepath.Dir(filepath.Clean(to))
	draft, err := os.MkdirTemp(parent, ".hallmark-backup-*") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(draft)) }() // gone if it was renamed
	m := &manifest{Format: manifestFormat, Created: now.UTC().Truncate(time.Second), Version: version, Origin: cfg.Origin, Engine: cfg.engine()}
	// The database first: keys and trust that are copied later know every log
	// that it has, and perhaps more.
	if err := backUpDatabase(ctx, cfg, draft, m); err != nil {
		return nil, err
	}
	if err := backUpFiles(cfg, draft, m); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	if err := m.write(draft); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	if err := syncDir(draft); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	// Rename replaces an empty folder at most.
	if err := os.Rename(draft, to); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	return m, syncDir(parent)
}

// backUpDatabase copies the database. The logs are read before, so that the
// copy has what the manifest says, or more.
func backUpDatabase(ctx context.Context, cfg *Config, draft string, m *manifest) error {
	db, err := openReadOnly(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // only read
	rows, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		m.Logs = append(m.Logs, backedUpLog{
			Name: row.Name, Kind: string(row.Kind), State: string(row.State), Origin: row.Origin,
			Size: row.Head.Size, Checkpoint: string(row.Head.Checkpoint),
		})
	}
	if err := db.Backup(ctx, filepath.Join(draft, backupDatabaseName)); err != nil {
		return err
	}
	for i := range m.Logs {
		row, err := db.Log(ctx, m.Logs[i].Name)
		if err != nil {
			return err
		}
		m.Logs[i].AtMost = row.Head.Size
	}
	return m.addFile(draft, backupDatabaseName)
}

// backUpFiles copies what is beside the database.
func backUpFiles(cfg *Config, draft string, m *manifest) error {
	for _, folder := range []string{"keys", "certs", "trust"} {
		entries, err := os.ReadDir(cfg.path(folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Type().IsRegular() {
				if err := copyInto(cfg, draft, folder+"/"+e.Name(), m); err != nil {
					return err
				}
			}
		}
	}
	for _, path := range append([]string{configName}, cfg.ownFiles()...) {
		// What is outside the folder is somebody else's to keep.
		if path, inside := cfg.inFolder(path); inside && !m.has(path) {
			if err := copyInto(cfg, draft, path, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownFiles are the files that the configuration names and that are no secrets.
func (c *Config) ownFiles() []string {
	_, files := c.registryFiles()
	files = append(files, c.Policy)
	for _, k := range c.Log.Keys {
		files = append(files, k.PublicKey)
	}
	return files
}

// keptElsewhere are the files that a restored deployment needs and that are not
// in a backup: secrets, and what is outside the folder.
func (c *Config) keptElsewhere() []string {
	files, _ := c.registryFiles()
	files = append(files, c.Password.File, c.KMS.Vault.TokenFile)
	if c.Database != nil {
		files = append(files, c.Database.PasswordFile)
	}
	if c.TLS != nil {
		files = append(files, c.TLS.Cert, c.TLS.Key)
	}
	for _, s := range c.Identities {
		files = append(files, s.CAFile, s.BearerTokenFile)
	}
	for _, path := range c.ownFiles() {
		if _, inside := c.inFolder(path); !inside {
			files = append(files, path)
		}
	}
	var kept []string
	for _, path := range files {
		if path != "" {
			kept = append(kept, c.path(path))
		}
	}
	return kept
}

// inFolder returns a path of the configuration relative to the deployment's
// folder, with slashes, and whether it is inside.
func (c *Config) inFolder(path string) (string, bool) {
	path = filepath.Clean(path)
	if filepath.IsAbs(path) {
		dir, err := filepath.Abs(c.dir)
		if err != nil {
			return "", false
		}
		if path, err = filepath.Rel(dir, path); err != nil {
			return "", false
		}
	}
	return filepath.ToSlash(path), filepath.IsLocal(path)
}

func (m *manifest) has(path string) bool {
	for _, f := range m.Files {
		if f.Path == path {
			return true
		}
	}
	return false
}

// copyInto copies a file of the deployment into the backup.
func copyInto(cfg *Config, draft, path string, m *manifest) error {
	into := filepath.Join(draft, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(into), 0o700); err != nil {
		return err
	}
	if err := copyNew(cfg.path(path), into); err != nil {
		return err
	}
	return m.addFile(draft, path)
}
