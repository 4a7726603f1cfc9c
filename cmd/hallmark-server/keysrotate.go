// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/ca"
)

// leafLife is how long a certificate of an old authority may still be under way.
const leafLife = ca.LeafLife

// rotateOptions are the flags of keys rotate.
type rotateOptions struct {
	host         string
	rootKey      string
	rootPassword string
	wait, keep   time.Duration
	// imported is a secret key of OpenPGP, and passphrase the file with what opens
	// it.
	imported, passphrase string
}

func keysRotateCommand() *cobra.Command {
	var dir string
	var o rotateOptions
	cmd := &cobra.Command{
		Use: "rotate --dir DIR " + strings.Join(kindWords(), "|"), Short: "Begin to rotate a key",
		Long: "Begin to rotate a key; the running service goes on with it. `keys status` shows how far it is.\n" +
			"  ca, ca-fulcio, ct, tsa\n" +
			"                 a new key with a root of its own, or with --root-key under the present one\n" +
			"  v1, v2         the next log; a v2 log needs --host\n" +
			"  tuf-…          a second key that signs beside the first until the root's holders have named it\n" +
			"  charts-pgp     a new OpenPGP key of charts.algorithm, or with --import one that was made elsewhere; the old one\n" +
			"                 stays in the public key ring\n" +
			"  sign-NAME, attest-NAME\n" +
			"                 a new long-lived key of signing.keys; the old one signs beside it until --keep has passed\n" +
			"--wait shorter than a timestamp's life leaves clients behind that have not looked since: for a stolen key only.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !isKind(args[0]) {
				return usageError{fmt.Errorf("%s takes one kind of key: %s", cmd.CommandPath(), strings.Join(kindWords(), ", "))}
			}
			return nil
		},
	}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		if err := o.complete(cmd, cfg, args[0]); err != nil {
			return usageError{err}
		}
		if err := cfg.checkKind(args[0]); err != nil {
			return err
		}
		r, err := beginRotation(cmd.Context(), cfg, args[0], o)
		if err != nil {
			return err
		}
		return program.Print(*format, cmd.OutOrStdout(), r, func(w io.Writer) { printRotations(w, r) })
	}
	dirFlag(cmd, &dir)
	flags := cmd.Flags()
	flags.StringVar(&o.host, "host", "", "host name of the next v2 log; no other log has it")
	flags.StringVar(&o.rootKey, "root-key", "", "`file` of the present root's key, ca-root.key or tsa-root.key, to certify the new key with, or its name under keys if it is in a KMS (default: a new root)")
	flags.StringVar(&o.rootPassword, "root-key-password", "", "`file` with its password (default: the deployment's)")
	flags.StringVar(&o.imported, "import", "", "`file` with a secret OpenPGP key for charts-pgp, as gpg --export-secret-keys writes it (default: a new key)")
	flags.StringVar(&o.passphrase, "passphrase", "", "`file` with its passphrase (default: the variable "+passphraseVariable+")")
	flags.DurationVar(&o.wait, "wait", 0, "how long the key is published before it is used (default: tuf.rotationWait)")
	flags.DurationVar(&o.keep, "keep", 0, "how long after that the old key's window is ended (default: tuf.rotationKeep)")
	return cmd
}

func (o *rotateOptions) complete(cmd *cobra.Command, cfg *Config, kind string) error {
	if !cmd.Flags().Changed("wait") {
		o.wait = cfg.TUF.RotationWait
	}
	if !cmd.Flags().Changed("keep") {
		o.keep = max(cfg.TUF.RotationKeep, leafLife)
	}
	switch {
	case o.wait < 0 || o.keep < 0:
		return fmt.Errorf("--wait and --keep are not negative")
	case o.rootKey != "" && !hasCertificates(kind):
		return fmt.Errorf("--root-key is for ca, ca-fulcio and tsa: %s has no certificate", kind)
	case o.imported+o.passphrase != "" && kind != kindCharts:
		return fmt.Errorf("--import is for %s", kindCharts)
	case o.imported == "" && o.passphrase != "":
		return fmt.Errorf("--passphrase is that of a key to import (hint: --import FILE)")
	case isLogKind(kind):
		return checkAddFlags(kind, o.host)
	case o.host != "":
		return fmt.Errorf("--host is for v2 logs")
	}
	return nil
}

