// SPDX-License-Identifier: Apache-2.0

// Command hallmark is what CI jobs, operators and auditors call.
//
//	hallmark sign IMAGE       sign an artifact of the central registry (in a CI job)
//	hallmark attest IMAGE     attest a statement about it (in a CI job)
//	hallmark verify IMAGE     check who signed it, and that it is logged
//	hallmark policy test FILE try a signing policy without a service
//	hallmark log ...          look into the transparency logs, and check what they answer
//	hallmark keys ...         public keys of signatures that are made by key
//	hallmark chart ...        provenance, push and images of Helm charts
//	hallmark root ...         sign the root of trust, in a ceremony of several holders
//	hallmark dev --dir DIR    a whole Hallmark on loopback, to try things out
//
// Data goes to stdout, words for people to stderr. Exit codes: 0 yes, 1 no
// (refused, not verified, not found), 2 wrong usage, 3 could not decide.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the Makefile.
var version = "devel"

// Exit codes of every Hallmark command.
const (
	exitYes       = 0
	exitNo        = 1
	exitUsage     = 2
	exitUndecided = 3
)

// answer is an error with an exit code of its own. Any other error is "could
// not decide".
type answer struct {
	code int
	err  error
}

func (a *answer) Error() string { return a.err.Error() }
func (a *answer) Unwrap() error { return a.err }

func no(format string, args ...any) error {
	return &answer{exitNo, fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) error {
	return &answer{exitUsage, fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], environment{getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr})
	stop()
	os.Exit(code)
}

// environment is what a command sees of the process.
type environment struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

func run(ctx context.Context, args []string, env environment) int {
	root := &cobra.Command{
		Use: "hallmark", Short: "Sign what was checked, run what was signed", Version: version,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, // cobra's own complaint would have no exit code
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("which command? (hint: hallmark --help)")
			}
			return usage("unknown command %q (hint: hallmark --help)", args[0])
		},
	}
	root.SetArgs(args)
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w (hint: %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(signCommand(env), attestCommand(env), verifyCommand(env), policyCommand(env), logCommand(env),
		rootCommand(env), revokeCommand(env), devCommand(env), keysCommand(env), chartCommand(env))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitYes
	}
	// Errors repeat what services answer, line by line if there are reasons.
	for line := range strings.Lines("hallmark: " + err.Error()) {
		_, _ = fmt.Fprintln(env.stderr, printable(strings.TrimSuffix(line, "\n")))
	}
	var a *answer
	if errors.As(err, &a) {
		return a.code
	}
	return exitUndecided
}

// oneArgument is cobra's ExactArgs(1) with our exit code.
func oneArgument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usage("%s takes one %s, got %d (hint: %s)", cmd.CommandPath(), name, len(args), cmd.UseLine())
		}
		return nil
	}
}
