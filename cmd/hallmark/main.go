// SPDX-License-Identifier: Apache-2.0

// Command hallmark is what CI jobs, operators and auditors call.
//
//	hallmark sign IMAGE       sign an artifact of the central registry (in a CI job)
//	hallmark attest IMAGE     attest a statement about it (in a CI job)
//	hallmark verify IMAGE     check who signed it, and that it is logged
//	hallmark evidence IMAGE   show what is attached to it, and what of it is proven
//	hallmark sbom IMAGE       make its SBOM, with syft
//	hallmark inspect FILE...  say what a report, SBOM, VEX document or statement says
//	hallmark policy test FILE try a signing policy without a service
//	hallmark log ...          look into the transparency logs, and check what they answer
//	hallmark revoke ...       revoke (on the server), and list what is revoked
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
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// version is stamped by the Makefile.
var version = "devel"

// Exit codes, as program has them.
const (
	exitYes       = program.Yes
	exitNo        = program.No
	exitUsage     = program.Usage
	exitUndecided = program.Undecided
)

func no(format string, args ...any) error {
	return &program.Answer{Code: exitNo, Err: fmt.Errorf(format, args...)}
}

func usage(format string, args ...any) error { return program.Misuse(format, args...) }

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
	out := program.Watch(env.stdout)
	env.stdout = out
	return program.Run(ctx, commands(env), args, program.Streams{In: env.stdin, Out: out, Err: env.stderr})
}

// commands is the program; docs/CLI.md is written from it.
func commands(env environment) *cobra.Command {
	root := program.Root("hallmark", "Sign what was checked, run what was signed", version)
	root.AddCommand(signCommand(env), attestCommand(env), verifyCommand(env), policyCommand(env), logCommand(env),
		rootCommand(env), revokeCommand(env), devCommand(env), keysCommand(env), evidenceCommand(env), sbomCommand(env), inspectCommand(env), chartCommand(env))
	return root
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
