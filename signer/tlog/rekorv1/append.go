// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// Envelope is a DSSE signature made in this process, by a P-256 key with a
// certificate.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signature   []byte // over attest.PAE(PayloadType, Payload), ASN.1
	Certificate []byte // DER
	// Keys are further index keys, such as that of an image's name.
	Keys []string
}

// JSON is the envelope as it is logged: the log's envelopeHash is its SHA-256. A
// registry's .att layer has to be these bytes, or cosign will not find the
// entry to be the layer's. Bundles do not care.
func (e Envelope) JSON() []byte {
	b64 := base64.StdEncoding
	payloadType, err := json.Marshal(e.PayloadType)
	if err != nil { // cannot be: a string
		return nil
	}
	const frame = 80 // what is neither base64 nor the type
	b := make([]byte, 0, frame+len(payloadType)+b64.EncodedLen(len(e.Payload))+b64.EncodedLen(len(e.Signature)))
	b = append(b, `{"payloadType":`...)
	b = append(b, payloadType...)
	b = append(b, `,"payload":"`...)
	b = b64.AppendEncode(b, e.Payload)
	b = append(b, `","signatures":[{"sig":"`...)
	b = b64.AppendEncode(b, e.Signature)
	return append(b, `"}]}`...)
}

// Append logs a signature made in this process as dsse 0.0.1. It verifies the
// signature first: errors.As *Invalid if it does not. Other errors are those of
// tlog.Set.Append. The answer is what a bundle carries.
func (s *Service) Append(ctx context.Context, e Envelope) (attest.LogEntry, error) {
	cert, err := x509.ParseCertificate(e.Certificate)
	if err != nil {
		return attest.LogEntry{}, &Invalid{fmt.Errorf("parse certificate: %w", err)}
	}
	env := envelope{hash: sha256.Sum256(e.JSON()), payloadType: e.PayloadType, payload: e.Payload, signature: e.Signature}
	if len(e.Payload) == 0 || !utf8.ValidString(e.PayloadType) {
		return attest.LogEntry{}, &Invalid{errors.New("an envelope has a payload, and its type is UTF-8")}
	}
	if !env.verify(cert.PublicKey) {
		return attest.LogEntry{}, &Invalid{errors.New("the envelope is not signed by its certificate's key")}
	}
	leaf := env.leaf(encodePEM(pemCertificate, cert.Raw))
	rec, err := s.append(ctx, leaf, index.Collect(verifierOfCertificate(cert).keys, e.Keys, env.indexKeys()))
	if err != nil {
		return attest.LogEntry{}, err
	}
	return rec.logEntry(kindDSSE, version001)
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
