// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// The commands' own names for what all programs share.

func outputFlag(cmd *cobra.Command) *string { return program.OutputFlag(cmd) }

func printAs(format string, w io.Writer, v any, text func(io.Writer)) error {
	return program.Print(format, w, v, text)
}

func noArguments(cmd *cobra.Command, args []string) error { return program.NoArguments(cmd, args) }

// printable makes text that strangers wrote fit for a terminal.
func printable(s string) string { return program.Printable(s) }
