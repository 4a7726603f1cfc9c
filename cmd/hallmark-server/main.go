// SPDX-License-Identifier: Apache-2.0

// Command hallmark-server is the signing service: it authenticates CI jobs,
// checks policy, signs, logs and attaches.
//
//	hallmark-server init --dir DIR --origin URL --registry HOST
//	hallmark-server serve --dir DIR
//	hallmark-server fsck --dir DIR
//	hallmark-server log list|add|activate|freeze --dir DIR
//	hallmark-server fulcio enable --dir DIR
//	hallmark-server revoke digest|identity|key --dir DIR --reason TEXT VALUE
//	hallmark-server tuf init --dir DIR
//	hallmark-server backup --dir DIR --to FOLDER
//	hallmark-server keys list|create|rotate|status --dir DIR
//	hallmark-server restore --from FOLDER --dir DIR --not-before CHECKPOINT
//
// init creates keys, database, logs and trust material once; serve only loads
// them, so that a mistyped path is an error and never a second, empty log. For
// the same reason restore wants to be shown a checkpoint.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the Makefile.
var version = "devel"

// Exit codes, the same for every Hallmark command.
const (
	exitNo        = 1
	exitUsage     = 2
	exitUndecided = 3
)

// noError marks an answer of "no", as opposed to a failure to answer.
type noError struct{ error }

// usageError marks a command line or a configuration that cannot be right.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use: "hallmark-server", Short: "The Hallmark signing service", Version: version,
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, // cobra's own complaint would have no exit code
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("which command? (hint: hallmark-server --help)")}
			}
			return usageError{fmt.Errorf("unknown command %q (hint: hallmark-server --help)", args[0])}
		},
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (hint: %s --help)", err, cmd.CommandPath())}
	})
	root.AddCommand(initCommand(), serveCommand(), fsckCommand(), logCommand(), backupCommand(), restoreCommand(),
		fulcioCommand(), keysCommand(), revokeCommand(), tufCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(stderr, "hallmark-server:", err)
	var (
		usage usageError
		no    noError
	)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &no):
		return exitNo
	default:
		return exitUndecided
	}
}
