// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// Whoever may write to the deployment's folder may revoke: the same people who
// may replace its keys and its policy. There is no way to do it over the
// network, so that there is no password and no API key that could be stolen.

func revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke", Short: "Take an artifact, an identity or a key out of circulation",
		Long: "What is revoked counts for nothing with every verifier that reads the trust repository, from its next look on, and the\n" +
			"service signs it no more. The running service publishes it within seconds.\n" +
			"The commands need nothing but the deployment's folder: there is no way over the network.",
		RunE: program.WhichCommand,
		// The flags are those of the commands below: an unknown word is said before an unknown flag.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
	}
	cmd.AddCommand(
		revokeKind(trustroot.RevokedDigest, "digest --dir DIR --reason TEXT sha256:HEX", "Revoke an artifact, whoever signed it and when"),
		revokeKind(trustroot.RevokedIdentity, "identity --dir DIR --reason TEXT [--since TIME] URI", "Revoke a workflow, a repository, or with /* all below"),
		revokeKind(trustroot.RevokedKey, "key --dir DIR --reason TEXT [--since TIME] FILE|sha256:HEX|HINT", "Revoke a key that signs, or a log's"),
		revokeListCommand(), revokeWithdrawCommand())
	return cmd
}

func revokeKind(kind trustroot.RevocationKind, use, short string) *cobra.Command {
	var dir, reason, since string
	cmd := &cobra.Command{
		Use: use, Short: short, Args: oneValue,
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now().UTC().Truncate(time.Second)
			r := trustroot.Revocation{Kind: kind, Value: args[0], Reason: reason, Revoked: now}
			if reason == "" {
				return usageError{fmt.Errorf("--reason is compulsory: the people whose deployment is denied read it (hint: %s)", cmd.UseLine())}
			}
			if since != "" {
				from, err := time.Parse(time.RFC3339, since)
				if err != nil {
					return usageError{fmt.Errorf("--since %q is not a time like 2026-01-31T12:00:00Z", since)}
				}
				r.Since = &from
			}
			if kind == trustroot.RevokedKey {
				var err error
				if r.Value, err = keyValue(args[0]); err != nil {
					return usageError{err}
				}
			}
			if err := r.Check(); err != nil {
				return usageError{err}
			}
			err := changeRevocations(cmd, dir, now, revocationEvent(r), func(list trustroot.Revocations) error {
				_, err := list.With(r, now)
				return err
			})
			if errors.Is(err, trustroot.ErrRevoked) {
				return noError{err}
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "revoked\t%s\t%s\n", r.Kind, r.Value)
			return err
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the people whose deployment is denied (compulsory)")
	if kind != trustroot.RevokedDigest {
		cmd.Flags().StringVar(&since, "since", "", "`time` from which on signatures do not count, e.g. 2026-01-31T12:00:00Z (default: none counts)")
	}
	return cmd
}

func oneValue(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("%s takes one value (hint: %s)", cmd.CommandPath(), cmd.UseLine())}
	}
	return nil
}

