// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// revokeCommand hands over to hallmark-server, as dev does: revoking needs the
// deployment's folder and its keys, and this program has neither.
func revokeCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke digest|identity|key --dir DIR --reason TEXT VALUE", Short: "Revoke an artifact, an identity or a key (on the server), and list what is revoked",
		Long: "Run hallmark-server revoke, on the machine with the deployment's folder. There is no way to revoke over the\n" +
			"network: who may write to that folder may revoke. `revoke list` asks a service.",
		DisableFlagParsing: true,
		RunE:               func(cmd *cobra.Command, args []string) error { return runRevoke(cmd.Context(), env, args...) },
	}
	cmd.AddCommand(revokeListCommand(env))
	return cmd
}

func runRevoke(ctx context.Context, env environment, args ...string) error {
	server, err := serverBinary()
	if err != nil {
		return err
	}
	run := exec.CommandContext(ctx, server, append([]string{"revoke"}, args...)...) //nolint:gosec // our own server
	run.Stdin, run.Stdout, run.Stderr = env.stdin, env.stdout, env.stderr
	err = run.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &program.Answer{Code: exit.ExitCode(), Err: errors.New("hallmark-server revoke did not succeed")}
	}
	return err
}
