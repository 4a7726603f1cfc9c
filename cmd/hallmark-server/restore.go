// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/postgres"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// restoringName is the folder in which restore makes a SQLite database.
const restoringName = ".restore"

// restoreOptions are the flags of restore.
type restoreOptions struct {
	from, dir   string
	notBefore   []string
	unsafe      bool // nobody shows a checkpoint
	freezeOlder bool
}

func restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use: "restore --from FOLDER --dir DIR --not-before CHECKPOINT...", Short: "Bring a backup back, unless that would fork a log", Args: program.NoArguments,
		Long: "Bring a backup back into DIR, which may be empty, or a deployment that has lost its database.\n" +
			"A log that goes on from an old copy signs a second history, and everybody who saw the first can prove it.\n" +
			"So show the newest checkpoint that you can find of each log that takes entries, a file each: from a monitor,\n" +
			"from a bundle, from what a replica or a cache still serves at /hallmark/v1/logs/NAME/checkpoint.\n" +
			"Exit code 1: the backup is damaged, or one of its logs is older than its checkpoint, or is another log.\n" +
			"With --freeze-older a log that is older is brought back frozen: it is read, and takes no entry any more.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := o.check(cmd); err != nil {
			return err
		}
		r, err := restore(cmd.Context(), o, time.Now())
		if err != nil {
			return err
		}
		_, _ = fmt.Fprint(cmd.ErrOrStderr(), r.words())
		return program.Print(*format, cmd.OutOrStdout(), r, r.print)
	}
	dirFlag(cmd, &o.dir)
	cmd.Flags().StringVar(&o.from, "from", "", "folder of the backup (compulsory)")
	cmd.Flags().StringArrayVar(&o.notBefore, "not-before", nil, "file with a checkpoint of one of the logs; may be repeated")
	cmd.Flags().BoolVar(&o.unsafe, "without-checkpoint-unsafe", false, "believe that no log has grown since the backup: if one has, it is forked")
	cmd.Flags().BoolVar(&o.freezeOlder, "freeze-older", false, "bring logs that are older than their checkpoint back frozen")
	return cmd
}

func (o *restoreOptions) check(cmd *cobra.Command) error {
	switch {
	case o.from == "":
		return usageError{fmt.Errorf("--from is compulsory (hint: %s)", cmd.UseLine())}
	case o.dir == "":
		return needDir(cmd, o.dir)
	case o.unsafe && (len(o.notBefore) > 0 || o.freezeOlder):
		return usageError{errors.New("--without-checkpoint-unsafe contradicts --not-before and --freeze-older")}
	}
	return nil
}

// restored is the answer of restore.
type restored struct {
	Dir  string        `json:"dir"`
	Logs []restoredLog `json:"logs"`
	// Kept are files of the deployment that were there and are not those of the
	// backup.
	Kept []string `json:"kept,omitempty"`
}

type restoredLog struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Origin string `json:"origin"`
	State  string `json:"state"`
	Size   int64  `json:"size"`
	// Shown is the size of the newest checkpoint it was held against.
	Shown int64 `json:"shown"`
	// Older says that it lacks entries that were published.
	Older bool `json:"older"`
}

func (r *restored) print(w io.Writer) {
	_, _ = fmt.Fprintf(w, "restored\t%s\n", r.Dir)
	for _, l := range r.Logs {
		_, _ = fmt.Fprintf(w, "log\t%s\nstate\t%s\nentries\t%d\n", l.Origin, l.State, l.Size)
	}
}

func (r *restored) words() string {
	var words string
	for _, path := range r.Kept {
		words += fmt.Sprintf("kept %s, which is not that of the backup\n", filepath.Join(r.Dir, path))
	}
	for _, l := range r.Logs {
		if l.Older {
			words += fmt.Sprintf("log %s lacks %d entries that were published, and is frozen; next: hallmark-server log add --dir %s --kind %s\n", l.Name, l.Shown-l.Size, r.Dir, l.Kind)
		}
	}
	return words
}

