// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Reading a PGP key ring means checking the signatures that its keys have made
// on themselves, with numbers as large as the format allows: a DSA key of ten
// kilobytes takes a quarter of a minute, one of fifty a quarter of an hour. So
// the packets are looked at one by one before Rekor's code sees them.

// Packet tags (RFC 9580 section 5).
const (
	tagSignature      = 2
	tagPublicKey      = 6
	tagMarker         = 10
	tagTrust          = 12
	tagUserID         = 13
	tagPublicSubkey   = 14
	tagUserAttribute  = 17
	tagPadding        = 21
	firstUncriticalID = 40
)

// maxPGPSignatures bounds the signatures of a key ring, and those beside each
// other in a signature. A key that has been signed by more people is larger than
// maxPart.
const maxPGPSignatures = 128

var (
	pgpBegin = []byte("-----BEGIN PGP")
	pgpEnd   = []byte("-----END PGP")
)

// checkPGPKey bounds what reading a public key ring takes. It splits armoured
// ones as Rekor does.
func checkPGPKey(content []byte) error {
	if !bytes.HasPrefix(content, pgpBegin) {
		return checkPackets(bytes.NewReader(content), isInKeyRing)
	}
	var message bytes.Buffer
	for line := range bytes.Lines(content) {
		message.Write(bytes.TrimRight(line, "\r\n"))
		message.WriteByte('\n')
		if !bytes.HasPrefix(line, pgpEnd) {
			continue
		}
		block, err := armor.Decode(&message)
		if err != nil {
			return fmt.Errorf("PGP key: %w", err)
		}
		if err := checkPackets(block.Body, isInKeyRing); err != nil {
			return err
		}
		message.Reset()
	}
	return nil
}

// checkPGPSignature bounds what reading a detached signature takes.
func checkPGPSignature(content []byte) error {
	if block, err := armor.Decode(bytes.NewReader(content)); err == nil {
		return checkPackets(block.Body, isInSignature)
	}
	return checkPackets(bytes.NewReader(content), isInSignature)
}

// checkProvenance bounds what reading a chart's provenance file takes.
func checkProvenance(content []byte) error {
	block, _ := clearsign.Decode(content)
	if block == nil {
		return nil // it says so itself
	}
	return checkPackets(block.ArmoredSignature.Body, isInSignature)
}

func isInSignature(tag uint8) bool { return tag == tagSignature || tag == tagMarker }

// isInKeyRing leaves out private keys, which are checked for being prime.
func isInKeyRing(tag uint8) bool {
	switch tag {
	case tagSignature, tagPublicKey, tagPublicSubkey, tagMarker, tagTrust, tagUserID, tagUserAttribute, tagPadding:
		return true
	}
	return tag >= firstUncriticalID
}

// checkPackets refuses packets of other kinds, too many signatures, and keys
// that take long.
func checkPackets(r io.Reader, allowed func(tag uint8) bool) error {
	packets, signatures := packet.NewOpaqueReader(r), 0
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("PGP packet: %w", err)
		}
		switch {
		case !allowed(p.Tag):
			return fmt.Errorf("a PGP packet with tag %d is not expected here", p.Tag)
		case p.Tag == tagSignature:
			if signatures++; signatures > maxPGPSignatures {
				return fmt.Errorf("more than %d PGP signatures", maxPGPSignatures)
			}
		case p.Tag == tagPublicKey || p.Tag == tagPublicSubkey:
			if err := checkPGPNumbers(p); err != nil {
				return err
			}
		}
	}
}

// checkPGPNumbers refuses a public key with which a check takes longer than with
// one of X.509: a large one, and one whose arithmetic is of the general kind.
// DSA would be refused as a signer anyway.
func checkPGPNumbers(p *packet.OpaquePacket) error {
	parsed, err := p.Parse()
	var unsupported pgperrors.UnsupportedError
	if errors.As(err, &unsupported) {
		return nil // skipped by all readers
	}
	if err != nil {
		return fmt.Errorf("PGP key: %w", err)
	}
	key, ok := parsed.(*packet.PublicKey)
	if !ok {
		return errors.New("a PGP key that is none")
	}
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoDSA:
		return errors.New("PGP keys of DSA are not accepted")
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits > maxRSABits {
			return fmt.Errorf("an RSA key of %d bits is larger than %d", bits, maxRSABits)
		}
	case packet.PubKeyAlgoECDSA:
		curve, err := key.Curve()
		if err != nil || (curve != packet.CurveNistP256 && curve != packet.CurveNistP384 && curve != packet.CurveNistP521) {
			return fmt.Errorf("PGP keys on curve %q are not accepted", curve)
		}
	}
	return nil
}
