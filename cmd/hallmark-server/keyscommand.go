// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/signer/ca"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/tsa"
)

// leafLife is how long a certificate of an old authority may still be under way.
const leafLife = ca.LeafLife

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Rotate the service's keys, and see how far that is",
		Long: "A new key is published first, used when every client can know it, and the old one's window is ended when nothing\n" +
			"that it signed is under way. The service does that by itself while it runs; what was signed before stays valid.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("which command? (hint: %s --help)", cmd.CommandPath())}
		},
	}
	cmd.AddCommand(keysRotateCommand(), keysStatusCommand())
	return cmd
}

// rotateOptions are the flags of keys rotate.
type rotateOptions struct {
	host         string
	rootKey      string
	rootPassword string
	wait, keep   time.Duration
}

func keysRotateCommand() *cobra.Command {
	var dir string
	var o rotateOptions
	cmd := &cobra.Command{
		Use: "rotate --dir DIR " + strings.Join(keyKinds(), "|"), Short: "Begin to rotate a key",
		Long: "Begin to rotate a key; the running service goes on with it. `keys status` shows how far it is.\n" +
			"  ca, ct, tsa    a new key with a root of its own, or with --root-key under the present one\n" +
			"  v1, v2         the next log; a v2 log needs --host\n" +
			"  tuf-…          a second key that signs beside the first until the root's holders have named it\n" +
			"--wait shorter than a timestamp's life leaves clients behind that have not looked since: for a stolen key only.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(keyKinds(), args[0]) {
				return usageError{fmt.Errorf("%s takes one kind of key: %s", cmd.CommandPath(), strings.Join(keyKinds(), ", "))}
			}
			return nil
		},
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		if err := o.complete(cmd, cfg, args[0]); err != nil {
			return usageError{err}
		}
		r, err := beginRotation(cmd.Context(), cfg, args[0], o)
		if err != nil {
			return err
		}
		return printAs(*format, cmd.OutOrStdout(), r, func(w io.Writer) { printRotations(w, r) })
	}
	dirFlag(cmd, &dir)
	flags := cmd.Flags()
	flags.StringVar(&o.host, "host", "", "host name of the next v2 log; no other log has it")
	flags.StringVar(&o.rootKey, "root-key", "", "`file` of the present root's key, ca-root.key or tsa-root.key, to certify the new key with (default: a new root)")
	flags.StringVar(&o.rootPassword, "root-key-password", "", "`file` with its password (default: the deployment's)")
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
	case o.rootKey != "" && kind != kindCA && kind != kindTSA:
		return fmt.Errorf("--root-key is for ca and tsa: %s has no certificate", kind)
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
	if !isLogKind(kind) {
		if r.Key, err = cfg.nextKey(kind); err != nil {
			return nil, err
		}
		r.Replaces, r.Made = all.inUse(kind), now
		if _, online := tufRole(kind); online {
			if !exists(cfg.keyFile(kind)) && kind != tufKey("targets") {
				return nil, noError{fmt.Errorf("rotate %s: this deployment has no trust repository (hint: hallmark-server tuf init --dir %s)", kind, cfg.dir)}
			}
			r.Wait, r.Keep = 0, seconds(o.wait)
		}
		// Power fails in here: a key that nobody knows stays. The next call makes
		// another.
		if err := cfg.makeKey(kind, r, password, o, now); err != nil {
			return nil, err
		}
	}
	all.Rotations = append(all.Rotations, r)
	if err := all.write(cfg); err != nil {
		return nil, err
	}
	if _, online := tufRole(kind); online {
		return r, cfg.writeOnline(all, password)
	}
	return r, nil
}

// seconds rounds up: less than asked for would be a promise that is not kept.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// nextKey is the first of ca-2, ca-3 and so on that is free.
func (c *Config) nextKey(kind string) (string, error) {
	for n := 2; n < 1000; n++ {
		name := fmt.Sprintf("%s-%d", kind, n)
		if !exists(c.keyFile(name)) && !exists(c.chainFile(name)) && !exists(c.path("certs", name+".pub")) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no name is left for the next key of %s", kind)
}

// makeKey makes the key, and what says so to others: certificates, or the public
// half.
func (c *Config) makeKey(kind string, r *keyRotation, password []byte, o rotateOptions, now time.Time) error {
	key, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		return err
	}
	switch kind {
	case kindCA, kindTSA:
		chain, err := c.certifyNext(kind, r, key.Public(), password, o, now)
		if err != nil {
			return err
		}
		if err := writeNew(c.chainFile(r.Key), encodeChain(chain)); err != nil {
			return err
		}
	case kindCT:
		pem, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
		if err != nil {
			return err
		}
		if err := writeNew(c.path("certs", r.Key+".pub"), pem); err != nil {
			return err
		}
	}
	return keys.WriteEncrypted(c.keyFile(r.Key), key, password)
}

