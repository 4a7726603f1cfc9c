// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// Envelope is a DSSE signature made in this process, by a P-256 key with a
// certificate, or by one that verifiers know as such.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signature   []byte // over attest.PAE(PayloadType, Payload), ASN.1
	Certificate []byte // DER, or nil
	PublicKey   []byte // SubjectPublicKeyInfo (DER) if there is no certificate
	// Keys are further index keys, such as that of an image's name.
	Keys []string
}

// JSON is the envelope as it is logged: the log's envelopeHash is its SHA-256. A
// registry's .att layer has to be these bytes, or cosign will not find the
// entry to be the layer's. Bundles do not care.
func (e Envelope) JSON() []byte {
	b, err := attest.Envelope(e.PayloadType, e.Payload, e.Signature)
	if err != nil { // cannot be: a string
		return nil
	}
	return b
}

// Append logs a signature made in this process as dsse 0.0.1. It verifies the
// signature first: errors.As *Invalid if it does not. Other errors are those of
// tlog.Set.Append. The answer is what a bundle carries.
func (s *Service) Append(ctx context.Context, e Envelope) (attest.LogEntry, error) {
	by, verifierPEM, err := ownVerifier(e.Certificate, e.PublicKey)
	if err != nil {
		return attest.LogEntry{}, err
	}
	env := envelope{hash: sha256.Sum256(e.JSON()), payloadType: e.PayloadType, payload: e.Payload, signature: e.Signature}
	if len(e.Payload) == 0 || !utf8.ValidString(e.PayloadType) {
		return attest.LogEntry{}, &Invalid{errors.New("an envelope has a payload, and its type is UTF-8")}
	}
	if !env.verify(by.claim.PublicKey) {
		return attest.LogEntry{}, &Invalid{errors.New("the envelope is not signed by its certificate's key")}
	}
	leaf := env.leaf(verifierPEM)
	rec, err := s.append(ctx, leaf, index.Collect(by.keys, e.Keys, env.indexKeys()))
	if err != nil {
		return attest.LogEntry{}, err
	}
	return rec.logEntry(kindDSSE)
}

// Message is a signature over bytes that are no envelope, made in this process
// by a key as in Envelope.
type Message struct {
	Digest      [sha256.Size]byte // of the bytes
	Signature   []byte            // over Digest, ASN.1
	Certificate []byte
	PublicKey   []byte
	Keys        []string
}

// AppendMessage is Append for a message: hashedrekord 0.0.1.
func (s *Service) AppendMessage(ctx context.Context, m Message) (attest.LogEntry, error) {
	by, verifierPEM, err := ownVerifier(m.Certificate, m.PublicKey)
	if err != nil {
		return attest.LogEntry{}, err
	}
	pub, hash, ok := usualKey(by.claim.PublicKey)
	if !ok || hash != crypto.SHA256 || !ecdsa.VerifyASN1(pub, m.Digest[:], m.Signature) {
		return attest.LogEntry{}, &Invalid{errors.New("the message is not signed by this key, which has to be of ECDSA P-256")}
	}
	r := hashedRekord{algorithm: "sha256", value: hex.EncodeToString(m.Digest[:]), verifier: verifierPEM}
	rec, err := s.append(ctx, r.leaf(m.Signature), index.Collect(by.keys, m.Keys, []string{index.HashOf(crypto.SHA256, m.Digest[:])}))
	if err != nil {
		return attest.LogEntry{}, err
	}
	return rec.logEntry(kindHashedRekord)
}

// ownVerifier reads what verifies a signature made in this process, and writes
// it as an entry has it.
func ownVerifier(certificate, publicKey []byte) (v verifier, verifierPEM []byte, err error) {
	if (certificate == nil) == (publicKey == nil) {
		return verifier{}, nil, &Invalid{errors.New("a signature has a certificate or a public key, and not both")}
	}
	if certificate != nil {
		cert, err := x509.ParseCertificate(certificate)
		if err != nil {
			return verifier{}, nil, &Invalid{fmt.Errorf("parse certificate: %w", err)}
		}
		return verifierOfCertificate(cert), encodePEM(pemCertificate, cert.Raw), nil
	}
	key, err := x509.ParsePKIXPublicKey(publicKey)
	if err != nil {
		return verifier{}, nil, &Invalid{fmt.Errorf("parse public key: %w", err)}
	}
	if v, err = verifierOfKey(key); err != nil {
		return verifier{}, nil, &Invalid{err}
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return verifier{}, nil, &Invalid{err}
	}
	return v, encodePEM(pemPublicKey, spki), nil
}

// Genesis returns the first entry of a v1 log: a hashedrekord of the log's
// origin, signed by the log's own key, which is ECDSA P-256. Clients that prove
// consistency cannot begin at an empty log.
func Genesis(signer crypto.Signer, origin string) (tlog.Leaf, error) {
	digest := sha256.Sum256([]byte(origin))
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return tlog.Leaf{}, fmt.Errorf("sign genesis entry: %w", err)
	}
	v, err := verifierOfKey(signer.Public())
	if err != nil {
		return tlog.Leaf{}, fmt.Errorf("genesis entry: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return tlog.Leaf{}, fmt.Errorf("genesis entry: %w", err)
	}
	r := hashedRekord{algorithm: "sha256", value: hex.EncodeToString(digest[:]), verifier: encodePEM(pemPublicKey, spki)}
	leaf := r.leaf(signature)
	// A key service may have signed with another key than it says.
	doc, err := parseJSON(leaf)
	if err != nil {
		return tlog.Leaf{}, fmt.Errorf("genesis entry: %w", err)
	}
	if _, ok := readHashedRekord(&doc); !ok {
		return tlog.Leaf{}, errors.New("genesis entry: the signature is not one of ECDSA P-256 with the log's key")
	}
	return tlog.Leaf{Body: leaf, Keys: index.Collect(v.keys, []string{index.HashOf(crypto.SHA256, digest[:])})}, nil
}
