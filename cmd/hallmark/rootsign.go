// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

// ceremony is a draft and the version before it.
type ceremony struct {
	dir      string
	draft    *tuf.Root
	previous *tuf.Root // nil before version 1
}

func openCeremony(dir string) (*ceremony, error) {
	chain, err := readChain(dir)
	if err != nil {
		return nil, err
	}
	c := &ceremony{dir: dir}
	if len(chain) > 0 {
		c.previous = chain[len(chain)-1]
	}
	path := filepath.Join(dir, draftName)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, usage("%s has no draft (hint: hallmark root init, or next)", dir)
	}
	doc, err := readRootFile(path)
	if err != nil {
		return nil, err
	}
	if c.draft, err = tuf.ParseRoot(doc); err != nil {
		return nil, no("%s: %w", path, err)
	}
	version := int64(1)
	if c.previous != nil {
		version = c.previous.Version() + 1
	}
	if c.draft.Version() != version {
		return nil, no("%s is version %d, the next one here is %d", path, c.draft.Version(), version)
	}
	return c, nil
}

func rootSignCommand(env environment) *cobra.Command {
	var dir, keyFile, passwordFile string
	cmd := &cobra.Command{
		Use: "sign --dir DIR --key FILE", Short: "Sign the draft as one holder", Args: program.NoArguments,
		Long: "Sign the draft as one holder. What is signed is printed: compare the key ids with those that the holders and the\n" +
			"server's operator read out, before you pass the folder on.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if keyFile == "" {
				return usage("--key is compulsory (hint: %s)", cmd.UseLine())
			}
			c, err := openCeremony(dir)
			if err != nil {
				return err
			}
			password, err := keys.ReadPassword(passwordFile, rootPasswordVariable)
			if err != nil {
				return usage("%w", err)
			}
			key, err := keys.ReadEncrypted(keyFile, password)
			if err != nil {
				return usage("%w", err)
			}
			id, err := c.draft.Sign(key, c.previous)
			if errors.Is(err, tuf.ErrNotHolder) {
				return no("%w", err)
			}
			if err != nil {
				return err
			}
			doc, err := c.draft.Bytes()
			if err != nil {
				return err
			}
			if err := replace(filepath.Join(dir, draftName), doc); err != nil {
				return err
			}
			printRoot(env.stderr, c.draft, c.previous)
			_, err = fmt.Fprintf(env.stdout, "signed\t%s\tversion %d\n", id, c.draft.Version())
			return err
		},
	}
	ceremonyFlag(cmd, &dir)
	cmd.Flags().StringVar(&keyFile, "key", "", "the holder's key `file` (compulsory)")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "`file` with its password, mode 0600 (default: "+rootPasswordVariable+")")
	return cmd
}

// replace gives a file its content in one step.
func replace(path string, content []byte) error {
	draft := path + ".new"
	if err := os.WriteFile(draft, content, 0o644); err != nil { //nolint:gosec // it is public
		return err
	}
	return os.Rename(draft, path)
}

func rootPublishCommand(env environment) *cobra.Command {
	var dir, to string
	cmd := &cobra.Command{
		Use: "publish --dir DIR [--to FOLDER]", Short: "Verify the signed draft and make it the next version", Args: program.NoArguments,
		Long: "Verify that enough holders have signed the draft and make it N.root.json. --to copies all versions to the server's\n" +
			"trust/ folder, where the server finds them within seconds; or copy them there by hand: the server verifies them again.",
		RunE: func(_ *cobra.Command, _ []string) error {
			c, err := openCeremony(dir)
			if err != nil {
				return err
			}
			if err := c.draft.Verify(c.previous); err != nil {
				return no("%w (hint: hallmark root show --dir %s)", err, dir)
			}
			if !c.draft.Expires().After(time.Now()) {
				return no("the draft expired on %s (hint: begin again with a later --expires)", c.draft.Expires().Format(time.RFC3339))
			}
			if err := c.checkFolder(to); err != nil {
				return err
			}
			final := filepath.Join(dir, c.draft.FileName())
			if err := os.Rename(filepath.Join(dir, draftName), final); err != nil {
				return err
			}
			if to != "" {
				for version := int64(1); version <= c.draft.Version(); version++ {
					doc, err := readRootFile(filepath.Join(dir, tuf.RootName(version)))
					if err != nil {
						return err
					}
					if err := replace(filepath.Join(to, tuf.RootName(version)), doc); err != nil {
						return err
					}
				}
			}
			_, err = fmt.Fprintf(env.stdout, "published\t%s\n", final)
			return err
		},
	}
	ceremonyFlag(cmd, &dir)
	cmd.Flags().StringVar(&to, "to", "", "`folder` trust/ of the deployment, to copy all versions to")
	return cmd
}

