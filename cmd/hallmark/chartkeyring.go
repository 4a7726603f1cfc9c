// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha1" //nolint:gosec // what OpenPGP's fingerprints are made with (RFC 9580, section 5.5.4.2)
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/internal/program"
)

const (
	// maxKeyring bounds the public key ring, bytes.
	maxKeyring = 64 << 10
	// maxRingPackets bounds the packets that are looked at.
	maxRingPackets = 1024
)

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
			"a server says today believes the server. It is a target of the trust repository, too (pubring.gpg).",
	}
	server := cmd.Flags().String("server", "", "URL of the signing service (default: HALLMARK_URL)")
	out := cmd.Flags().String("out", "", "`file` to write the key ring to (default: stdout)")
	output := program.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(env, *server)
		if err != nil {
			return err
		}
		ring, err := c.read(cmd.Context(), "/hallmark/v1/charts/keyring", maxKeyring)
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

// OpenPGP's packets, RFC 9580, section 5.
const (
	packetPublicKey = 6
	packetUserID    = 13
	keyVersion      = 4
)

var errPacket = errors.New("a packet is cut off, or of a form that key rings do not have")

// ringKeys are the primary keys of a binary key ring, with their user IDs. It
// proves nothing about them: people compare fingerprints.
func ringKeys(ring []byte) ([]ringKey, error) {
	var keys []ringKey
	for n := 0; len(ring) > 0; n++ {
		tag, body, rest, err := nextPacket(ring)
		switch {
		case err != nil:
			return nil, err
		case n == maxRingPackets:
			return nil, fmt.Errorf("it has more than %d packets", maxRingPackets)
		case tag == packetPublicKey && (len(body) == 0 || len(body) > 0xffff || body[0] != keyVersion):
			return nil, errors.New("it has a key of another version than 4")
		case tag == packetPublicKey:
			h := sha1.New() //nolint:gosec // see above
			h.Write([]byte{0x99})
			_ = binary.Write(h, binary.BigEndian, uint16(len(body))) //nolint:gosec // looked at above; a hash takes everything
			h.Write(body)
			keys = append(keys, ringKey{Fingerprint: strings.ToUpper(hex.EncodeToString(h.Sum(nil))), UserIDs: []string{}})
		case tag == packetUserID && len(keys) > 0:
			k := &keys[len(keys)-1]
			k.UserIDs = append(k.UserIDs, strings.ToValidUTF8(string(body), "�"))
		}
		ring = rest
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key")
	}
	return keys, nil
}

// nextPacket takes one packet off. Lengths that are not known when a packet
// begins are not for keys.
func nextPacket(b []byte) (tag byte, body, rest []byte, err error) {
	const isPacket, isNew = 0x80, 0x40
	if len(b) < 2 || b[0]&isPacket == 0 {
		return 0, nil, nil, errPacket
	}
	var header, length int
	if b[0]&isNew != 0 {
		tag = b[0] & 0x3f
		switch first := int(b[1]); {
		case first < 192:
			header, length = 2, first
		case first < 224 && len(b) > 2:
			header, length = 3, (first-192)<<8+int(b[2])+192
		case first == 255 && len(b) > 5 && binary.BigEndian.Uint32(b[2:]) <= maxKeyring:
			header, length = 6, int(binary.BigEndian.Uint32(b[2:]))
		default:
			return 0, nil, nil, errPacket
		}
	} else {
		tag = b[0] >> 2 & 0x0f
		switch b[0] & 3 {
		case 0:
			header, length = 2, int(b[1])
		case 1:
			if len(b) > 2 {
				header, length = 3, int(binary.BigEndian.Uint16(b[1:]))
			}
		case 2:
			if len(b) > 4 && binary.BigEndian.Uint32(b[1:]) <= maxKeyring {
				header, length = 5, int(binary.BigEndian.Uint32(b[1:]))
			}
		}
	}
	if header == 0 || length > len(b)-header {
		return 0, nil, nil, errPacket
	}
	return tag, b[header : header+length], b[header+length:], nil
}
