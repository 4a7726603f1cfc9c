// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot/tuf"
)

const (
	// draftName is the root that is being signed, in the ceremony's folder.
	draftName = "root.draft.json"
	// maxRoot bounds files of the ceremony, bytes.
	maxRoot = 512 << 10
	// rootLife is how long a version of the root is believed: a ceremony a year
	// is practised, and one in five years has been forgotten.
	rootLife = 365 * 24 * time.Hour
	// rootPasswordVariable opens a holder's key file, if no file does.
	rootPasswordVariable = "HALLMARK_ROOT_PASSWORD"
)

func rootCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "root", Short: "The root of trust: make, sign and publish its versions",
		Long: "The root says which keys sign the trust repository (TUF). Several people hold its keys, offline, and a\n" +
			"threshold of them signs every version. A ceremony is a folder that goes from one to the next:\n" +
			"  hallmark root key alice.key                      each holder, once: writes alice.key and alice.key.pub\n" +
			"  hallmark root init --dir DIR --holder alice.key.pub … --threshold 2 --online tuf-online.json\n" +
			"  hallmark root sign --dir DIR --key alice.key     each holder\n" +
			"  hallmark root publish --dir DIR --to /var/lib/hallmark/trust\n" +
			"Later versions begin with `hallmark root next` instead of init.",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(rootKeyCommand(env), rootInitCommand(env), rootNextCommand(env), rootSignCommand(env),
		rootPublishCommand(env), rootShowCommand(env), rootVerifyCommand(env))
	return cmd
}

// ceremonyFlag adds --dir to a command.
func ceremonyFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "dir", ".", "folder of the ceremony: N.root.json and the draft")
}

func rootKeyCommand(env environment) *cobra.Command {
	var passwordFile string
	cmd := &cobra.Command{
		Use: "key FILE", Short: "Make a holder's key, encrypted, and FILE.pub beside it", Args: oneArgument("file"),
		Long: "Make the key of one holder of the root: FILE is encrypted with the password, FILE.pub is for the ceremony.\n" +
			"Keep FILE offline and its password apart from it. Nobody else needs either.",
		RunE: func(_ *cobra.Command, args []string) error {
			password, err := keys.ReadPassword(passwordFile, rootPasswordVariable)
			if err != nil {
				return usage("%w", err)
			}
			key, err := keys.Generate(keys.ECDSAP256)
			if err != nil {
				return err
			}
			if err := keys.WriteEncrypted(args[0], key, password); err != nil {
				return usage("%w", err)
			}
			pem, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
			if err != nil {
				return err
			}
			if err := os.WriteFile(args[0]+".pub", pem, 0o644); err != nil { //nolint:gosec // it is public
				return err
			}
			id, err := tuf.KeyID(key.Public())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.stdout, "%s\t%s\n", id, args[0]+".pub")
			return err
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "`file` with the password, mode 0600 (default: "+rootPasswordVariable+")")
	return cmd
}

// rootChanges are the flags of init and next.
type rootChanges struct {
	dir             string
	holders, leave  []string
	threshold       int
	online, expires string
}

func (c *rootChanges) spec(from tuf.Spec) (tuf.Spec, error) {
	for _, file := range c.holders {
		key, err := readPublic(file)
		if err != nil {
			return from, err
		}
		from.Holders = append(from.Holders, key)
	}
	for _, id := range c.leave {
		before := len(from.Holders)
		from.Holders = slices.DeleteFunc(from.Holders, func(key crypto.PublicKey) bool {
			known, err := tuf.KeyID(key)
			return err == nil && known == id
		})
		if len(from.Holders) == before {
			return from, usage("--remove-holder %s: no holder has this key id (hint: hallmark root show)", id)
		}
	}
	if c.threshold != 0 {
		from.Threshold = c.threshold
	}
	life, err := time.ParseDuration(c.expires)
	if err != nil || life <= 0 {
		return from, usage("--expires %q is not a duration like 8760h", c.expires)
	}
	from.Expires = time.Now().Add(life)
	if c.online != "" {
		if from.Online, err = readOnline(c.online); err != nil {
			return from, err
		}
	}
	return from, nil
}

func (c *rootChanges) write(env environment, root *tuf.Root) error {
	path := filepath.Join(c.dir, draftName)
	if _, err := os.Stat(path); err == nil {
		return usage("%s exists: a ceremony is under way (hint: publish it, or delete the draft)", path)
	}
	doc, err := root.Bytes()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	if err := os.WriteFile(path, doc, 0o644); err != nil { //nolint:gosec // it is public
		return err
	}
	printRoot(env.stderr, root, nil)
	_, err = fmt.Fprintf(env.stdout, "drafted\t%s\n", path)
	return err
}