// checkFolder wants the folder of the deployment that this root is of: its
// versions are the beginning of ours.
func (c *ceremony) checkFolder(to string) error {
	if to == "" {
		return nil
	}
	if info, err := os.Stat(to); err != nil || !info.IsDir() {
		return usage("--to %s is not a folder (hint: trust/ of the deployment)", to)
	}
	there, err := readChain(to)
	if err != nil {
		return err
	}
	if int64(len(there)) > c.draft.Version() {
		return no("%s has version %d already", to, len(there))
	}
	for _, root := range there {
		theirs, err := readRootFile(filepath.Join(to, root.FileName()))
		if err != nil {
			return err
		}
		ours, err := readRootFile(filepath.Join(c.dir, root.FileName()))
		if err != nil || string(ours) != string(theirs) {
			return no("%s of %s is another one: that is another deployment, or another ceremony", root.FileName(), to)
		}
	}
	return nil
}

func rootShowCommand(env environment) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "show [--dir DIR] [FILE]", Short: "Show a root: who holds it, who has signed", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%s takes one file, got %d", cmd.CommandPath(), len(args))
			}
			if len(args) == 1 {
				doc, err := readRootFile(args[0])
				if err != nil {
					return err
				}
				root, err := tuf.ParseRoot(doc)
				if err != nil {
					return no("%s: %w", args[0], err)
				}
				printRoot(env.stdout, root, nil)
				return nil
			}
			if c, err := openCeremony(dir); err == nil {
				printRoot(env.stdout, c.draft, c.previous)
				return nil
			}
			chain, err := readChain(dir)
			if err != nil {
				return err
			}
			if len(chain) == 0 {
				return no("%s has no root and no draft", dir)
			}
			printRoot(env.stdout, chain[len(chain)-1], nil)
			return nil
		},
	}
	ceremonyFlag(cmd, &dir)
	return cmd
}

func rootVerifyCommand(env environment) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "verify --dir DIR", Short: "Verify all versions of a root, from 1 on, as clients do", Args: program.NoArguments,
		RunE: func(_ *cobra.Command, _ []string) error {
			chain, err := readChain(dir)
			if err != nil {
				return err
			}
			if len(chain) == 0 {
				return no("%s has no 1.root.json", dir)
			}
			last := chain[len(chain)-1]
			if !last.Expires().After(time.Now()) {
				return no("version %d expired on %s (hint: hallmark root next, and publish it)", last.Version(), last.Expires().Format(time.RFC3339))
			}
			_, err = fmt.Fprintf(env.stdout, "verified\tversion %d\texpires %s\n", last.Version(), last.Expires().Format(time.RFC3339))
			return err
		},
	}
	ceremonyFlag(cmd, &dir)
	return cmd
}

// printRoot writes what a holder has to compare.
func printRoot(w io.Writer, root, previous *tuf.Root) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, "version\t%d\n", root.Version())
	_, _ = fmt.Fprintf(table, "expires\t%s\n", root.Expires().Format(time.RFC3339))
	_, _ = fmt.Fprintf(table, "threshold\t%d of %d holders\n", root.Threshold(), len(root.KeyIDs(tuf.RoleRoot)))
	signed := root.Signers(root)
	for _, id := range root.KeyIDs(tuf.RoleRoot) {
		_, _ = fmt.Fprintf(table, "holder\t%s\t%s\n", id, remarks(slices.Contains(signed, id), previous != nil && !slices.Contains(previous.KeyIDs(tuf.RoleRoot), id), ""))
	}
	if previous != nil {
		by := root.Signers(previous)
		for _, id := range previous.KeyIDs(tuf.RoleRoot) {
			if !slices.Contains(root.KeyIDs(tuf.RoleRoot), id) {
				_, _ = fmt.Fprintf(table, "holder\t%s\t%s\n", id, remarks(slices.Contains(by, id), false, "leaves"))
			}
		}
	}
	for _, role := range tuf.OnlineRoles() {
		for _, id := range root.KeyIDs(role) {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", role, id, remarks(false, previous != nil && !slices.Contains(previous.KeyIDs(role), id), ""))
		}
	}
	_ = table.Flush() // to the same place as all output
}

func remarks(signed, isNew bool, more string) string {
	var words []string
	if isNew {
		words = append(words, "new")
	}
	if more != "" {
		words = append(words, more)
	}
	if signed {
		words = append(words, "signed")
	}
	return strings.Join(words, ", ")
}
