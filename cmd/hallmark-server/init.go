// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/signer/keys"
)

// configName is the configuration file's name inside --dir.
const configName = "hallmark.yaml"

// The keys of a deployment, by file name. The two roots sign once, in init, and
// belong in a safe from then on; serve does not open them.
const (
	keyCARoot  = "ca-root"
	keyCA      = "ca"
	keyCT      = "ct"
	keyLogV2   = "log-v2"
	keyTSARoot = "tsa-root"
	keyTSA     = "tsa"
)

func initCommand() *cobra.Command {
	var dir, origin, registry, listen, admin string
	cmd := &cobra.Command{
		Use: "init --dir DIR [--origin URL --registry HOST]", Short: "Create keys, database, log and trust material, once",
		Long: "Create what serve loads. With no hallmark.yaml in DIR, one is written from the flags, together with\n" +
			"a random password file and the example signing policy: read them before you serve.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := filepath.Join(dir, configName)
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				if origin == "" || registry == "" {
					return usageError{fmt.Errorf("there is no %s yet: --origin and --registry are needed to write it", path)}
				}
				if err := writeFirstConfig(dir, firstConfig{Origin: origin, Registry: registry, Listen: listen, Admin: admin}); err != nil {
					return err
				}
			}
			cfg, err := readConfig(path)
			if err != nil {
				return err
			}
			if err := initialise(cmd.Context(), cfg, time.Now()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "initialised\t%s\n", dir)
			printNextSteps(cmd.ErrOrStderr(), cfg)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the deployment")
	cmd.Flags().StringVar(&origin, "origin", "", "public URL of the service, e.g. https://hallmark.corp.example")
	cmd.Flags().StringVar(&registry, "registry", "", "host of the central registry, e.g. registry.corp.example")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "public address")
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:8081", "private address of health and metrics")
	_ = cmd.MarkFlagRequired("dir") // the flag exists
	return cmd
}

func printNextSteps(w io.Writer, cfg *Config) {
	_, _ = fmt.Fprintf(w, "Next:\n"+
		"  1. move %s and %s to a safe: serve does not need them\n"+
		"  2. name your CI systems in %s and your repositories in %s\n"+
		"  3. hallmark-server serve --dir %s\n",
		cfg.path("keys", keyCARoot+".key"), cfg.path("keys", keyTSARoot+".key"), cfg.path(configName), cfg.path(cfg.Policy), cfg.dir)
}

// firstConfig fills the configuration that init writes.
type firstConfig struct{ Origin, Registry, Listen, Admin string }

// writeFirstConfig writes hallmark.yaml, the example policy and a password.
// None of them replaces an existing file.
func writeFirstConfig(dir string, c firstConfig) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create deployment: %w", err)
	}
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("create password: %w", err)
	}
	text := fmt.Sprintf(`# Hallmark deployment. Every member is described in docs/OPERATIONS.md.
origin: %s
listen: %s
admin: %s
registry:
  host: %s
password:
  file: password
policy: signing-policy.yaml
identities:
- name: github
  provider: github
  issuer: https://token.actions.githubusercontent.com
  url: https://github.com
log:
  writers: issued
`, c.Origin, c.Listen, c.Admin, c.Registry)
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"password", []byte(hex.EncodeToString(secret[:]) + "\n")},
		{"signing-policy.yaml", policyfiles.SigningPolicy},
		{configName, []byte(text)},
	} {
		if err := writeNew(filepath.Join(dir, f.name), f.content); err != nil {
			return fmt.Errorf("create deployment: %w", err)
		}
	}
	return nil
}

// writeNew writes a file that must not exist yet, readable by its owner only.
func writeNew(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return f.Sync()
}

// initialise creates everything in a folder beside the deployment's and moves
// it into place, the database last: serve refuses to start without a database,
// so a crash here leaves nothing that looks finished.
func initialise(ctx context.Context, cfg *Config, now time.Time) error {
	if err := refuseExisting(cfg); err != nil {
		return err
	}
	password, err := cfg.password()
	if err != nil {
		return err
	}
	staging := cfg.path(".init")
	if err := os.RemoveAll(staging); err != nil { // left by an interrupted init
		return fmt.Errorf("initialise: %w", err)
	}
	for _, sub := range []string{"keys", "certs", "trust"} {
		if err := os.MkdirAll(filepath.Join(staging, sub), 0o700); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	made, err := generateKeys(filepath.Join(staging, "keys"), password)
	if err != nil {
		return err
	}
	if err := createTrust(staging, cfg, made, now); err != nil {
		return err
	}
	if err := createDatabase(ctx, staging, cfg, made); err != nil {
		return err
	}
	for _, name := range []string{"keys", "certs", "trust", databaseName} {
		if err := os.Rename(filepath.Join(staging, name), cfg.path(name)); err != nil {
			return fmt.Errorf("initialise: %w", err)
		}
	}
	return os.RemoveAll(staging) // the database's lock file
}

func refuseExisting(cfg *Config) error {
	for _, name := range []string{"keys", "certs", "trust", databaseName} {
		if _, err := os.Stat(cfg.path(name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("initialise: %s exists; a deployment is created once (hint: hallmark-server serve --dir %s)", cfg.path(name), cfg.dir)
		}
	}
	return nil
}

// generateKeys makes and stores every key of the deployment.
func generateKeys(dir string, password []byte) (map[string]crypto.Signer, error) {
	made := map[string]crypto.Signer{}
	for _, name := range []string{keyCARoot, keyCA, keyCT, keyLogV2, keyTSARoot, keyTSA} {
		key, err := keys.Generate(keys.ECDSAP256)
		if err != nil {
			return nil, err
		}
		if err := keys.WriteEncrypted(filepath.Join(dir, name+".key"), key, password); err != nil {
			return nil, err
		}
		made[name] = key
	}
	return made, nil
}

func (c *Config) password() ([]byte, error) {
	file := c.Password.File
	if file != "" {
		file = c.path(file)
	}
	return keys.ReadPassword(file, c.Password.Env)
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) != 0 {
		return usageError{fmt.Errorf("%s takes no arguments (hint: %s)", cmd.CommandPath(), cmd.UseLine())}
	}
	return nil
}
