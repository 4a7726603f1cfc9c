// SPDX-License-Identifier: Apache-2.0

// Command hallmark-controller is the cluster's side of Hallmark: the API server asks it before a pod, or anything that makes pods, is stored,
// and it allows what an ImageTrustPolicy allows.
//
//	hallmark-controller --registry HOST --trusted-root FILE --webhook-certs DIR
//
// It verifies by itself, from the registry and the trusted root; it does not call the signing service, and links neither key management nor
// a database. deploy/controller has the manifests.
package main

import (
	"context"
	"io"
	"log/slog"
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
	exitUsage     = program.Usage
	exitUndecided = program.Undecided
)

// usageError marks a command line that cannot be right.
type usageError struct{ error }

func (usageError) AnswerCode() int { return exitUsage }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return program.Run(ctx, command(stderr), args, program.Streams{In: os.Stdin, Out: stdout, Err: stderr})
}

// command is the program; docs/CLI.md is written from it.
func command(stderr io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "hallmark-controller", Short: "Admit only images that are signed as policy says", Version: version, Args: program.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
			return serve(cmd.Context(), o, log)
		},
	}
	o.register(cmd.Flags())
	return cmd
}