// keyValue takes a key's name as people have it: a PEM file, the SHA-256 of its
// SubjectPublicKeyInfo, or the same in base64, as bundles hint at it.
func keyValue(value string) (string, error) {
	if strings.HasPrefix(value, "sha256:") {
		return value, nil
	}
	if raw, err := base64.StdEncoding.DecodeString(value); err == nil && len(raw) == sha256.Size {
		return "sha256:" + hex.EncodeToString(raw), nil
	}
	key, err := readPublicKey(value)
	if err != nil {
		return "", fmt.Errorf("key %s: %w (hint: a PEM public key, sha256:HEX, or the hint of a bundle)", value, err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// revocationEvent is what the audit says of a revocation.
func revocationEvent(r trustroot.Revocation) signer.AuditEvent {
	ev := signer.AuditEvent{Action: signer.ActionRevoke, Operation: &signer.Operation{Kind: string(r.Kind), Value: r.Value, Reason: r.Reason}}
	if r.Since != nil {
		ev.Operation.Since = r.Since.Format(time.RFC3339)
	}
	return ev
}

// changeRevocations changes the list, as ev says, and publishes it. check is
// asked before anything is written.
func changeRevocations(cmd *cobra.Command, dir string, now time.Time, ev signer.AuditEvent, check func(trustroot.Revocations) error) error {
	cfg, err := openConfig(cmd, dir)
	if err != nil {
		return err
	}
	password, err := cfg.password()
	if err != nil {
		return err
	}
	if err := storeRevocations(cmd.Context(), cfg, now, ev, check); err != nil {
		return err
	}
	err = newTender(cfg, password, slog.New(slog.DiscardHandler)).tend(cmd.Context(), now)
	if err != nil {
		return fmt.Errorf("the service keeps to it, and verifiers do not know yet (the service tries again): %w", err)
	}
	if roots, err := cfg.readTrustRoots(); err == nil && len(roots) == 0 {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "This deployment has no trust repository: give %s to every verifier (hint: hallmark-server tuf init)\n", cfg.path("trust", revocationsName))
	}
	return nil
}

// storeRevocations writes down what is done, by whom and why, and does it.
func storeRevocations(ctx context.Context, cfg *Config, now time.Time, ev signer.AuditEvent, check func(trustroot.Revocations) error) error {
	unlock, err := lockTrust(ctx, cfg)
	if err != nil {
		return err
	}
	defer unlock()
	// What an earlier command was kept from comes first.
	if err := cfg.finishRevocation(now); err != nil {
		return err
	}
	list, err := cfg.readRevocations()
	if err != nil {
		return err
	}
	if err := check(list); err != nil {
		return err
	}
	// Not before the list that it changes, should the clock have been set back.
	if now.Before(list.Issued) {
		now = list.Issued
	}
	if ev, err = named(ev, now); err != nil {
		return err
	}
	if ev.Decision = signer.DecisionRevocation; ev.Operation.Kind == string(trustroot.RevokedDigest) {
		ev.Digest = ev.Operation.Value
	}
	written, err := readOperations(cfg)
	if err != nil {
		return err
	}
	if err := written.add(cfg, ev); err != nil {
		return err
	}
	// Power fails here: the next look does it.
	return cfg.finishRevocation(now)
}

func revokeListCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{Use: "list --dir DIR", Short: "List what is revoked", Args: program.NoArguments}
	format := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := openConfig(cmd, dir)
		if err != nil {
			return err
		}
		list, err := cfg.readRevocations()
		if err != nil {
			return err
		}
		return program.Print(*format, cmd.OutOrStdout(), list, func(w io.Writer) {
			table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "KIND\tVALUE\tREVOKED\tSINCE\tREASON")
			for _, r := range list.Revocations {
				since := "-"
				if r.Since != nil {
					since = r.Since.Format(time.RFC3339)
				}
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Kind, r.Value, r.Revoked.Format(time.RFC3339), since, r.Reason)
			}
			_ = table.Flush() // to the same place as all output
		})
	}
	dirFlag(cmd, &dir)
	return cmd
}

func revokeWithdrawCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "withdraw --dir DIR digest|identity|key VALUE", Short: "Withdraw a revocation that was a mistake",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("%s takes kind and value (hint: %s)", cmd.CommandPath(), cmd.UseLine())}
			}
			if !slices.Contains([]string{string(trustroot.RevokedDigest), string(trustroot.RevokedIdentity), string(trustroot.RevokedKey)}, args[0]) {
				return usageError{fmt.Errorf("%q is no kind of revocation (hint: digest, identity or key)", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			now := time.Now().UTC().Truncate(time.Second)
			ev := signer.AuditEvent{Action: signer.ActionWithdraw, Operation: &signer.Operation{Kind: args[0], Value: args[1]}}
			err := changeRevocations(cmd, dir, now, ev, func(list trustroot.Revocations) error {
				if _, found := list.Without(trustroot.RevocationKind(args[0]), args[1], now); !found {
					return noError{fmt.Errorf("%s %s is not revoked (hint: hallmark-server revoke list --dir %s)", args[0], args[1], dir)}
				}
				return nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "withdrawn\t%s\t%s\n", args[0], args[1])
			return err
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}
