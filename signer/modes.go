// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// What a rule grants is signed once in each of the rule's modes: with a
// certificate, which names the workflow, and with long-lived keys, for verifiers
// that know signers by their keys. All of it is one intent: every signature is
// made before any is kept, and all are logged and attached before the receipt.
//
// A mode is kept as text: "certificate", or "key:" and the name of the key.
const (
	modeCertificate = "certificate"
	modeKeyPrefix   = "key:"
)

// modesOf are the modes that were granted. A grant without any is a mistake.
func modesOf(terms policy.Terms) ([]string, error) {
	var modes []string
	if terms.Certificate {
		modes = append(modes, modeCertificate)
	}
	for _, name := range terms.Keys {
		modes = append(modes, modeKeyPrefix+name)
	}
	if len(modes) == 0 {
		return nil, errors.New("the grant has no mode to sign in")
	}
	return modes, nil
}

// byCertificate says whether one of the intent's signatures has a certificate.
// Intents of before there were modes have no list.
func (in Intent) byCertificate() bool {
	return len(in.Modes) == 0 || slices.Contains(in.Modes, modeCertificate)
}

// sign makes the intent's signatures, one in each mode, and checks each. What
// it returns is in memory only.
func (s *Service) sign(ctx context.Context, in Intent, d draft) (Signed, error) {
	modes := in.Modes
	if len(modes) == 0 {
		modes = []string{modeCertificate}
	}
	var all []Signed
	for _, mode := range modes {
		signers, err := s.signers(ctx, in, d, mode)
		if err != nil {
			return Signed{}, err
		}
		for _, by := range signers {
			one, err := s.signAs(ctx, in, by)
			if err != nil {
				return Signed{}, fmt.Errorf("sign by %s: %w", mode, err)
			}
			if err := checkSigned(in, one); err != nil {
				return Signed{}, fmt.Errorf("check what was signed by %s: %w", mode, err)
			}
			all = append(all, one)
		}
	}
	first := all[0]
	first.Others = all[1:]
	return first, nil
}

// modeSigner is a key and what verifiers know it by.
type modeSigner struct {
	key         crypto.Signer
	name        string // of a long-lived key
	spki        []byte // of a long-lived key
	certificate Certificate
}

// signers returns the keys of a mode: a new one with a certificate, which is
// dropped after use, or a long-lived one, while it is rotated with the one before.
func (s *Service) signers(ctx context.Context, in Intent, d draft, mode string) ([]modeSigner, error) {
	if name, byKey := strings.CutPrefix(mode, modeKeyPrefix); byKey {
		return s.longLived(ctx, name, in.Action)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate signing key: %w", err)
	}
	cert, err := s.cfg.Certificates.Issue(ctx, CertificateRequest{SAN: d.san, Extensions: d.extensions, PublicKey: key.Public()})
	if err != nil {
		return nil, fmt.Errorf("issue certificate for %s: %w", d.san, err)
	}
	return []modeSigner{{key: key, certificate: cert}}, nil
}

// signAs signs the statement with one key and timestamps the signature; and,
// if there are legacy tags, does the same for what goes into the tag.
func (s *Service) signAs(ctx context.Context, in Intent, by modeSigner) (Signed, error) {
	signature, err := by.sign(attest.PAE(attest.PayloadType, in.Statement))
	if err != nil {
		return Signed{}, fmt.Errorf("sign statement: %w", err)
	}
	token, err := s.cfg.Timestamper.Timestamp(ctx, signature)
	if err != nil {
		return Signed{}, fmt.Errorf("timestamp signature: %w", err)
	}
	signed := Signed{Signature: signature, Certificate: by.certificate.Leaf, Timestamp: token, Key: by.name, PublicKey: by.spki}
	if s.cfg.Tags != nil {
		if signed.Tag, err = s.signTag(ctx, in, by, signature); err != nil {
			return Signed{}, err
		}
	}
	return signed, nil
}

// sign returns the one spelling of the signature that this service makes.
func (by modeSigner) sign(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	signature, err := by.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	public, ok := by.key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T", by.key.Public())
	}
	return LowS(public, signature)
}

// checkSigned proves that the key signed what it should, and that a certificate
// names who it should, before anything is kept or logged.
func checkSigned(in Intent, signed Signed) error {
	public, err := signed.publicKey(in)
	if err != nil {
		return err
	}
	if !verifies(public, attest.PAE(attest.PayloadType, in.Statement), signed.Signature) {
		return errors.New("the signature does not verify under its certificate or key")
	}
	if tag := signed.Tag; tag != nil && tag.Payload != nil && !verifies(public, tag.Payload, tag.Signature) {
		return errors.New("the signature for the tag does not verify under its certificate or key")
	}
	return nil
}

func verifies(public *ecdsa.PublicKey, message, signature []byte) bool {
	digest := sha256.Sum256(message)
	return ecdsa.VerifyASN1(public, digest[:], signature)
}

// publicKey is the key by which verifiers will check a signature.
func (signed Signed) publicKey(in Intent) (*ecdsa.PublicKey, error) {
	var key any
	if signed.PublicKey != nil {
		var err error
		if key, err = x509.ParsePKIXPublicKey(signed.PublicKey); err != nil {
			return nil, fmt.Errorf("parse public key: %w", err)
		}
	} else {
		cert, err := x509.ParseCertificate(signed.Certificate)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		if len(cert.URIs) != 1 || cert.URIs[0].String() != in.SAN {
			return nil, fmt.Errorf("certificate names %v, want %s", cert.URIs, in.SAN)
		}
		key = cert.PublicKey
	}
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the signature is by a key of type %T", key)
	}
	return public, nil
}

// all are the signatures of every mode, in the order of the modes.
func (signed *Signed) all() []Signed {
	first := *signed
	first.Others = nil
	return append([]Signed{first}, signed.Others...)
}

// hint names a long-lived key, as bundles do; "" for a certificate.
func (signed Signed) hint() string {
	if signed.PublicKey == nil {
		return ""
	}
	sum := sha256.Sum256(signed.PublicKey)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// claim is what a bundle of the signature must prove.
func (signed Signed) claim(in Intent) Claim {
	c := Claim{Digest: in.Artifact.Digest, PredicateType: in.PredicateType, SAN: in.SAN, Issuer: in.Issuer}
	if signed.PublicKey != nil {
		c.SAN, c.Issuer, c.PublicKey = "", "", signed.PublicKey
	}
	return c
}

// entry is what the logs are told of the signature.
func (signed Signed) entry(in Intent) Entry {
	return Entry{
		PayloadType: attest.PayloadType, Payload: in.Statement, Signature: signed.Signature,
		Certificate: signed.Certificate, PublicKey: signed.PublicKey, Artifact: in.Artifact,
	}
}
