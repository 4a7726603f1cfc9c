// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

const (
	// onlineName is the file in trust/ that the root's holders get: the public
	// keys of the roles that the server signs.
	onlineName = "tuf-online.json"
	// rootLife is how long the first root is believed, if init signs it.
	rootLife = 365 * 24 * time.Hour
	// The files that init leaves in --root-keys.
	rootKeyName      = "root.key"
	rootPasswordName = "root.password"
)

// createTUFKeys makes the keys of the online roles, or takes those of a KMS into
// use, and the empty list of revocations. dir is the deployment's folder, or the
// one that becomes it. Keys that an interrupted call made are kept.
func (c *Config) createTUFKeys(ctx context.Context, dir string, password []byte, now time.Time) error {
	for _, role := range tuf.OnlineRoles() {
		if _, err := c.adoptKey(ctx, filepath.Join(dir, "keys"), c.place(tufKey(role)), password); err != nil {
			return err
		}
	}
	there := &Config{dir: dir}
	all, err := readRotations(there)
	if err != nil {
		return err
	}
	if err := c.writeOnline(ctx, dir, all, password); err != nil {
		return err
	}
	if exists(there.path("trust", revocationsName)) {
		return nil
	}
	return there.writeRevocations(trustroot.Revocations{}.Reissued(now))
}

// writeOnline writes the file for the holders: of each role the key that is to
// sign, once the root names it.
func (c *Config) writeOnline(ctx context.Context, dir string, all *rotations, password []byte) error {
	doc := map[tuf.Role][]string{}
	for _, role := range tuf.OnlineRoles() {
		names := all.signing(role)
		public, err := c.publicHalf(ctx, filepath.Join(dir, "keys"), names[len(names)-1], password)
		if err != nil {
			return err
		}
		pem, err := cryptoutils.MarshalPublicKeyToPEM(public)
		if err != nil {
			return err
		}
		doc[role] = []string{string(pem)}
	}
	raw, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	_, err = replaceFile(filepath.Join(dir, "trust", onlineName), append(raw, '\n'))
	return err
}

// firstRepository makes the repository of a new deployment whose root is signed
// already; serve would do it as well.
func firstRepository(ctx context.Context, cfg *Config) error {
	if !exists(cfg.path("trust", tuf.RootName(1))) {
		return nil
	}
	password, err := cfg.password()
	if err != nil {
		return err
	}
	return newTender(cfg, password, slog.New(slog.DiscardHandler)).tend(ctx, time.Now())
}

// checkRootKeys wants a folder outside of the deployment: what is inside ends up
// in its backups, and on its machine for ever.
func (c *Config) checkRootKeys(dir string) error {
	if dir == "" {
		return nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	own, err := filepath.Abs(c.dir)
	if err != nil {
		return err
	}
	if rel, err := filepath.Rel(own, abs); err != nil || rel == "." || !strings.HasPrefix(rel, "..") {
		return usageError{fmt.Errorf("--root-keys %s is inside the deployment: root keys are kept elsewhere (hint: a removable disk)", dir)}
	}
	return nil
}

// signFirstRoot makes version 1 of the root with a single holder's key, which it
// leaves in dir. It may be repeated after an interruption.
func (c *Config) signFirstRoot(dir string, now time.Time) error {
	if exists(c.path("trust", tuf.RootName(1))) {
		return noError{fmt.Errorf("%s exists: its holders sign the next version (hint: hallmark root next)", c.path("trust", tuf.RootName(1)))}
	}
	key, err := ensureRootKey(dir)
	if err != nil {
		return fmt.Errorf("make root key: %w", err)
	}
	spec := tuf.Spec{Holders: []crypto.PublicKey{key.Public()}, Threshold: 1, Online: map[tuf.Role][]crypto.PublicKey{}, Expires: now.Add(rootLife)}
	if spec.Online, err = c.readOnline(); err != nil {
		return err
	}
	root, err := tuf.NewRoot(spec)
	if err != nil {
		return err
	}
	if _, err := root.Sign(key, nil); err != nil {
		return err
	}
	doc, err := root.Bytes()
	if err != nil {
		return err
	}
	if _, err := replaceFile(filepath.Join(dir, root.FileName()), doc); err != nil {
		return err
	}
	_, err = replaceFile(c.path("trust", root.FileName()), doc)
	return err
}

func (c *Config) readOnline() (map[tuf.Role][]crypto.PublicKey, error) {
	raw, err := readBounded(c.path("trust", onlineName), maxTrust)
	if err != nil {
		return nil, err
	}
	var doc map[tuf.Role][]string
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.path("trust", onlineName), err)
	}
	online := map[tuf.Role][]crypto.PublicKey{}
	for role, list := range doc {
		for _, pem := range list {
			key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(pem))
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", c.path("trust", onlineName), err)
			}
			online[role] = append(online[role], key)
		}
	}
	return online, nil
}

