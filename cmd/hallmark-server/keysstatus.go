// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

func keysStatusCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "status --dir DIR", Short: "Show the keys in use and every rotation", Args: program.NoArguments,
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		all, err := readRotations(cfg)
		if err != nil {
			return err
		}
		answer := struct {
			InUse     map[string]string `json:"inUse"`
			Rotations []rotationState   `json:"rotations"`
		}{map[string]string{}, []rotationState{}}
		for _, kind := range cfg.keyKinds() {
			answer.InUse[kind] = all.inUse(kind)
		}
		for _, r := range all.Rotations {
			answer.Rotations = append(answer.Rotations, rotationState{r, r.phase(), r.next()})
		}
		return program.Print(*format, cmd.OutOrStdout(), answer, func(w io.Writer) {
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "KIND\tIN USE")
			for _, kind := range cfg.keyKinds() {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", kind, answer.InUse[kind])
			}
			_ = table.Flush() // to the same place as all output
			printRotations(w, all.Rotations...)
		})
	}
	dirFlag(cmd, &dir)
	return cmd
}

// rotationState is a rotation as keys status prints it.
type rotationState struct {
	*keyRotation
	Phase string `json:"phase"`
	Next  string `json:"next,omitempty"`
}

func printRotations(w io.Writer, list ...*keyRotation) {
	if len(list) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ROTATION\tKEY\tREPLACES\tPHASE\tBY\tNEXT")
	for _, r := range list {
		replaces := r.Replaces
		if isLogKind(r.Kind) {
			replaces = "the log before"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Kind, orDash(r.Key), replaces, r.phase(), orDash(r.By["requested"].User), orDash(r.next()))
	}
	_ = table.Flush() // to the same place as all output
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