func rootInitCommand(env environment) *cobra.Command {
	var c rootChanges
	cmd := &cobra.Command{
		Use: "init --dir DIR --holder FILE… --threshold N --online FILE", Short: "Draft version 1 of the root", Args: program.NoArguments,
		Long: "Draft version 1 of the root. --online is the file that hallmark-server init left in trust/: the public keys of\n" +
			"the roles that the server signs.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(c.holders) == 0 || c.threshold == 0 || c.online == "" {
				return usage("--holder, --threshold and --online are compulsory (hint: %s)", cmd.UseLine())
			}
			if chain, err := readChain(c.dir); err != nil {
				return err
			} else if len(chain) != 0 {
				return usage("%s has version %d already (hint: hallmark root next)", c.dir, len(chain))
			}
			spec, err := c.spec(tuf.Spec{})
			if err != nil {
				return err
			}
			root, err := tuf.NewRoot(spec)
			if err != nil {
				return usage("%w", err)
			}
			return c.write(env, root)
		},
	}
	ceremonyFlag(cmd, &c.dir)
	cmd.Flags().StringArrayVar(&c.holders, "holder", nil, "public key `file` of a holder; repeat it for each")
	cmd.Flags().IntVar(&c.threshold, "threshold", 0, "how many holders sign each version")
	cmd.Flags().StringVar(&c.online, "online", "", "`file` with the server's public keys: trust/tuf-online.json")
	cmd.Flags().StringVar(&c.expires, "expires", rootLife.String(), "how long this version is believed")
	return cmd
}

func rootNextCommand(env environment) *cobra.Command {
	var c rootChanges
	cmd := &cobra.Command{
		Use: "next --dir DIR [changes]", Short: "Draft the next version of the root", Args: program.NoArguments,
		Long: "Draft the next version: with a new end and otherwise as it was, or with other holders, another threshold, or\n" +
			"other keys of the server. A threshold of the old and one of the new holders sign it.",
		RunE: func(_ *cobra.Command, _ []string) error {
			chain, err := readChain(c.dir)
			if err != nil {
				return err
			}
			if len(chain) == 0 {
				return usage("%s has no 1.root.json (hint: hallmark root init; or copy the published versions here)", c.dir)
			}
			last := chain[len(chain)-1]
			spec, err := last.Spec()
			if err != nil {
				return err
			}
			if spec, err = c.spec(spec); err != nil {
				return err
			}
			root, err := last.Next(spec)
			if err != nil {
				return usage("%w", err)
			}
			return c.write(env, root)
		},
	}
	ceremonyFlag(cmd, &c.dir)
	cmd.Flags().StringArrayVar(&c.holders, "add-holder", nil, "public key `file` of a new holder; may be repeated")
	cmd.Flags().StringArrayVar(&c.leave, "remove-holder", nil, "key `id` of a holder who leaves; may be repeated")
	cmd.Flags().IntVar(&c.threshold, "threshold", 0, "how many holders sign, if that changes")
	cmd.Flags().StringVar(&c.online, "online", "", "`file` with the server's public keys, if they change: trust/tuf-online.json")
	cmd.Flags().StringVar(&c.expires, "expires", rootLife.String(), "how long this version is believed")
	return cmd
}

func readPublic(path string) (crypto.PublicKey, error) {
	raw, err := readRootFile(path)
	if err != nil {
		return nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(raw)
	if err != nil {
		return nil, usage("%s: %w (hint: hallmark root key writes FILE.pub)", path, err)
	}
	return key, nil
}

// readOnline reads the public keys of the server's roles: PEM by role.
func readOnline(path string) (map[tuf.Role][]crypto.PublicKey, error) {
	raw, err := readRootFile(path)
	if err != nil {
		return nil, err
	}
	var doc map[tuf.Role][]string
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, usage("%s: %w (hint: tuf-online.json of the server's trust/)", path, err)
	}
	online := map[tuf.Role][]crypto.PublicKey{}
	for role, list := range doc {
		if !slices.Contains(tuf.OnlineRoles(), role) {
			return nil, usage("%s: %q is no role of the server", path, role)
		}
		for _, pem := range list {
			key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(pem))
			if err != nil {
				return nil, usage("%s: %s: %w", path, role, err)
			}
			online[role] = append(online[role], key)
		}
	}
	return online, nil
}

func readRootFile(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the holder names the file
	if err != nil {
		return nil, usage("%w", err)
	}
	defer func() { _ = f.Close() }() // only read
	raw, err := io.ReadAll(io.LimitReader(f, maxRoot+1))
	if err == nil && len(raw) > maxRoot {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxRoot)
	}
	return raw, err
}

// readChain reads and verifies all versions in a folder, from 1 on.
func readChain(dir string) ([]*tuf.Root, error) {
	var docs [][]byte
	for version := int64(1); ; version++ {
		path := filepath.Join(dir, tuf.RootName(version))
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			break
		}
		doc, err := readRootFile(path)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	if len(docs) == 0 {
		return nil, nil
	}
	chain, err := tuf.VerifyChain(docs)
	if err != nil {
		return nil, no("%s: %w", dir, err)
	}
	return chain, nil
}
