// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/program"
)

func devTokenCommand(env environment, dir *string) *cobra.Command {
	var provider, audience string
	var claims []string
	cmd := &cobra.Command{
		Use: "token --dir DIR --provider github", Short: "Print a CI token of the development issuer", Args: program.NoArguments,
		Long: "Print a token as a CI job would get it. Without --claim it is a push to refs/heads/main of acme/app on a\n" +
			"hosted runner. Only the deployment in DIR believes it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if *dir == "" {
				return usage("--dir is compulsory (hint: %s)", cmd.UseLine())
			}
			overrides, err := devissuer.ParseClaims(claims)
			if err != nil {
				return usage("--claim: %w", err)
			}
			raw, err := os.ReadFile(filepath.Join(*dir, "dev.json"))
			if errors.Is(err, os.ErrNotExist) {
				return usage("no development deployment in %s (hint: hallmark dev --dir %[1]s)", *dir)
			}
			if err != nil {
				return err
			}
			var addr devAddresses
			if err := json.Unmarshal(raw, &addr); err != nil {
				return err
			}
			issuer, err := openIssuer(*dir, addr)
			if err != nil {
				return err
			}
			if audience == "" {
				audience = addr.origin()
			}
			token, err := issuer.Mint(provider, audience, overrides, time.Now())
			if err != nil {
				return usage("%w", err)
			}
			_, err = fmt.Fprintln(env.stdout, token)
			return err
		},
	}
	cmd.Flags().StringVar(&provider, "provider", devissuer.GitHub, "one of "+strings.Join(devissuer.Providers(), ", "))
	cmd.Flags().StringVar(&audience, "audience", "", "audience of the token (default: the development service; sigstore for stock cosign)")
	cmd.Flags().StringArrayVar(&claims, "claim", nil, "`NAME=VALUE`, replaces a claim; may be repeated")
	return cmd
}
