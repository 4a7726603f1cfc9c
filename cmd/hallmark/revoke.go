// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// revokeCommand hands over to hallmark-server, as dev does: revoking needs the
// deployment's folder and its keys, and this program has neither. What it is, it
// says itself: somebody who asks may not be on that machine.
func revokeCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke digest|identity|key|withdraw|list", Short: "Revoke an artifact, an identity or a key (on the server), and list what is revoked",
		Long: "What is revoked counts for nothing with every verifier that reads the trust repository, from its next look on, and the\n" +
			"service signs it no more.\n\n" +
			"  hallmark revoke digest   --dir DIR --reason TEXT sha256:HEX                 an artifact, whoever signed it and when\n" +
			"  hallmark revoke identity --dir DIR --reason TEXT [--since TIME] URI         a workflow, a repository, or with /* all below\n" +
			"  hallmark revoke key      --dir DIR --reason TEXT [--since TIME] FILE|HINT   a key that signs, or a log's\n" +
			"  hallmark revoke withdraw --dir DIR digest|identity|key VALUE                take one back that was a mistake\n" +
			"  hallmark revoke list     --server URL                                       what is revoked, from anywhere\n\n" +
			"All but list run hallmark-server, on the machine with the deployment's folder (--dir). There is no way to revoke over the\n" +
			"network: who may write to that folder may revoke. `hallmark revoke digest --help` there has the details.",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && slices.Contains([]string{"-h", "--help", "help"}, args[0]) {
				return cmd.Help()
			}
			if len(args) == 0 || !slices.Contains(revokeWords, args[0]) {
				return unknownRevoke(cmd, args)
			}
			if _, err := serverBinary(); err != nil && slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "--help" }) {
				return cmd.Help()
			}
			return runRevoke(cmd.Context(), env, args...)
		},
	}
	cmd.AddCommand(revokeListCommand(env))
	return cmd
}

// revokeWords are the commands of hallmark-server revoke.
var revokeWords = []string{"digest", "identity", "key", "withdraw", "list"}

// unknownRevoke says which word may be meant: no flag of it is known here, so that
// the server's complaint would be about a flag.
func unknownRevoke(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return program.WhichCommand(cmd, args)
	}
	return usage("unknown command %q (hint: %s %s; all are in %s --help)", args[0], cmd.CommandPath(), strings.Join(revokeWords, ", "), cmd.CommandPath())
}

func runRevoke(ctx context.Context, env environment, args ...string) error {
	server, err := serverBinary()
	if err != nil {
		return usage("revoke %s: hallmark-server does it, on the machine with the deployment's folder, and is neither beside this program nor in PATH here (hint: run it there; hallmark revoke --help)", args[0])
	}
	run := exec.CommandContext(ctx, server, append([]string{"revoke"}, args...)...) //nolint:gosec // our own server
	run.Stdin, run.Stdout, run.Stderr = env.stdin, env.stdout, env.stderr
	err = run.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &program.Answer{Code: exit.ExitCode(), Said: true, Err: errors.New("hallmark-server revoke did not succeed")}
	}
	return err
}
