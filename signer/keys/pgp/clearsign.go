// SPDX-License-Identifier: Apache-2.0

package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ErrSignature means that a signed text is not what was signed, or not by this
// key.
var ErrSignature = errors.New("the signature does not verify")

// ClearSign signs a text, at now: RFC 4880 section 7. What it returns has been
// verified with the public key ring, as others will. An expired key signs
// nothing.
func (k *Key) ClearSign(text string, now time.Time) ([]byte, error) {
	now = now.UTC().Truncate(time.Second)
	if birth := k.Identity().Created; now.Before(birth) {
		return nil, fmt.Errorf("the OpenPGP key %s was created at %s, and it is %s: nobody would believe the signature (hint: is the clock right?)",
			k.Fingerprint(), birth.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	if id := k.Identity(); !id.Expires.IsZero() && !now.Before(id.Expires) {
		return nil, fmt.Errorf("the OpenPGP key %s has expired at %s (hint: a later charts.expires, then hallmark-server keys create)", k.Fingerprint(), id.Expires.Format(time.RFC3339))
	}
	var signed bytes.Buffer
	signer := &asCrypto{Signer: k.signer}
	private, err := privateKey(signer, k.entity.PrimaryKey.CreationTime)
	if err != nil {
		return nil, err
	}
	w, err := clearsign.Encode(&signed, private, config(now))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := signer.instead(w.Close()); err != nil { // this is what signs
		return nil, fmt.Errorf("sign: %w", err)
	}
	block, _ := clearsign.Decode(signed.Bytes())
	if block == nil {
		return nil, errors.New("sign: what was signed is no clear-signed text")
	}
	raw, err := io.ReadAll(io.LimitReader(block.ArmoredSignature.Body, maxSignature))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	file, err := join(text, raw)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := k.Check(file, text, now); err != nil {
		return nil, fmt.Errorf("what was signed does not verify: %w", err)
	}
	return file, nil
}

// Check verifies a signed text with the public key ring: ErrSignature.
func (c *Certificate) Check(signed []byte, text string, now time.Time) error {
	block, rest := clearsign.Decode(signed)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%w: not one clear-signed text", ErrSignature)
	}
	if !bytes.Equal(bytes.TrimSpace(block.Plaintext), bytes.TrimSpace(asSigned(text, ""))) {
		return fmt.Errorf("%w: it is over another text", ErrSignature)
	}
	_, err := openpgp.CheckDetachedSignature(openpgp.EntityList{c.entity}, bytes.NewReader(block.Bytes), block.ArmoredSignature.Body, config(now))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// Rejoin puts a text and the armoured signature over it together again, as a log
// keeps it. What does not verify is ErrSignature.
func (c *Certificate) Rejoin(text string, armoured []byte, now time.Time) ([]byte, error) {
	block, err := armor.Decode(bytes.NewReader(armoured))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	raw, err := io.ReadAll(io.LimitReader(block.Body, maxSignature))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	signed, err := join(text, raw)
	if err != nil {
		return nil, err
	}
	return signed, c.Check(signed, text, now)
}

// maxSignature bounds a signature packet, bytes: RSA-4096 takes about 600.
const maxSignature = 8 << 10

// join writes a clear-signed text: the same bytes whenever it is called with the
// same signature. The armour has a checksum, which RFC 9580 calls unnecessary and
// which the library leaves out: GnuPG 2.2 reads on behind the end of an armour
// that has neither a checksum nor padding, as one in three has, and then says of
// a good signature that there is no valid data.
func join(text string, signature []byte) ([]byte, error) {
	p, err := packet.Read(bytes.NewReader(signature))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if _, ok := p.(*packet.Signature); !ok {
		return nil, fmt.Errorf("%w: a %T", ErrSignature, p)
	}
	var out bytes.Buffer
	out.WriteString("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n")
	out.Write(asSigned(text, "- "))
	out.WriteByte('\n')
	w, err := armor.EncodeWithChecksumOption(&out, "PGP SIGNATURE", nil, true)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(signature); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// asSigned is the text as a signature covers it (RFC 4880, section 7.1): without
// white space at the ends of lines. Before a dash that begins a line stands
// escape.
func asSigned(text, escape string) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines([]byte(text)) {
		body, ended := bytes.CutSuffix(line, []byte("\n"))
		if bytes.HasPrefix(body, []byte("-")) {
			out.WriteString(escape)
		}
		out.Write(bytes.TrimRight(body, " \t\r"))
		if ended {
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}
