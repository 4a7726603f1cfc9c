// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
)

// passphraseVariable holds the passphrase of a key to import, if no file does.
const passphraseVariable = "HALLMARK_IMPORT_PASSPHRASE"

func keysImportCommand() *cobra.Command {
	var dir, file, passphrase string
	cmd := &cobra.Command{
		Use: "import --dir DIR --file SECRET.asc " + kindCharts, Short: "Take over an OpenPGP key that signed charts before",
		Long: "Take over the secret key with which charts were signed before, so that its fingerprint stays and verifiers keep\n" +
			"their key ring. FILE is what gpg --export-secret-keys writes: one key, RSA of 3072 to 4096 bits or ECDSA P-256, whose\n" +
			"primary key signs. Its primary user id and expiry are kept, unless charts.userID and charts.expires say otherwise.\n" +
			"This is for a deployment without such a key; an imported one takes the place of another by keys rotate --import.\n" +
			"Afterwards put FILE into a safe, and stop to sign with it elsewhere.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != kindCharts {
				return usageError{fmt.Errorf("%s takes %s (hint: keys of other kinds are never imported: rotate them)", cmd.CommandPath(), kindCharts)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{fmt.Errorf("--file is compulsory (hint: %s)", cmd.UseLine())}
			}
			cfg, err := openConfig(cmd, dir)
			if err != nil {
				return err
			}
			fingerprint, err := importChartKey(cmd.Context(), cfg, file, passphrase, time.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "imported\t%s\nOpenPGP key\t%s\n", kindCharts, fingerprint)
			return err
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&file, "file", "", "`file` with the secret key, armoured or binary (compulsory)")
	cmd.Flags().StringVar(&passphrase, "passphrase", "", "`file` with its passphrase (default: the variable "+passphraseVariable+")")
	return cmd
}

// importedKey is a key that was made elsewhere, and what its certificate is to
// say.
type importedKey struct {
	key      keys.OpenPGPKey
	identity pgp.Identity
}

// readImport reads a secret key and says what of it is taken over. Nothing is
// written yet.
func (c *Config) readImport(file, passphrase string, now time.Time) (*importedKey, error) {
	content, err := readBounded(file, pgp.MaxSecret)
	if err != nil {
		return nil, usageError{fmt.Errorf("read key to import: %w", err)}
	}
	defer clear(content)
	var words []byte
	if passphrase != "" || os.Getenv(passphraseVariable) != "" {
		if words, err = keys.ReadPassword(passphrase, passphraseVariable); err != nil {
			return nil, usageError{err}
		}
		defer clear(words)
	}
	secret, err := pgp.ReadSecret(content, words, now)
	switch {
	case errors.Is(err, pgp.ErrPassphrase):
		return nil, usageError{fmt.Errorf("import %s: %w (hint: --passphrase FILE)", file, err)}
	case err != nil:
		return nil, noError{fmt.Errorf("import %s: %w", file, err)}
	}
	key, err := keys.NewOpenPGPKey(secret.Key)
	if err != nil {
		return nil, noError{fmt.Errorf("import %s: %w", file, err)}
	}
	id, err := c.chartIdentity(secret.Identity)
	if err != nil {
		return nil, err
	}
	if err := id.Check(); err != nil {
		return nil, noError{fmt.Errorf("import %s: %w (hint: charts.userID gives it another one, the fingerprint stays)", file, err)}
	}
	if !id.Expires.IsZero() && !id.Expires.After(now) {
		return nil, noError{fmt.Errorf("import %s: the key has expired at %s (hint: charts.expires with a later day, or %s, renews it; the fingerprint stays)", file, id.Expires.Format(time.RFC3339), neverExpires)}
	}
	return &importedKey{key, id}, nil
}