// certifyNext makes the chain of a new authority: under the present root, whose
// key comes out of its safe, or with a new root, whose key goes into one.
func (c *Config) certifyNext(kind string, r *keyRotation, public crypto.PublicKey, password []byte, o rotateOptions, now time.Time) ([]*x509.Certificate, error) {
	origin, err := url.Parse(c.Origin)
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	if o.rootKey != "" {
		return c.certifyUnder(kind, r, public, password, o, now)
	}
	rootKey, err := keys.Generate(keys.ECDSAP256)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	if kind == kindTSA {
		chain, err = tsa.NewCertificates(rootKey, public, tsa.Name{Organization: origin.Hostname(), CommonName: "Hallmark TSA " + r.Key}, now)
	} else {
		chain, err = newCAChain(rootKey, public, origin.Hostname(), r.Key, now)
	}
	if err != nil {
		return nil, err
	}
	return chain, keys.WriteEncrypted(c.keyFile(r.Key+"-root"), rootKey, password)
}

func newCAChain(rootKey crypto.Signer, public crypto.PublicKey, organisation, name string, now time.Time) ([]*x509.Certificate, error) {
	root, err := ca.NewRoot(rootKey, ca.Name{Organization: organisation, CommonName: "Hallmark root " + name}, now)
	if err != nil {
		return nil, err
	}
	issuing, err := ca.NewIntermediate(root, rootKey, public, ca.Name{Organization: organisation, CommonName: "Hallmark issuing CA " + name}, now)
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{issuing, root}, nil
}

func (c *Config) certifyUnder(kind string, r *keyRotation, public crypto.PublicKey, password []byte, o rotateOptions, now time.Time) ([]*x509.Certificate, error) {
	var err error
	if o.rootPassword != "" {
		if password, err = keys.ReadPassword(o.rootPassword, ""); err != nil {
			return nil, usageError{err}
		}
	}
	rootKey, err := keys.ReadEncrypted(o.rootKey, password)
	if err != nil {
		return nil, usageError{err}
	}
	present, err := readChain(c.chainFile(r.Replaces))
	if err != nil {
		return nil, err
	}
	root := present[len(present)-1]
	if cryptoutils.EqualKeys(root.PublicKey, rootKey.Public()) != nil {
		return nil, usageError{fmt.Errorf("--root-key %s is not the key of %q", o.rootKey, root.Subject.CommonName)}
	}
	organisation := strings.Join(root.Subject.Organization, " ")
	var leaf *x509.Certificate
	if kind == kindTSA {
		leaf, err = tsa.NewLeaf(root, rootKey, public, tsa.Name{Organization: organisation, CommonName: "Hallmark TSA " + r.Key}, now)
	} else {
		leaf, err = ca.NewIntermediate(root, rootKey, public, ca.Name{Organization: organisation, CommonName: "Hallmark issuing CA " + r.Key}, now)
	}
	if err != nil {
		return nil, err
	}
	return []*x509.Certificate{leaf, root}, nil
}

func keysStatusCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "status --dir DIR", Short: "Show the keys in use and every rotation", Args: noArguments,
	}
	format := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		all, err := readRotations(cfg)
		if err != nil {
			return err
		}
		answer := struct {
			InUse     map[string]string `json:"inUse"`
			Rotations []rotationState   `json:"rotations"`
		}{map[string]string{}, []rotationState{}}
		for _, kind := range keyKinds() {
			answer.InUse[kind] = all.inUse(kind)
		}
		for _, r := range all.Rotations {
			answer.Rotations = append(answer.Rotations, rotationState{r, r.phase(), r.next()})
		}
		return printAs(*format, cmd.OutOrStdout(), answer, func(w io.Writer) {
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "KIND\tIN USE")
			for _, kind := range keyKinds() {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", kind, answer.InUse[kind])
			}
			_ = table.Flush() // to the same place as all output
			printRotations(w, all.Rotations...)
		})
	}
	dirFlag(cmd, &dir)
	return cmd
}

// rotationState is a rotation as keys status prints it.
type rotationState struct {
	*keyRotation
	Phase string `json:"phase"`
	Next  string `json:"next,omitempty"`
}

func printRotations(w io.Writer, list ...*keyRotation) {
	if len(list) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ROTATION\tKEY\tREPLACES\tPHASE\tNEXT")
	for _, r := range list {
		replaces := r.Replaces
		if isLogKind(r.Kind) {
			replaces = "the log before"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Kind, orDash(r.Key), replaces, r.phase(), orDash(r.next()))
	}
	_ = table.Flush() // to the same place as all output
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
