// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	databaseName = "hallmark.db"
	// logV2 is the name of the Rekor v2 log in the database.
	logV2 = "v2"
)

// logConfig describes the Rekor v2 log: its origin is the bare host name.
func logConfig(cfg *Config, key crypto.Signer) (tlog.Config, error) {
	origin, err := url.Parse(cfg.Origin)
	if err != nil {
		return tlog.Config{}, fmt.Errorf("origin: %w", err)
	}
	return tlog.Config{Name: logV2, Origin: origin.Hostname(), Signer: key}, nil
}

func createDatabase(ctx context.Context, dir string, cfg *Config, made map[string]crypto.Signer) (err error) {
	db, err := sqlite.Create(ctx, filepath.Join(dir, databaseName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	lc, err := logConfig(cfg, made[keyLogV2])
	if err != nil {
		return err
	}
	return tlog.Create(ctx, db, lc)
}

func fsckCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "fsck --dir DIR", Short: "Read the whole log and recompute every hash", Args: noArguments,
		Long: "Read every entry, tile and checkpoint and check that they are one tree, and that the database file is whole. The service may be running.\n" +
			"Exit code 1: the database is damaged, every problem is on stdout.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := openConfig(cmd, dir)
			if err != nil {
				return err
			}
			d, err := loadDeployment(cfg)
			if err != nil {
				return err
			}
			db, err := sqlite.OpenReadOnly(cmd.Context(), cfg.path(databaseName))
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }() // only read
			lc, err := logConfig(cfg, d.keys[keyLogV2])
			if err != nil {
				return err
			}
			report, err := tlog.Fsck(cmd.Context(), db, lc.Name, lc.Signer.Public())
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "log\t%s\nentries\t%d\nroot\t%s\n", lc.Origin, report.Size, report.Root)
			damage, err := db.Damage(cmd.Context())
			if err != nil {
				return err
			}
			report.Problems = append(report.Problems, damage...)
			for _, problem := range report.Problems {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "problem\t%s\n", problem)
			}
			if len(report.Problems) > 0 {
				return noError{fmt.Errorf("the database is damaged, problems found: %d (hint: stop the service and keep the folder as it is; docs/OPERATIONS.md, Backup)", len(report.Problems))}
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}
