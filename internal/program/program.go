// SPDX-License-Identifier: Apache-2.0

// Package program is the shape that Hallmark's programs share, so that a script
// that knows one of them knows all.
//
// Data goes to stdout, words for people to stderr (with -o json what went wrong is
// data, too), and the exit code is the answer: yes, no (refused, not verified, not found), wrong usage, or could not
// decide (network, server, disk). An error says which one it is by its method
// AnswerCode, wherever it is wrapped; any other error is "could not decide". Errors
// name the object, the reason and, as a hint in parentheses, what to do.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// Exit codes of every Hallmark command.
const (
	Yes       = 0
	No        = 1
	Usage     = 2
	Undecided = 3
)

// Answer is an error with an exit code of its own.
type Answer struct {
	Code int
	Err  error
	// Said is true if another program, which was run, has said on stderr what is wrong.
	Said bool
}

func (a *Answer) Error() string { return a.Err.Error() }
func (a *Answer) Unwrap() error { return a.Err }

// AnswerCode is what Run looks for.
func (a *Answer) AnswerCode() int { return a.Code }

// Misuse is an answer of Usage.
func Misuse(format string, args ...any) error {
	return &Answer{Code: Usage, Err: fmt.Errorf(format, args...)}
}

// Streams are those of the process.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Root is the command of a program that has commands below it.
func Root(name, short, version string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Version: version,
		Args: cobra.ArbitraryArgs, // cobra's own complaint would have no exit code
		RunE: WhichCommand,
	}
}

// WhichCommand is what a command that only has others below it does: it says
// that none was named, or none of that name is there, and which may be meant.
func WhichCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return Misuse("which command? (hint: %s --help)", cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2 // letters that are wrong
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return Misuse("unknown command %q (hint: %s %s; all are in %s --help)", args[0], cmd.CommandPath(), strings.Join(near, ", "), cmd.CommandPath())
	}
	return Misuse("unknown command %q (hint: %s --help)", args[0], cmd.CommandPath())
}

// Run runs a program and returns its exit code. What went wrong is on stderr,
// behind the program's name.
func Run(ctx context.Context, root *cobra.Command, args []string, std Streams) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Misuse("%w (hint: %s --help)", err, cmd.CommandPath())
	})
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return Yes
	}
	// Errors repeat what services answer, line by line if there are reasons.
	var said *Answer
	if !errors.As(err, &said) || !said.Said {
		for line := range strings.Lines(root.Name() + ": " + err.Error()) {
			_, _ = fmt.Fprintln(std.Err, Printable(strings.TrimSuffix(line, "\n")))
		}
	}
	code := Undecided
	var answer interface{ AnswerCode() int }
	if errors.As(err, &answer) {
		code = answer.AnswerCode()
	}
	printFailure(cmd, std.Out, code, err)
	return code
}

// NoArguments is cobra's NoArgs with our exit code.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) != 0 {
		return Misuse("%s takes no arguments, got %q (hint: %s)", cmd.CommandPath(), args[0], cmd.UseLine())
	}
	return nil
}

// Printable makes text that strangers wrote fit for a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