// beginRotation makes the key, certificates and the first line of the record.
func beginRotation(ctx context.Context, cfg *Config, kind string, o rotateOptions) (*keyRotation, error) {
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	r, err := recordRotation(ctx, cfg, password, kind, o)
	if err != nil {
		return nil, err
	}
	// What the service would do in a second: without one running, nobody would.
	if err := newTender(cfg, password, slog.New(slog.DiscardHandler)).tend(ctx, time.Now()); err != nil {
		return nil, fmt.Errorf("the rotation has begun and is not published yet (hint: hallmark-server keys status; the service tries again): %w", err)
	}
	all, err := readRotations(cfg)
	if err != nil {
		return nil, err
	}
	if now := all.underWay(kind); now != nil {
		r = now
	}
	return r, nil
}

func recordRotation(ctx context.Context, cfg *Config, password []byte, kind string, o rotateOptions) (*keyRotation, error) {
	unlock, err := lockTrust(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all, err := readRotations(cfg)
	if err != nil {
		return nil, err
	}
	if r := all.underWay(kind); r != nil {
		return nil, noError{fmt.Errorf("rotate %s: %s is %s already (hint: hallmark-server keys status --dir %s)", kind, kind, r.phase(), cfg.dir)}
	}
	now := time.Now().UTC().Truncate(time.Second)
	r := &keyRotation{Kind: kind, Host: o.host, Requested: now, Wait: seconds(o.wait), Keep: seconds(o.keep)}
	if r.ID, err = newOperationID(); err != nil {
		return nil, err
	}
	r.reached(thisOperator())
	if !isLogKind(kind) {
		if r.Key, err = cfg.nextKey(all, kind); err != nil {
			return nil, err
		}
		r.Replaces, r.Made = all.inUse(kind), now
		if _, online := tufRole(kind); online {
			if !cfg.hasKey(kind) && !exists(cfg.place(kind).pinIn(cfg.path("keys"))) { // that of targets may be in a safe
				return nil, noError{fmt.Errorf("rotate %s: this deployment has no trust repository (hint: hallmark-server tuf init --dir %s)", kind, cfg.dir)}
			}
			r.Wait, r.Keep = 0, seconds(o.wait)
		}
		if kind == kindCharts {
			r.Keep = 0 // nothing that it signed is under way
		}
		// Power fails in here: a key that nobody knows stays. The next call makes
		// another, or takes the same one of a KMS.
		if err := cfg.makeNext(ctx, kind, r, password, o, now); err != nil {
			return nil, err
		}
		r.reached(thisOperator())
	}
	all.Rotations = append(all.Rotations, r)
	if err := all.write(cfg); err != nil {
		return nil, err
	}
	if _, online := tufRole(kind); online {
		return r, cfg.writeOnline(ctx, cfg.dir, all, password)
	}
	return r, nil
}

// seconds rounds up: less than asked for would be a promise that is not kept.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// nextKey is the first of ca-2, ca-3 and so on that is free. A key that is in a
// KMS has been made beforehand, and is free until a rotation names it.
func (c *Config) nextKey(all *rotations, kind string) (string, error) {
	for n := 2; n < 1000; n++ {
		name := numberedKey(kind, n)
		p, dir := c.place(name), c.path("keys")
		named := slices.ContainsFunc(all.Rotations, func(r *keyRotation) bool { return r.Key == name })
		left := exists(p.keyIn(dir)) || exists(p.pinIn(dir)) || exists(c.chainFile(name)) || exists(chartCertificate(c.dir, name))
		if !named && (p.reference != "" || !left) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no name is left for the next key of %s", kind)
}
