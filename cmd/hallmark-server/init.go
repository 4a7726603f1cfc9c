// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/keys"
)

const (
	// configName is the configuration file's name inside --dir.
	configName = "hallmark.yaml"
	// passwordName and signingPolicyName are the files beside it that init
	// writes.
	passwordName      = "password"
	signingPolicyName = "signing-policy.yaml"
)

func initCommand() *cobra.Command {
	var dir, origin, registry, listen, admin, rootKeys string
	var kmsKeys []string
	cmd := &cobra.Command{
		Use: "init --dir DIR [--origin URL --registry HOST]", Short: "Create keys, database, log and trust material, once",
		Long: "Create what serve loads. With no hallmark.yaml in DIR, one is written from the flags, together with\n" +
			"a random password file and the example signing policy: read them before you serve.",
		Args: program.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needDir(cmd, dir); err != nil {
				return err
			}
			first := Config{Origin: origin, Listen: listen, Admin: admin, Registry: RegistryConfig{Host: registry}}
			var err error
			if first.Keys, err = parseKeyFlags(kmsKeys); err != nil {
				return usageError{err}
			}
			if err := ensureConfig(dir, first); err != nil {
				return err
			}
			cfg, err := openConfig(cmd, dir)
			if err != nil {
				return err
			}
			if err := sameDeployment(first, cfg); err != nil {
				return err
			}
			if err := cfg.checkRootKeys(rootKeys); err != nil {
				return err
			}
			cfg.rootKeys = rootKeys
			if err := initialise(cmd.Context(), cfg, time.Now()); err != nil {
				return err
			}
			if err := firstRepository(cmd.Context(), cfg); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "initialised\t%s\n", dir)
			printNextSteps(cmd.ErrOrStderr(), cfg)
			printRootSteps(cmd.ErrOrStderr(), cfg, rootKeys)
			return err
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&origin, "origin", "", "public URL of the service, e.g. https://hallmark.corp.example")
	cmd.Flags().StringVar(&registry, "registry", "", "host of the central registry, e.g. registry.corp.example")
	cmd.Flags().StringArrayVar(&kmsKeys, "kms", nil, "a key that is in a KMS: NAME=REFERENCE, e.g. ca=hashivault://hallmark-ca; may be repeated")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "public address")
	rootKeysFlag(cmd, &rootKeys)
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:8081", "private address of health and metrics")
	return cmd
}

func printNextSteps(w io.Writer, cfg *Config) {
	_, _ = fmt.Fprintf(w, "Next:\n"+
		"  1. move %s and %s to a safe (if they are in a KMS, lock them): serve does not need them\n"+
		"  2. name your CI systems in %s and your repositories in %s\n"+
		"  3. hallmark-server serve --dir %s\n",
		cfg.keyLabel(keyCARoot), cfg.keyLabel(keyTSARoot), cfg.path(configName), cfg.path(cfg.Policy), cfg.dir)
}

// ensureConfig writes the first configuration if there is none.
func ensureConfig(dir string, first Config) error {
	path := filepath.Join(dir, configName)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return nil // there is one, or reading it will say what is wrong
	}
	if first.Origin == "" || first.Registry.Host == "" {
		return usageError{fmt.Errorf("there is no %s yet: --origin and --registry are needed to write it", path)}
	}
	first.Password.File, first.Policy = passwordName, signingPolicyName
	if err := first.check(); err != nil {
		return usageError{err}
	}
	return writeFirstConfig(dir, first)
}

// sameDeployment refuses flags that an existing configuration contradicts:
// they would be ignored.
func sameDeployment(first Config, cfg *Config) error {
	for name, ref := range first.Keys {
		if cfg.Keys[name] != ref {
			return usageError{fmt.Errorf("--kms %s=%s: %s says %q (hint: change or remove one of them)", name, ref, cfg.path(configName), cfg.Keys[name])}
		}
	}
	for _, flag := range [][3]string{{"origin", first.Origin, cfg.Origin}, {"registry", first.Registry.Host, cfg.Registry.Host}} {
		if flag[1] != "" && flag[1] != flag[2] {
			return usageError{fmt.Errorf("--%s %s: %s says %s (hint: change or remove one of them)", flag[0], flag[1], cfg.path(configName), flag[2])}
		}
	}
	return nil
}

// writeFirstConfig writes a password, the example policy and, last,
// hallmark.yaml. None of them replaces an existing file: it may be the
// operator's, or that of an init that was interrupted here.
func writeFirstConfig(dir string, c Config) error {
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
  file: %s
policy: %s
identities:
- name: github
  provider: github
  issuer: https://token.actions.githubusercontent.com
  url: https://github.com
%ssigning:
  bundleLog: v1
  legacyTags: true
  verificationSummary: true
charts:
  pgpKey: file
log:
  writers: issued
`, c.Origin, c.Listen, c.Admin, c.Registry.Host, c.Password.File, c.Policy, quotasYAML()) + keysYAML(c.Keys)
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{passwordName, []byte(hex.EncodeToString(secret[:]) + "\n")},
		{signingPolicyName, policyfiles.SigningPolicy},
		{configName, []byte(text)},
	} {
		if err := writeNew(filepath.Join(dir, f.name), f.content); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("create deployment: %w", err)
		}
	}
	return nil
}

func (c *Config) password() ([]byte, error) {
	file := c.Password.File
	if file != "" {
		file = c.path(file)
	}
	return keys.ReadPassword(file, c.Password.Env)
}
