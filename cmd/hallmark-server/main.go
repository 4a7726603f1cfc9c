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
//	hallmark-server audit --dir DIR
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
	exitNo        = program.No
	exitUsage     = program.Usage
	exitUndecided = program.Undecided
)

// noError marks an answer of "no", as opposed to a failure to answer.
type noError struct{ error }

func (noError) AnswerCode() int { return exitNo }

// usageError marks a command line or a configuration that cannot be right.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }
func (usageError) AnswerCode() int { return exitUsage }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return program.Run(ctx, commands(), args, program.Streams{In: stdin, Out: program.Watch(stdout), Err: stderr})
}

// commands is the program; docs/CLI.md is written from it.
func commands() *cobra.Command {
	root := program.Root("hallmark-server", "The Hallmark signing service", version)
	root.AddCommand(initCommand(), serveCommand(), fsckCommand(), logCommand(), backupCommand(), restoreCommand(),
		fulcioCommand(), keysCommand(), revokeCommand(), tufCommand(), auditCommand())
	return root
}