// importChartKey makes a key from elsewhere the first OpenPGP key.
func importChartKey(ctx context.Context, cfg *Config, file, passphrase string, now time.Time) (fingerprint string, err error) {
	switch {
	case cfg.Charts.PGPKey != inFile:
		return "", usageError{fmt.Errorf("import %s: charts.pgpKey of %s is %q, and a key is imported into a file (hint: pgpKey: file)", kindCharts, cfg.path(configName), cfg.Charts.PGPKey)}
	case !exists(cfg.path("keys")):
		return "", noError{fmt.Errorf("there is no deployment in %s yet (hint: hallmark-server init --dir %s, without charts.pgpKey in %s)", cfg.dir, cfg.dir, configName)}
	}
	imported, err := cfg.readImport(file, passphrase, now)
	if err != nil {
		return "", err
	}
	password, err := cfg.password()
	if err != nil {
		return "", err
	}
	unlock, err := lockTrust(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer unlock()
	p := cfg.chartPlace()
	if exists(p.keyIn(cfg.path("keys"))) || exists(p.pinIn(cfg.path("keys"))) {
		return "", noError{fmt.Errorf("import %s: there is a key already (hint: hallmark-server keys rotate %s --import %s --dir %s puts the other one in its place)", kindCharts, kindCharts, file, cfg.dir)}
	}
	// The certificate first: a key without one would be given another time of
	// birth, and another fingerprint. A certificate without a key is nobody's.
	if err := cfg.storeImport(ctx, keyCharts, imported, password); err != nil {
		return "", err
	}
	all, err := readRotations(cfg)
	if err != nil {
		return "", err
	}
	if err := cfg.publishChartRing(cfg.dir, all); err != nil {
		return "", err
	}
	return chartFingerprint(cfg, keyCharts), nil
}

// storeImport writes certificate, key and pin, in this order.
func (c *Config) storeImport(ctx context.Context, name string, imported *importedKey, password []byte) error {
	if err := writeChartCertificate(c.dir, name, imported.key, imported.identity); err != nil {
		return err
	}
	key, err := c.adoptPGP(ctx, c.path("keys"), c.place(name), password, func() (keys.OpenPGPKey, error) { return imported.key, nil })
	if err != nil {
		return err
	}
	if !keys.Equal(key.Public(), imported.key.Public()) {
		return fmt.Errorf("import %s: %w", name, keys.ErrOtherKey)
	}
	return nil
}

// makeNextChartKey makes the OpenPGP key of a rotation, or takes one over.
func (c *Config) makeNextChartKey(ctx context.Context, r *keyRotation, password []byte, o rotateOptions, now time.Time) error {
	// Of before there were rotations: the first certificate is in the ring alone.
	first, err := readChartCertificate(c.dir, keyCharts)
	if err != nil {
		return fmt.Errorf("OpenPGP key of charts: %w", err)
	}
	if _, err := replaceFile(chartCertificate(c.dir, keyCharts), first.Ring()); err != nil {
		return err
	}
	if o.imported != "" {
		if ref := c.place(r.Key).reference; ref != "" {
			return usageError{fmt.Errorf("rotate %s: keys.%s of %s is %s, and a key is imported into a file", r.Kind, r.Key, configName, ref)}
		}
		imported, err := c.readImport(o.imported, o.passphrase, now)
		if err != nil {
			return err
		}
		if err := c.refuseKnownChartKey(imported.key, r); err != nil {
			return err
		}
		return c.storeImport(ctx, r.Key, imported, password)
	}
	key, err := c.adoptPGP(ctx, c.path("keys"), c.place(r.Key), password, c.newChartKey)
	if err != nil {
		return err
	}
	if err := c.refuseKnownChartKey(key, r); err != nil {
		return err
	}
	says := pgp.Identity{Created: now}
	if before, err := readChartCertificate(c.dir, r.Replaces); err == nil {
		says.UserID = before.Identity().UserID
	}
	id, err := c.chartIdentity(says)
	if err != nil {
		return err
	}
	return writeChartCertificate(c.dir, r.Key, key, id)
}

// refuseKnownChartKey refuses a key that signs or has signed already. By another
// birth it would be another key for OpenPGP, and a thief of one has both.
func (c *Config) refuseKnownChartKey(key keys.OpenPGPKey, r *keyRotation) error {
	all, err := readRotations(c)
	if err != nil {
		return err
	}
	list, err := c.chartCertificates(c.dir, all)
	if err != nil {
		return err
	}
	for _, certificate := range list {
		if keys.Equal(certificate.Public(), key.Public()) {
			return usageError{fmt.Errorf("rotate %s: it is the same key as %s, which signs or has signed already (hint: make another one)", r.Kind, certificate.Fingerprint())}
		}
	}
	return nil
}
