// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/verifier"
)

// maxKeysAnswer bounds the list of keys, bytes.
const maxKeysAnswer = 1 << 20

// publishedKey is a long-lived key as the service publishes it.
type publishedKey struct {
	Name      string `json:"name"`
	Use       string `json:"use"`
	Algorithm string `json:"algorithm"`
	Hint      string `json:"hint"`
	PEM       string `json:"publicKey"`
	// State is next, active, retiring or retired; a service of before keys were
	// rotated has one key of each name and does not say.
	State string     `json:"state,omitempty"`
	Start *time.Time `json:"start,omitempty"`
	End   *time.Time `json:"end,omitempty"`
}

// inUse says whether the service signs with the key for good.
func (k publishedKey) inUse() bool { return k.State == "" || k.State == "active" }

func keysCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Public keys of signatures that are made by key",
		Long: "Some rules have artifacts signed by long-lived keys, for verifiers that know signers by their keys. Keep the\n" +
			"public key where you verify, and look once, by another way, that it is the right one: who believes what a\n" +
			"server says today believes the server.\n\n" +
			"The deployment's own keys and their rotation are for its operators: hallmark-server keys list, status, rotate.",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(keysListCommand(env), keysPublicCommand(env))
	return cmd
}

func keysListCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the keys that the service signs with", Args: program.NoArguments}
	server := cmd.Flags().String("server", "", "URL of the signing service (default: HALLMARK_URL)")
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := publishedKeys(cmd.Context(), env, *server)
		if err != nil {
			return err
		}
		return program.Print(*format, env.stdout, struct {
			Keys []publishedKey `json:"keys"`
		}{all}, func(w io.Writer) {
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "NAME\tUSE\tSTATE\tALGORITHM\tHINT")
			for _, k := range all {
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", program.Printable(k.Name), program.Printable(k.Use), program.Printable(k.State), program.Printable(k.Algorithm), program.Printable(k.Hint))
			}
			_ = table.Flush() // to the same place as all output
		})
	}
	return cmd
}

func keysPublicCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "public NAME [--attestations] [--next | --hint HINT]", Short: "Print a public key as PEM, for cosign verify --key", Args: oneArgument("key"),
	}
	server := cmd.Flags().String("server", "", "URL of the signing service (default: HALLMARK_URL)")
	next := cmd.Flags().Bool("next", false, "the key that will be used next: while one is rotated, keep both")
	hint := cmd.Flags().String("hint", "", "the key with this hint, as keys list and bundles have it; also one that is retired")
	attestations := cmd.Flags().Bool("attestations", false, "the key of attestations, not that of signatures")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *next && *hint != "" {
			return usage("--next and --hint exclude each other")
		}
		use := "signatures"
		if *attestations {
			use = "attestations"
		}
		all, err := publishedKeys(cmd.Context(), env, *server)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(k publishedKey) bool {
			switch {
			case k.Name != args[0] || k.Use != use:
				return false
			case *hint != "":
				return k.Hint == *hint
			case *next:
				return k.State == "next"
			}
			return k.inUse()
		})
		if at < 0 {
			return noSuchKey(all, args[0], use, *next, *hint)
		}
		// What a server sends is a key before it is printed.
		block, rest := pem.Decode([]byte(all[at].PEM))
		if _, err := verifier.NewKey([]byte(all[at].PEM)); err != nil || block == nil || len(rest) != 0 {
			return fmt.Errorf("the service's answer is no public key: %w", err)
		}
		return pem.Encode(env.stdout, block)
	}
	return cmd
}

// noSuchKey says what it is that there is not.
func noSuchKey(all []publishedKey, name, use string, next bool, hint string) error {
	var names []string
	known := false
	for _, k := range all {
		if k.Use != use {
			continue
		}
		known = known || k.Name == name
		if shown := program.Printable(k.Name); !slices.Contains(names, shown) {
			names = append(names, shown)
		}
	}
	switch {
	case len(names) == 0:
		return no("the service has no key for %s (hint: hallmark keys list)", use)
	case !known:
		return no("the service has no key %q for %s (hint: it has %s)", name, use, strings.Join(names, ", "))
	case hint != "":
		return no("%s has no key for %s with this hint (hint: hallmark keys list has them all)", name, use)
	case next:
		return no("%s has no next key for %s: none is being rotated", name, use)
	}
	return no("%s has no key for %s that is in use (hint: hallmark keys list)", name, use)
}

func publishedKeys(ctx context.Context, env environment, server string) ([]publishedKey, error) {
	c, err := newClient(env, server)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Keys []publishedKey `json:"keys"`
	}
	_, err = c.get(ctx, "/hallmark/v1/keys", maxKeysAnswer, &answer)
	return answer.Keys, err
}

// receiptKeys names the long-lived keys that signed, each once.
func receiptKeys(r signer.Receipt) []string {
	var names []string
	for _, a := range append([]signer.Attached{r.Attached}, r.Others...) {
		if a.Key == "" {
			continue
		}
		if name := a.Key + " (" + a.KeyHint + ")"; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
