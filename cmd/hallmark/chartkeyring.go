// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

// maxKeyring bounds the public key ring, bytes.
const maxKeyring = 64 << 10

// fingerprintShape is an OpenPGP fingerprint of version 4.
var fingerprintShape = regexp.MustCompile(`^[0-9A-F]{40}$`)

// ringKey is a primary key of a key ring.
type ringKey struct {
	Fingerprint string   `json:"fingerprint"`
	UserIDs     []string `json:"userIDs"`
}

// keyring is what chart keyring prints as data.
type keyring struct {
	File    string    `json:"file,omitempty"`
	Keys    []ringKey `json:"keys"`
	Keyring []byte    `json:"keyring"` // binary, in base64
}

func chartKeyringCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keyring [--out pubring.gpg]", Short: "Get the public key ring of provenance files", Args: program.NoArguments,
		Long: "Get the service's OpenPGP public key ring, binary, for `helm verify --keyring`: on stdout, or with --out in a file.\n" +
			"Keep it where you verify, and look once, by another way, that its fingerprint is the right one: who believes what\n" +
			"a server says today believes the server. It is a target of the trust repository, too (pubring.gpg). It has every key\n" +
			"that signs, will sign soon, or has signed.",
	}
	key := cmd.Flags().String("key", "", "`fingerprint` of the one key to get, as rekor-cli wants it")
	server := cmd.Flags().String("server", "", "URL of the signing service (default: HALLMARK_URL)")
	out := cmd.Flags().String("out", "", "`file` to write the key ring to (default: stdout)")
	output := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		fingerprint := strings.ToUpper(strings.TrimPrefix(strings.Join(strings.Fields(*key), ""), "0x")) // gpg prints groups
		if *key != "" && !fingerprintShape.MatchString(fingerprint) {
			return usage("--key: want 40 hex digits, got %q (hint: the fingerprint, as gpg --fingerprint prints it)", *key)
		}
		if *out == "" && *output == program.FormatText && isTerminal(env.stdout) {
			return usage("the key ring is binary, and stdout is a terminal (hint: --out pubring.gpg)")
		}
		if err := canWrite("--out", *out); err != nil {
			return err
		}
		c, err := newClient(env, *server)
		if err != nil {
			return err
		}
		path := "/hallmark/v1/charts/keyring"
		if *key != "" {
			path += "?key=" + url.QueryEscape(fingerprint)
		}
		ring, err := c.read(cmd.Context(), path, maxKeyring)
		if err != nil {
			return err
		}
		// What a server sends is a key ring before it is kept.
		keys, err := ringKeys(ring)
		if err != nil {
			return fmt.Errorf("the service's answer is no OpenPGP key ring: %w", err)
		}
		if *out != "" {
			if err := os.WriteFile(*out, ring, 0o644); err != nil { //nolint:gosec // it is public
				return fmt.Errorf("write key ring: %w", err)
			}
		}
		return program.Print(*output, env.stdout, keyring{*out, keys, ring}, func(w io.Writer) {
			if *out == "" {
				_, _ = w.Write(ring)
				return
			}
			_, _ = fmt.Fprintf(w, "keyring\t%s\n", *out)
			for _, k := range keys {
				_, _ = fmt.Fprintf(w, "OpenPGP key\t%s\t%s\n", k.Fingerprint, program.Printable(strings.Join(k.UserIDs, ", ")))
			}
		})
	}
	return cmd
}

// ringKeys are the keys of a binary key ring, with their user IDs. It proves
// nothing about whose they are: people compare fingerprints.
func ringKeys(ring []byte) ([]ringKey, error) {
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(ring))
	if err != nil {
		return nil, err
	}
	var keys []ringKey
	for _, e := range entities {
		k := ringKey{Fingerprint: strings.ToUpper(hex.EncodeToString(e.PrimaryKey.Fingerprint)), UserIDs: []string{}}
		for id := range e.Identities {
			k.UserIDs = append(k.UserIDs, strings.ToValidUTF8(id, "�"))
		}
		slices.Sort(k.UserIDs)
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key")
	}
	return keys, nil
}
