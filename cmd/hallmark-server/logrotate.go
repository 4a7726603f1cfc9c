// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func logAddCommand() *cobra.Command {
	var dir, kind, host string
	cmd := &cobra.Command{
		Use: "add --dir DIR --kind v1|v2 [--host NAME]", Short: "Make the next log and publish its key", Args: program.NoArguments,
		Long: "Make the next log of a kind, with a key of its own, and put the key into trust/trusted_root.json. Nobody\n" +
			"writes to it yet: give verifiers the new file first, then `log activate`.\n" +
			"A v2 log is known by its host name, so that every one needs another: --host, and a DNS name that leads here.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkAddFlags(kind, host); err != nil {
			return usageError{err}
		}
		return rotate(cmd, dir, *format, func(ctx context.Context, r *rotation) (string, string, error) {
			name, err := r.add(ctx, tlog.Kind(kind), host)
			if err != nil {
				return "", "", logAnswer(err)
			}
			return name, fmt.Sprintf("Next:\n"+
				"  1. copy keys/ and trust/ to every replica that has a folder of its own\n"+
				"  2. give %s to every verifier\n"+
				"  3. hallmark-server log activate --dir %s %s\n",
				r.cfg.path("trust", trustedRootName), r.cfg.dir, name), nil
		})
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&kind, "kind", "", "v1 or v2 (compulsory)")
	cmd.Flags().StringVar(&host, "host", "", "host name of a v2 log; no other log has it")
	return cmd
}

func checkAddFlags(kind, host string) error {
	switch {
	case kind != string(tlog.V1) && kind != string(tlog.V2):
		return fmt.Errorf("--kind %q: want v1 or v2", kind)
	case kind == string(tlog.V1) && host != "":
		return errors.New("--host is for v2 logs: those of v1 all have the service's name")
	case kind == string(tlog.V2) && host == "":
		return errors.New("--host is compulsory for a v2 log: clients know it by its host name (hint: --host log2.corp.example)")
	case host != strings.ToLower(host) || strings.ContainsAny(host, "/:+ "):
		return fmt.Errorf("--host %q is not a bare host name in lower case", host)
	}
	return nil
}

// add makes the next log of a kind. One that an earlier call began and did not
// finish is finished.
func (r *rotation) add(ctx context.Context, kind tlog.Kind, host string) (string, error) {
	rows, err := r.db.Logs(ctx)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		if row.Kind == kind && row.State == tlog.Pending {
			return row.Name, r.finishPending(ctx, row)
		}
	}
	if kind == tlog.V1 {
		host = r.cfg.host()
	}
	l := newLog{name: r.nextName(rows, kind), kind: kind, state: tlog.Pending, host: host}
	// Power fails here: a key that nobody knows stays. The next call makes
	// another: one that might have signed is never used again.
	key, err := r.cfg.makeKey(ctx, r.cfg.path("keys"), r.cfg.place(logKey(l.name)), r.password)
	if err != nil {
		return "", err
	}
	l.key = key
	// Power fails from here on: the log is pending, and the next call ends what
	// this one did not.
	return l.name, createLog(ctx, r.db, r.cfg, l)
}

// finishPending ends what an interrupted add began. If there is nothing to end,
// one log is waiting already, and two would be a mistake.
func (r *rotation) finishPending(ctx context.Context, row tlog.LogRow) error {
	key, err := r.key(row)
	if err != nil {
		return err
	}
	if err := seed(ctx, r.db, r.cfg, row.Name, key); err != nil {
		return err
	}
	changed, err := r.publish(ctx)
	if err != nil {
		return err
	}
	if !changed && (row.Kind != tlog.V1 || row.Head.Size > 0) {
		return fmt.Errorf("%w: %s is pending (hint: hallmark-server log activate --dir %s %[2]s, or log freeze)", tlog.ErrLogExists, row.Name, r.cfg.dir)
	}
	return nil
}

func (r *rotation) key(row tlog.LogRow) (crypto.Signer, error) {
	return newKeyRing(r.cfg, r.password).signer(row)
}

// nextName is the first of v1-2, v1-3 and so on that neither a log nor a key
// file has: a key file without a log belongs to one that was lost.
func (r *rotation) nextName(rows []tlog.LogRow, kind tlog.Kind) string {
	for n := 2; ; n++ {
		name := fmt.Sprintf("%s-%d", kind, n)
		taken := slices.ContainsFunc(rows, func(row tlog.LogRow) bool { return row.Name == name })
		if p := r.cfg.place(logKey(name)); !taken && !exists(p.keyIn(r.cfg.path("keys"))) && !exists(p.pinIn(r.cfg.path("keys"))) {
			return name
		}
	}
}

func logActivateCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "activate --dir DIR NAME", Short: "Send new entries to a pending log and freeze the one before", Args: oneLog,
		Long: "Send new entries to a pending log and freeze the active one of its kind, in one step. Verifiers that do not\n" +
			"have the new trusted root refuse what is signed from now on; what was signed before is as good as ever.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return rotate(cmd, dir, *format, func(ctx context.Context, r *rotation) (string, string, error) {
			return args[0], "", logAnswer(r.activate(ctx, args[0]))
		})
	}
	dirFlag(cmd, &dir)
	return cmd
}

// activate refuses a log whose key was not published: that would be a flag day.
func (r *rotation) activate(ctx context.Context, name string) error {
	row, err := r.db.Log(ctx, name)
	if err != nil {
		return err
	}
	key, err := r.key(row)
	if err != nil {
		return err
	}
	state, err := stateOf(r.cfg, row)
	if err != nil {
		return err
	}
	if !state.Published {
		return noError{fmt.Errorf("activate %s: its key is not in %s (hint: hallmark-server log add --dir %s --kind %s ends what was interrupted)",
			name, r.cfg.path("trust", trustedRootName), r.cfg.dir, row.Kind)}
	}
	if err := seed(ctx, r.db, r.cfg, name, key); err != nil {
		return err
	}
	return r.db.Activate(ctx, name)
}
