// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "List the keys of the deployment, take new ones into use, and rotate them",
		Long: "A key is an encrypted file of the deployment's folder, or is in a KMS. Either way the deployment remembers its\n" +
			"public half (keys/NAME.pub): another key under the same name is an error, never a new identity.\n" +
			"A key is rotated without a day on which everybody has to change: `keys rotate`.",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(keysListCommand(), keysCreateCommand(), keysImportCommand(), keysRotateCommand(), keysStatusCommand())
	return cmd
}

// keyState is a key as these commands print it.
type keyState struct {
	Name  string `json:"name"`
	Use   string `json:"use"`
	Where string `json:"where"`
	// Algorithm is the pinned key's, not what the configuration wants of the next
	// one; empty if it is not pinned.
	Algorithm string `json:"algorithm,omitempty"`
	// Hint is base64 of the SHA-256 of the public key; empty if it is not pinned.
	Hint string `json:"hint,omitempty"`
	// Fingerprint is what OpenPGP calls its keys.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// keyUses says what the keys of every deployment are for.
var keyUses = map[string]string{
	keyCARoot: "root of certificates", keyCA: "certificates", keyCT: "certificate timestamps",
	keyLogV1: "log v1", keyLogV2: "log v2", keyTSARoot: "root of timestamps", keyTSA: "timestamps",
}

// keyStates are all keys that the configuration speaks of.
func keyStates(cfg *Config) ([]keyState, error) {
	var all []keyState
	add := func(name, use string, p place) error {
		state := keyState{Name: name, Use: use, Where: p.String()}
		pin, err := keys.ReadPublic(p.pinIn(cfg.path("keys")))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			if state.Hint, err = keys.Hint(pin); err != nil {
				return err
			}
			state.Algorithm = algorithmOf(pin)
		}
		if isChartKey(name) {
			state.Fingerprint = chartFingerprint(cfg, name)
		}
		all = append(all, state)
		return nil
	}
	for _, name := range roleKeys() {
		if err := add(name, keyUses[name], cfg.place(name)); err != nil {
			return nil, err
		}
	}
	if cfg.Fulcio != nil {
		if err := add(keyFulcio, "certificates on request", cfg.place(keyFulcio)); err != nil {
			return nil, err
		}
	}
	later, err := laterKeys(cfg)
	if err != nil {
		return nil, err
	}
	for _, k := range later {
		if err := add(k.Name, k.Use, cfg.place(k.Name)); err != nil {
			return nil, err
		}
	}
	for _, k := range cfg.signingKeys() {
		if err := add(k.name, k.use, k.place); err != nil {
			return nil, err
		}
	}
	if cfg.Charts.PGPKey != "" {
		if err := add(keyCharts, "charts' provenance files", cfg.chartPlace()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// laterKeys are the keys of the trust repository, if there is one, and those that
// rotations have brought.
func laterKeys(cfg *Config) ([]keyState, error) {
	var later []keyState
	for _, role := range tuf.OnlineRoles() {
		name := tufKey(role)
		if cfg.hasKey(name) || exists(cfg.place(name).pinIn(cfg.path("keys"))) {
			later = append(later, keyState{Name: name, Use: "trust repository, " + string(role)})
		}
	}
	all, err := readRotations(cfg)
	if err != nil {
		return nil, err
	}
	for _, r := range all.Rotations {
		switch {
		case r.Made.IsZero():
		case isLogKind(r.Kind):
			later = append(later, keyState{Name: logKey(r.Key), Use: "log " + r.Key})
		default:
			later = append(later, keyState{Name: r.Key, Use: "in place of " + r.Replaces})
		}
	}
	return later, nil
}

func printKeys(w io.Writer, all []keyState) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tUSE\tWHERE\tALGORITHM\tPUBLIC KEY (SHA-256)\tOPENPGP")
	for _, k := range all {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.Use, k.Where, orDash(k.Algorithm), orDash(k.Hint), orDash(k.Fingerprint))
	}
	_ = table.Flush() // to the same place as all output
}

func keysListCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "list --dir DIR", Short: "List the keys, where they are, and which they are", Args: program.NoArguments,
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		all, err := keyStates(cfg)
		if err != nil {
			return err
		}
		return program.Print(*format, cmd.OutOrStdout(), struct {
			Keys []keyState `json:"keys"`
		}{all}, func(w io.Writer) { printKeys(w, all) })
	}
	dirFlag(cmd, &dir)
	return cmd
}

func keysCreateCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "create --dir DIR", Short: "Take the keys of signing.keys and charts into use that are not yet", Args: program.NoArguments,
		Long: "For each key under signing.keys and for charts.pgpKey that has no pin yet: make the encrypted file, or ask the KMS for the public\n" +
			"key and try the key once; then pin it. Keys that are pinned are left alone, so that it may be repeated.\n" +
			"Copy keys/ to every replica that has a folder of its own, and restart the service.",
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		if err := createSigningKeys(cmd.Context(), cfg); err != nil {
			return err
		}
		all, err := keyStates(cfg)
		if err != nil {
			return err
		}
		if words, err := cfg.otherChartAlgorithm(); err != nil {
			return err
		} else if words != "" {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), words)
		}
		return program.Print(*format, cmd.OutOrStdout(), struct {
			Keys []keyState `json:"keys"`
		}{all}, func(w io.Writer) { printKeys(w, all) })
	}
	dirFlag(cmd, &dir)
	return cmd
}

// createSigningKeys makes and pins what is missing. Two uses of one key are
// refused here, before anything is signed with it.
func createSigningKeys(ctx context.Context, cfg *Config) error {
	if !exists(cfg.path("keys")) {
		return noError{fmt.Errorf("there is no deployment in %s yet (hint: hallmark-server init --dir %s makes these keys, too)", cfg.dir, cfg.dir)}
	}
	password, err := cfg.password()
	if err != nil {
		return err
	}
	for _, k := range cfg.signingKeys() {
		if _, err := cfg.adoptKey(ctx, cfg.path("keys"), k.place, password); err != nil {
			return fmt.Errorf("signing key %q for %s: %w", k.name, k.use, err)
		}
	}
	if err := cfg.createChartKeyHere(ctx, password, time.Now()); err != nil {
		return err
	}
	_, err = newLongLived(ctx, cfg, password, slog.New(slog.DiscardHandler))
	return err
}
