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
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the Makefile.
var version = "devel"

// Exit codes, the same for every Hallmark command.
const (
	exitUsage     = 2
	exitUndecided = 3
)

// usageError marks a command line that cannot be right.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	command := &cobra.Command{
		Use: "hallmark-controller", Short: "Admit only images that are signed as policy says", Version: version,
		Args: noArguments, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
			return serve(cmd.Context(), o, log)
		},
	}
	o.register(command.Flags())
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	err := command.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "hallmark-controller:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitUndecided
}

func noArguments(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}