func ensureRootKey(dir string) (crypto.Signer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	passwordFile, keyFile := filepath.Join(dir, rootPasswordName), filepath.Join(dir, rootKeyName)
	if err := writeNew(passwordFile, []byte(rand.Text()+"\n")); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	password, err := keys.ReadPassword(passwordFile, "")
	if err != nil {
		return nil, err
	}
	if exists(keyFile) {
		return keys.ReadEncrypted(keyFile, password)
	}
	key, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		return nil, err
	}
	if err := keys.WriteEncrypted(keyFile, key, password); err != nil {
		return nil, err
	}
	pem, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		return nil, err
	}
	_, err = replaceFile(keyFile+".pub", pem)
	return key, err
}

func tufCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tuf", Short: "The trust repository",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(tufInitCommand())
	return cmd
}

func tufInitCommand() *cobra.Command {
	var dir, rootKeys string
	cmd := &cobra.Command{
		Use: "init --dir DIR [--root-keys FOLDER]", Short: "Give a deployment without a trust repository what one needs", Args: program.NoArguments,
		Long: "Make the online keys of the trust repository and trust/" + onlineName + " for the root's holders, as init does for a\n" +
			"new deployment. The service may run. With --root-keys also sign the first root, as init --root-keys does.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := openConfig(cmd, dir)
			if err != nil {
				return err
			}
			if err := cfg.checkRootKeys(rootKeys); err != nil {
				return err
			}
			password, err := cfg.password()
			if err != nil {
				return err
			}
			unlock, err := lockTrust(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			err = cfg.createTUFKeys(cmd.Context(), cfg.dir, password, time.Now())
			if err == nil && rootKeys != "" {
				err = cfg.signFirstRoot(rootKeys, time.Now())
			}
			unlock()
			if err != nil {
				return err
			}
			if err := newTender(cfg, password, slog.New(slog.DiscardHandler)).tend(cmd.Context(), time.Now()); err != nil {
				return err
			}
			printRootSteps(cmd.ErrOrStderr(), cfg, rootKeys)
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "initialised\t%s\n", cfg.path("trust", onlineName))
			return err
		},
	}
	dirFlag(cmd, &dir)
	rootKeysFlag(cmd, &rootKeys)
	return cmd
}

func rootKeysFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "root-keys", "", "`folder` outside of the deployment, to make the first root key in and sign the first root with it: for small deployments")
}

func printRootSteps(w io.Writer, cfg *Config, rootKeys string) {
	if rootKeys == "" {
		_, _ = fmt.Fprintf(w, "The root of trust is signed by its holders, elsewhere:\n"+
			"  hallmark root init --holder FILE… --threshold N --online %s\n"+
			"  hallmark root sign, by each; hallmark root publish --to %s\n", cfg.path("trust", onlineName), cfg.path("trust"))
		return
	}
	_, _ = fmt.Fprintf(w, "Move %s to a safe, and %s to another: they are the root of trust, and the service does not need them.\n"+
		"Clients get %s once, over a channel that they trust. Add holders with hallmark root next.\n",
		filepath.Join(rootKeys, rootKeyName), filepath.Join(rootKeys, rootPasswordName), cfg.path("trust", tuf.RootName(1)))
}
