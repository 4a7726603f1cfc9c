// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

func fulcioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "fulcio", Short: "The authority of the Fulcio API",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(fulcioEnableCommand())
	return cmd
}

func fulcioEnableCommand() *cobra.Command {
	var dir, rootKey string
	cmd := &cobra.Command{
		Use: "enable --dir DIR [--ca-root-key FILE]", Short: "Make the authority for certificates on request and publish it", Args: program.NoArguments,
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
	if err := publishLocked(ctx, cfg, rows, now); err != nil {
		return err
	}
	// Clients of the trust repository learn of it here, before the service starts.
	return newTender(cfg, password, slog.New(slog.DiscardHandler)).tend(ctx, now)
}

// publishLocked is publishTrust for a command.
func publishLocked(ctx context.Context, cfg *Config, rows []tlog.LogRow, now time.Time) error {
	unlock, err := lockTrust(ctx, cfg)
	if err != nil {
		return err
	}
	defer unlock()
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
	root, rootName, err := cfg.presentRoot()
	if err != nil {
		return err
	}
	rootKey, err := openRootKey(ctx, cfg, rootKeyFile, rootName, password)
	if errors.Is(err, os.ErrNotExist) {
		return usageError{fmt.Errorf("the key of the CA's root is needed once: %w (hint: bring it from its safe, --ca-root-key FILE)", err)}
	}
	if err != nil {
		return err
	}
	if !keys.Equal(rootKey.Public(), root.PublicKey) {
		return usageError{fmt.Errorf("this is not the key of %q, the CA's root now (hint: --ca-root-key, with the file of %s)", root.Subject.CommonName, rootName)}
	}
	made, err := newFulcioAuthority(root, rootKey, key.Public(), now)
	if err != nil {
		return err
	}
	// Power fails here: the next call certifies the same key.
	_, err = replaceFile(cfg.path("certs", fulcioChainName), encodeChain(made))
	return err
}

// presentRoot is the root of the CA that signs now, and the name of its key: a
// rotation of the CA may have brought a new one.
func (c *Config) presentRoot() (*x509.Certificate, string, error) {
	all, err := readRotations(c)
	if err != nil {
		return nil, "", err
	}
	chain, err := readChain(c.chainFile(all.inUse(kindCA)))
	if err != nil {
		return nil, "", err
	}
	root := chain[len(chain)-1]
	for _, name := range all.chains(kindCA) {
		other, err := readChain(c.chainFile(name))
		if err != nil {
			return nil, "", err
		}
		if other[len(other)-1].Equal(root) {
			return root, name + "-root", nil
		}
	}
	return root, keyCARoot, nil
}

// openRootKey opens the key of the CA's root: in a file that was brought from its
// safe, or where the deployment has it.
func openRootKey(ctx context.Context, cfg *Config, file, name string, password []byte) (crypto.Signer, error) {
	if file != "" {
		return keys.ReadEncrypted(file, password)
	}
	return cfg.openOwn(ctx, name, password)
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
