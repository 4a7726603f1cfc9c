// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/store"
)

func fulcioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "fulcio", Short: "The authority of the Fulcio API",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("which command? (hint: %s --help)", cmd.CommandPath())}
		},
	}
	cmd.AddCommand(fulcioEnableCommand())
	return cmd
}

func fulcioEnableCommand() *cobra.Command {
	var dir, rootKey string
	cmd := &cobra.Command{
		Use: "enable --dir DIR [--ca-root-key FILE]", Short: "Make the authority for certificates on request and publish it", Args: noArguments,
		Long: "Make the authority whose certificates the Fulcio API gives to stock clients, once, and put it into\n" +
			"trust/trusted_root.json. hallmark.yaml has the member fulcio already. The CA's root key signs for it: bring it\n" +
			"from its safe, and take it back there.\n" +
			"Give verifiers the new trusted root before you start the service with it. Those who shall not believe what\n" +
			"stock clients sign by themselves keep the old one, or demand otherwise by policy (docs/THREATS.md).",
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		if cfg.Fulcio == nil {
			return usageError{fmt.Errorf("%s does not have the member fulcio (hint: fulcio: {audience: sigstore})", cfg.path(configName))}
		}
		if err := enableFulcio(cmd.Context(), cfg, rootKey, time.Now()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "enabled\t%s\n", cfg.path("certs", fulcioChainName))
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Next:\n"+
			"  1. copy %s, certs/ and trust/ to every replica that has a folder of its own\n"+
			"  2. give %s to the verifiers that shall accept such certificates\n"+
			"  3. give %s rules with actions: [certificate]\n"+
			"  4. take the root key back to its safe, and start the service again\n",
			cfg.place(keyFulcio), cfg.path("trust", trustedRootName), cfg.path(cfg.Policy))
		return err
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&rootKey, "ca-root-key", "", "the encrypted key of the CA's root (default: keys/ca-root.key)")
	return cmd
}

// enableFulcio makes what is missing of the authority, and publishes it. It may
// be repeated: what a crash left half-way, the next call ends.
func enableFulcio(ctx context.Context, cfg *Config, rootKeyFile string, now time.Time) (err error) {
	// A trusted root that cannot be added to stops everything before it begins.
	if _, err := cfg.readMaterial(); err != nil {
		return err
	}
	password, err := cfg.password()
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, slog.New(slog.DiscardHandler))
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%w (hint: stop the service first)", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if !exists(cfg.path("certs", fulcioChainName)) {
		if err := certifyFulcio(ctx, cfg, password, rootKeyFile, now); err != nil {
			return err
		}
	}
	rows, err := db.Logs(ctx)
	if err != nil {
		return err
	}
	_, err = publishTrust(cfg, rows, now)
	return err
}

// certifyFulcio makes the key and has the root certify it.
func certifyFulcio(ctx context.Context, cfg *Config, password []byte, rootKeyFile string, now time.Time) error {
	dir := cfg.path("keys")
	if _, err := cfg.adoptKey(ctx, dir, cfg.place(keyFulcio), password); err != nil {
		return err
	}
	key, err := cfg.openKey(ctx, dir, cfg.place(keyFulcio), password)
	if err != nil {
		return err
	}
	rootKey, err := openRootKey(ctx, cfg, rootKeyFile, password)
	if errors.Is(err, os.ErrNotExist) {
		return usageError{fmt.Errorf("the key of the CA's root is needed once: %w (hint: bring it from its safe, --ca-root-key FILE)", err)}
	}
	if err != nil {
		return err
	}
	chain, err := readChain(cfg.path("certs", caChainName))
	if err != nil {
		return err
	}
	made, err := newFulcioAuthority(chain[len(chain)-1], rootKey, key.Public(), now)
	if err != nil {
		return err
	}
	// Power fails here: the next call certifies the same key.
	_, err = replaceFile(cfg.path("certs", fulcioChainName), encodeChain(made))
	return err
}

// openRootKey opens the key of the CA's root: in a file that was brought from its
// safe, or where the deployment has it.
func openRootKey(ctx context.Context, cfg *Config, file string, password []byte) (crypto.Signer, error) {
	if file != "" {
		return keys.ReadEncrypted(file, password)
	}
	return cfg.openKey(ctx, cfg.path("keys"), cfg.place(keyCARoot), password)
}

// stageFulcio makes the key in the folder of a deployment that is being created,
// if its configuration wants the API.
func stageFulcio(ctx context.Context, dir string, cfg *Config, made map[string]crypto.Signer, password []byte) error {
	if cfg.Fulcio == nil {
		return nil
	}
	var err error
	made[keyFulcio], err = cfg.makeKey(ctx, filepath.Join(dir, "keys"), cfg.place(keyFulcio), password)
	return err
}
