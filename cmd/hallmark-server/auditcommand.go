// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

func auditCommand() *cobra.Command {
	var dir string
	var q store.EventQuery
	cmd := &cobra.Command{
		Use: "audit --dir DIR", Short: "Read the audit record: decisions of the service, and what operators did", Args: noArguments,
		Long: "Read the audit record, oldest first. It may run beside the service, which takes into the record what operators did\n" +
			"within a second.",
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if q.Limit < 1 || q.Limit > store.MaxEvents || q.After < 0 {
			return usageError{fmt.Errorf("--limit is 1 to %d, and --after not negative", store.MaxEvents)}
		}
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		db, err := openReadOnly(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }() // only read
		events, err := db.Events(cmd.Context(), q)
		if err != nil {
			return err
		}
		return printAs(*format, cmd.OutOrStdout(), struct {
			Events []store.Event `json:"events"`
		}{append([]store.Event{}, events...)}, func(w io.Writer) { printEvents(w, events) })
	}
	dirFlag(cmd, &dir)
	flags := cmd.Flags()
	flags.StringVar(&q.Decision, "decision", "", "only one kind: granted, refused, signed, issued, voided, dry-run, failed, rotation, revocation")
	flags.StringVar(&q.Digest, "digest", "", "only what is about this artifact, sha256:HEX")
	flags.Int64Var(&q.After, "after", 0, "only what follows the event with this number")
	flags.IntVar(&q.Limit, "limit", store.MaxEvents, "how many at most")
	return cmd
}

func printEvents(w io.Writer, events []store.Event) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SEQ\tTIME\tDECISION\tACTION\tABOUT\tWHO")
	for _, ev := range events {
		about, who := ev.Digest, ev.Requester.SAN
		if about == "" {
			about = ev.Image
		}
		if ev.Operation != nil {
			about, who = aboutOperation(ev.AuditEvent), ev.Operation.Operator.User+"@"+ev.Operation.Operator.Host
		}
		_, _ = fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", ev.Seq, ev.Time.UTC().Format(time.RFC3339), ev.Decision, ev.Action,
			program.Printable(orDash(about)), program.Printable(orDash(who)))
	}
	_ = table.Flush() // to the same place as all output
}

// aboutOperation says what an operator did, and for a revocation why.
func aboutOperation(ev signer.AuditEvent) string {
	op := ev.Operation
	if ev.Decision == signer.DecisionRotation {
		return op.Kind + " " + orDash(op.Key) + " " + ev.Stage
	}
	if op.Reason == "" {
		return op.Kind + " " + op.Value
	}
	return op.Kind + " " + op.Value + ": " + op.Reason
}
