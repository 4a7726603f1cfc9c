// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
)

func auditCommand() *cobra.Command {
	var dir string
	var q store.EventQuery
	cmd := &cobra.Command{
		Use: "audit --dir DIR", Short: "Read the audit record: decisions of the service, and what operators did", Args: program.NoArguments,
		Long: "Read the audit record, oldest first. It may run beside the service, which takes into the record what operators did\n" +
			"within a second.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkEventQuery(q); err != nil {
			return usageError{err}
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
		err = program.Print(*format, cmd.OutOrStdout(), struct {
			Events []store.Event `json:"events"`
		}{append([]store.Event{}, events...)}, func(w io.Writer) { printEvents(w, events) })
		if n := len(events); err == nil && n == q.Limit {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "There may be more (hint: --after %d)\n", events[n-1].Seq)
		}
		return err
	}
	dirFlag(cmd, &dir)
	flags := cmd.Flags()
	flags.StringVar(&q.Decision, "decision", "", "only one kind: "+strings.Join(decisions(), ", "))
	flags.StringVar(&q.Digest, "digest", "", "only what is about this artifact, sha256:HEX")
	flags.Int64Var(&q.After, "after", 0, "only what follows the event with this number")
	flags.IntVar(&q.Limit, "limit", store.MaxEvents, "how many at most")
	return cmd
}

// decisions are the kinds of events.
func decisions() []string {
	return []string{
		signer.DecisionGranted, signer.DecisionRefused, signer.DecisionSigned, signer.DecisionIssued, signer.DecisionVoided,
		signer.DecisionDryRun, signer.DecisionFailed, signer.DecisionRotation, signer.DecisionRevocation,
	}
}

// checkEventQuery refuses what selects nothing whatever the record holds: who
// mistypes must not read that nothing happened.
func checkEventQuery(q store.EventQuery) error {
	switch {
	case q.Limit < 1 || q.Limit > store.MaxEvents || q.After < 0:
		return fmt.Errorf("--limit is 1 to %d, and --after not negative", store.MaxEvents)
	case q.Decision != "" && !slices.Contains(decisions(), q.Decision):
		return fmt.Errorf("--decision %q: there is no such kind (hint: %s)", q.Decision, strings.Join(decisions(), ", "))
	case q.Digest != "":
		if _, err := attest.ParseDigest(q.Digest); err != nil {
			return fmt.Errorf("--digest: %w", err)
		}
	}
	return nil
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