// restore brings a backup back. Everything is checked before the deployment is
// whole enough for serve to start it.
func restore(ctx context.Context, o restoreOptions, now time.Time) (_ *restored, err error) {
	// 1. The backup is what was written, and is of this deployment.
	m, err := readManifest(o.from)
	if err != nil {
		return nil, err
	}
	cfg, err := restoredConfig(o, m)
	if err != nil {
		return nil, err
	}
	shown, err := readShown(o, m)
	if err != nil {
		return nil, err
	}
	plan, err := planFiles(cfg, o.from, m)
	if err != nil {
		return nil, err
	}
	if !o.freezeOlder {
		if err := refuseOlder(m, plan.material, shown); err != nil {
			return nil, err
		}
	}
	// 2. The database, beside its place. Power fails here: nothing can be
	// started, restore begins again.
	db, err := restoreDatabase(ctx, cfg, o.from)
	if err != nil {
		return nil, err
	}
	r := &restored{Dir: cfg.dir, Kept: plan.kept}
	err = checkRestored(ctx, db, plan.material, m, shown, o, r)
	if err != nil && cfg.shared() {
		// It is in its place already. Frozen it cannot fork anything.
		err = errors.Join(err, freezeAll(ctx, db))
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(cfg.path(restoringName)))
	}
	// 3. The files that are missing, then the database: serve refuses to start
	// without one. Power fails here: restore goes on with what is there.
	if err := plan.copy(cfg); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if !cfg.shared() {
		if err := os.Rename(cfg.path(restoringName, databaseName), cfg.path(databaseName)); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
		if err := errors.Join(syncDir(cfg.dir), os.RemoveAll(cfg.path(restoringName))); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	// 4. A log that was frozen takes no entries: tell clients. Power fails here:
	// any log command does the same.
	return r, publishRestored(ctx, cfg, now)
}

// restoredConfig is the configuration of the deployment: its own if it has one
// (the database may have moved), else that of the backup.
func restoredConfig(o restoreOptions, m *manifest) (*Config, error) {
	folder := o.dir
	if !exists(filepath.Join(o.dir, configName)) {
		folder = o.from
	}
	cfg, err := readConfig(filepath.Join(folder, configName))
	if err != nil {
		return nil, usageError{err}
	}
	cfg.dir = o.dir
	switch {
	case cfg.Origin != m.Origin:
		return nil, usageError{fmt.Errorf("the backup is of %s, the configuration in %s of %s", m.Origin, o.dir, cfg.Origin)}
	case cfg.engine() != m.Engine:
		return nil, usageError{fmt.Errorf("the backup is of a %s database, the configuration in %s has %s (hint: database)", m.Engine, o.dir, cfg.engine())}
	case !cfg.shared() && exists(cfg.path(databaseName)):
		return nil, noError{fmt.Errorf("restore: %s: %w, and is never overwritten (hint: if it is damaged, move it away and keep it)", cfg.path(databaseName), store.ErrExists)}
	}
	return cfg, refuseLeftovers(cfg)
}

// refuseLeftovers looks for what SQLite keeps beside a database. It plays the
// write-ahead log that it finds into the database of that name: the restored one
// would be rolled back, or broken, after it was checked.
func refuseLeftovers(cfg *Config) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if path := cfg.path(databaseName + suffix); exists(path) {
			return noError{fmt.Errorf("restore: %s is left of a database that was moved or deleted (hint: move it to where that database is)", path)}
		}
	}
	return nil
}

// restoreDatabase makes the database from its copy and opens it.
func restoreDatabase(ctx context.Context, cfg *Config, from string) (store.Database, error) {
	backup := filepath.Join(from, backupDatabaseName)
	if cfg.shared() {
		pc, err := cfg.postgresConfig(slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		err = postgres.Restore(ctx, backup, pc)
		if errors.Is(err, store.ErrExists) {
			return nil, noError{fmt.Errorf("restore: %w (hint: an empty database, and database.url of the configuration)", err)}
		}
		if err != nil {
			return nil, err
		}
		return postgres.Open(ctx, pc)
	}
	staging := cfg.path(restoringName)
	if err := os.RemoveAll(staging); err != nil { // left by a crash
		return nil, fmt.Errorf("restore: %w", err)
	}
	if err := os.MkdirAll(staging, 0o700); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	path := filepath.Join(staging, databaseName)
	if err := sqlite.Restore(ctx, backup, path); err != nil {
		return nil, errors.Join(err, os.RemoveAll(staging))
	}
	return sqlite.Open(ctx, path)
}

// freezeAll makes sure that a database which was refused and cannot be taken
// back signs nothing.
func freezeAll(ctx context.Context, db store.Database) error {
	rows, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := db.Freeze(ctx, row.Name); err != nil {
			return err
		}
	}
	return errors.New("what was restored is in the database, with all logs frozen: drop the database before another attempt")
}

func publishRestored(ctx context.Context, cfg *Config, now time.Time) error {
	db, err := openReadOnly(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // only read
	rows, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	_, err = publishTrust(cfg, rows, now)
	return err
}
