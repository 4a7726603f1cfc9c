// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// listedLog is what list prints of a log.
type listedLog struct {
	logRow
	// Checkpoint is the present one, verified; Size is its.
	Checkpoint string `json:"checkpoint,omitempty"`
	// Problem says why there is none.
	Problem string `json:"problem,omitempty"`
}

func logListCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the logs of the service, with their verified sizes", Args: program.NoArguments,
	}
	f := addLogFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keys, err := f.keys(cmd.Context(), env)
		if err != nil {
			return err
		}
		service, err := f.service(env)
		if err != nil {
			return err
		}
		finder, err := newFinder(cmd.Context(), service, keys)
		if err != nil {
			return err
		}
		var listed []listedLog
		var wrong []string
		for _, row := range finder.rows {
			l := listedLog{logRow: row}
			view, err := finder.view(cmd.Context(), row)
			switch {
			case err == nil:
				l.Size, l.Checkpoint = view.Size, string(view.signed)
			case !isNo(err):
				return err
			case row.State == string(tlog.Pending):
				l.Problem = "not in this trusted root yet"
			default:
				l.Problem = oneLine(err.Error())
				wrong = append(wrong, l.Problem)
			}
			listed = append(listed, l)
		}
		if err := program.Print(*f.output, env.stdout, map[string]any{"logs": listed}, func(w io.Writer) { printLogs(w, listed) }); err != nil {
			return err
		}
		if len(wrong) > 0 {
			return no("not every log is what the trusted root says:%s", indented(wrong))
		}
		return nil
	}
	return cmd
}

func printLogs(w io.Writer, logs []listedLog) {
	for _, l := range logs {
		says := fmt.Sprintf("%d entries", l.Size)
		if l.Problem != "" {
			says = "not checked: " + l.Problem
		}
		from := fmt.Sprintf("from %d", l.FirstIndex)
		if l.FirstIndex < 0 {
			from = "not in use"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", program.Printable(l.Name), program.Printable(l.Kind), program.Printable(l.State), from, program.Printable(l.Origin), program.Printable(says))
	}
}
