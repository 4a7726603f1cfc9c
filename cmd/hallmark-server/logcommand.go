// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func logCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "log", Short: "List and rotate the transparency logs",
		Long: "Rotate without a flag day: `log add` makes the next log with a key of its own and puts the key into the\n" +
			"trusted root. When every verifier has that file, `log activate` sends new entries to it and freezes the one\n" +
			"before. Frozen logs are read for ever: keep their keys, and as safe as before.\n" +
			"With SQLite stop the service first; with PostgreSQL it follows while it runs.",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(logListCommand(), logAddCommand(), logActivateCommand(), logFreezeCommand())
	return cmd
}

// logState is a log as these commands print it.
type logState struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	State  string `json:"state"`
	TreeID string `json:"treeID"`
	Origin string `json:"origin"`
	// FirstIndex is the global index of its first entry; -1 before it is active.
	FirstIndex int64 `json:"firstIndex"`
	Size       int64 `json:"size"`
	// Published says that the trusted root has its key.
	Published bool `json:"published"`
}

func stateOf(cfg *Config, row tlog.LogRow) (logState, error) {
	m, err := cfg.readMaterial()
	if err != nil {
		return logState{}, err
	}
	key, err := publicKeyOf(row)
	if err != nil {
		return logState{}, err
	}
	return logState{
		Name: row.Name, Kind: string(row.Kind), State: string(row.State), TreeID: strconv.FormatInt(row.TreeID, 10), Origin: row.Origin,
		FirstIndex: row.FirstIndex, Size: row.Head.Size, Published: m.HasLog(key),
	}, nil
}

func printLogs(w io.Writer, logs ...logState) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tKIND\tSTATE\tSIZE\tFIRST INDEX\tPUBLISHED\tORIGIN")
	for _, l := range logs {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%t\t%s\n", l.Name, l.Kind, l.State, l.Size, l.FirstIndex, l.Published, l.Origin)
	}
	_ = table.Flush() // to the same place as all output
}

func logListCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "list --dir DIR", Short: "List the logs, oldest first", Args: program.NoArguments,
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		db, err := openReadOnly(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }() // only read
		rows, err := db.Logs(cmd.Context())
		if err != nil {
			return err
		}
		logs := []logState{}
		for _, row := range rows {
			l, err := stateOf(cfg, row)
			if err != nil {
				return err
			}
			logs = append(logs, l)
		}
		answer := struct {
			Logs []logState `json:"logs"`
		}{logs}
		return program.Print(*format, cmd.OutOrStdout(), answer, func(w io.Writer) { printLogs(w, logs...) })
	}
	dirFlag(cmd, &dir)
	return cmd
}

// rotation is what the commands that change logs share.
type rotation struct {
	cfg      *Config
	db       store.Database
	password []byte
}

// rotate opens the database for writing, changes a log, brings the trust files
// up to date and prints the log.
func rotate(cmd *cobra.Command, dir, format string, change func(context.Context, *rotation) (log, words string, err error)) (err error) {
	ctx := cmd.Context()
	cfg, err := openConfig(cmd, dir)
	if err != nil {
		return err
	}
	// A trusted root that cannot be added to stops everything before it begins.
	if _, err := cfg.readMaterial(); err != nil {
		return err
	}
	r := &rotation{cfg: cfg}
	if r.password, err = cfg.password(); err != nil {
		return err
	}
	r.db, err = openDatabase(ctx, cfg, slog.New(slog.DiscardHandler))
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%w (hint: stop the service first; only with PostgreSQL logs are rotated while it runs)", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	unlock, err := lockTrust(ctx, cfg)
	if err != nil {
		return err
	}
	defer unlock()
	name, words, err := change(ctx, r)
	if err != nil {
		return err
	}
	if _, err := r.publish(ctx); err != nil {
		return err
	}
	row, err := r.db.Log(ctx, name)
	if err != nil {
		return err
	}
	state, err := stateOf(cfg, row)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(cmd.ErrOrStderr(), words)
	return program.Print(format, cmd.OutOrStdout(), state, func(w io.Writer) { printLogs(w, state) })
}

// publish brings the trust files up to date.
func (r *rotation) publish(ctx context.Context) (changed bool, err error) {
	rows, err := r.db.Logs(ctx)
	if err != nil {
		return false, err
	}
	return publishTrust(r.cfg, rows, time.Now())
}

// oneLog wants exactly one argument.
func oneLog(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s takes the name of one log (hint: hallmark-server log list --dir DIR)", cmd.CommandPath())}
	}
	return nil
}

// logAnswer turns "there is no such log" and "it is frozen" into an answer.
func logAnswer(err error) error {
	if errors.Is(err, tlog.ErrNoLog) || errors.Is(err, tlog.ErrFrozen) || errors.Is(err, tlog.ErrLogExists) {
		return noError{err}
	}
	return err
}

func logFreezeCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "freeze --dir DIR NAME", Short: "End a log for good, without a successor", Args: oneLog,
		Long: "End a log for good, without a successor. It takes no entry any more and is read for ever.\n" +
			"To replace a log by another use `log activate`, which freezes the one before.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return rotate(cmd, dir, *format, func(ctx context.Context, r *rotation) (string, string, error) {
			if err := r.db.Freeze(ctx, args[0]); err != nil {
				return "", "", logAnswer(err)
			}
			return args[0], fmt.Sprintf("%s takes no entry any more. Keep %s: Rekor v1 answers are signed with it.\n", args[0], r.cfg.keyLabel(logKey(args[0]))), nil
		})
	}
	dirFlag(cmd, &dir)
	return cmd
}
