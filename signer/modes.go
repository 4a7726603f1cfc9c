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

// SigningKey is a long-lived key pair under one name. Attestations are made
// with a key of their own: stock cosign takes any bundle of an accepted key for
// a signature, so a failed scan report must never be signed by the key that
// approves images. Attestations may be nil, Signatures not.
type SigningKey struct {
	Signatures   crypto.Signer
	Attestations crypto.Signer
}

// of is the key for an action; nil if there is none.
func (k SigningKey) of(action Action) crypto.Signer {
	if action == ActionAttest {
		return k.Attestations
	}
	return k.Signatures
}

// checkKeys wants every key to be one that verifiers of all kinds know, and to
// have one purpose.
func checkKeys(keys map[string]SigningKey) error {
	seen := map[string]string{}
	for name, pair := range keys {
		if pair.Signatures == nil {
			return fmt.Errorf("signing key %q: it has no key for signatures", name)
		}
		for use, key := range map[string]crypto.Signer{"signatures": pair.Signatures, "attestations": pair.Attestations} {
			if key == nil {
				continue
			}
			spki, err := spkiOf(key)
			if err != nil {
				return fmt.Errorf("signing key %q for %s: %w", name, use, err)
			}
			if other := seen[string(spki)]; other != "" {
				return fmt.Errorf("signing key %q for %s is also %s (hint: each needs a key of its own, or verifiers take one's attestations for the other's signatures)", name, use, other)
			}
			seen[string(spki)] = fmt.Sprintf("key %q for %s", name, use)
		}
	}
	return nil
}

// spkiOf is the public half of a key, which has to be ECDSA on P-256.
func spkiOf(key crypto.Signer) ([]byte, error) {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, fmt.Errorf("a key of type %T (hint: ECDSA P-256, which every verifier knows)", key.Public())
	}
	return x509.MarshalPKIXPublicKey(public)
}

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
		by, err := s.signer(ctx, in, d, mode)
		if err != nil {
			return Signed{}, err
		}
		one, err := s.signAs(ctx, in, by)
		if err != nil {
			return Signed{}, fmt.Errorf("sign by %s: %w", mode, err)
		}
		if err := checkSigned(in, one); err != nil {
			return Signed{}, fmt.Errorf("check what was signed by %s: %w", mode, err)
		}
		all = append(all, one)
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

// signer returns the key of a mode: a new one with a certificate, which is
// dropped after use, or a long-lived one.
func (s *Service) signer(ctx context.Context, in Intent, d draft, mode string) (modeSigner, error) {
	if name, byKey := strings.CutPrefix(mode, modeKeyPrefix); byKey {
		key := s.cfg.Keys[name].of(in.Action)
		if key == nil {
			return modeSigner{}, fmt.Errorf("there is no key %q to %s with (hint: signing.keys of the configuration)", name, in.Action)
		}
		spki, err := spkiOf(key)
		return modeSigner{key: key, name: name, spki: spki}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return modeSigner{}, fmt.Errorf("generate signing key: %w", err)
	}
	cert, err := s.cfg.Certificates.Issue(ctx, CertificateRequest{SAN: d.san, Extensions: d.extensions, PublicKey: key.Public()})
	if err != nil {
		return modeSigner{}, fmt.Errorf("issue certificate for %s: %w", d.san, err)
	}
	return modeSigner{key: key, certificate: cert}, nil
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
