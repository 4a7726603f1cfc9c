// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/dsse"

	"github.com/hallmark-dev/hallmark/attest"
)

// What lies under a legacy tag (cosign's sha256-<hex>.sig and .att) and was made by a key carries nothing but the
// signature: no certificate, and often no log entry. So it is proven who has signed, and neither when nor that it
// is public. No policy accepts that, and no fact is made of it: these functions are for showing what is attached.

// LegacySignatureByKey checks that the holder of the key has signed the simple signing document, and that it names
// the artifact. The error is a *Refusal.
func (c *Crypto) LegacySignatureByKey(digest attest.Digest, document, sig []byte, key Key) error {
	if err := c.legacyNotRevoked(digest, key); err != nil {
		return err
	}
	ways, err := key.legacyVerifiers()
	if err != nil {
		return refuse(ReasonUnverified, "%w", err)
	}
	for _, way := range ways {
		if err = way.VerifySignature(bytes.NewReader(sig), bytes.NewReader(document)); err == nil {
			break
		}
	}
	if err != nil {
		return refuse(ReasonUnverified, "not signed with key %s", key.Hint())
	}
	var signed struct {
		Critical struct {
			Image struct {
				Digest attest.Digest `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(document, &signed); err != nil {
		return refuse(ReasonMalformed, "no simple signing document: %w", err)
	}
	if signed.Critical.Image.Digest != digest {
		return refuse(ReasonOtherArtifact, "it is about another artifact")
	}
	return nil
}

// LegacyAttestationByKey is the same for a DSSE envelope. It returns the statement that it holds.
func (c *Crypto) LegacyAttestationByKey(digest attest.Digest, envelope []byte, key Key) (attest.Statement, error) {
	if err := c.legacyNotRevoked(digest, key); err != nil {
		return attest.Statement{}, err
	}
	ways, err := key.legacyVerifiers()
	if err != nil {
		return attest.Statement{}, refuse(ReasonUnverified, "%w", err)
	}
	for _, way := range ways {
		if err = dsse.WrapVerifier(way).VerifySignature(bytes.NewReader(envelope), nil); err == nil {
			break
		}
	}
	if err != nil {
		return attest.Statement{}, refuse(ReasonUnverified, "not signed with key %s", key.Hint())
	}
	var e struct {
		Type    string `json:"payloadType"`
		Payload []byte `json:"payload"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil || e.Type != attest.PayloadType {
		return attest.Statement{}, refuse(ReasonMalformed, "not an envelope of %s", attest.PayloadType)
	}
	st, err := attest.ParseStatement(e.Payload)
	if err != nil {
		return attest.Statement{}, refuse(ReasonStatement, "%w", err)
	}
	if !st.Binds(digest) {
		return attest.Statement{}, refuse(ReasonOtherArtifact, "it is about another artifact")
	}
	return st, nil
}

// legacyNotRevoked: nothing proves the time of such a signature, so that a key that was revoked since some time is
// revoked.
func (c *Crypto) legacyNotRevoked(digest attest.Digest, key Key) error {
	if key.public == nil {
		return errors.New("verify legacy tag: no key given (hint: NewKey)")
	}
	if err := c.fresh(); err != nil {
		return err
	}
	blob, err := blobOf(digest)
	if err != nil {
		return err
	}
	if err := c.blobNotRevoked(blob); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(key.Hint())
	if err != nil {
		return err
	}
	if r, revoked := c.revocations.Key("sha256:"+hex.EncodeToString(raw), time.Time{}); revoked {
		return refuse(ReasonRevoked, "%s", r)
	}
	return nil
}

// legacyVerifiers are the ways in which signers in the field use a key of this kind under legacy tags, where the
// whole document is at hand.
func (k Key) legacyVerifiers() ([]signature.Verifier, error) {
	usual, err := signature.LoadDefaultVerifier(k.public)
	if err != nil {
		return nil, err
	}
	list := []signature.Verifier{usual}
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		prehashed, err := signature.LoadED25519phVerifier(public)
		if err != nil {
			return nil, err
		}
		list = append(list, prehashed)
	case *ecdsa.PublicKey:
		old, err := signature.LoadECDSAVerifier(public, crypto.SHA256)
		if err != nil {
			return nil, err
		}
		list = append(list, old)
	}
	return list, nil
}
