// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// MessageBundle is a signature over bytes that are no statement, with its
// proof: a bundle with a message signature. It is how a legacy signature, whose
// parts lie scattered in annotations, is put before a verifier as one thing.
type MessageBundle struct {
	Digest    Digest // of the message; the signature is over it
	Signature []byte
	// Certificate or KeyHint, as in Bundle.
	Certificate []byte
	KeyHint     string
	Entry       LogEntry
	Timestamp   []byte
}

type (
	messageBundleJSON struct {
		MediaType string       `json:"mediaType"`
		Material  materialJSON `json:"verificationMaterial"`
		Message   messageJSON  `json:"messageSignature"`
	}
	messageJSON struct {
		Digest    messageDigestJSON `json:"messageDigest"`
		Signature string            `json:"signature"`
	}
	messageDigestJSON struct {
		Algorithm string `json:"algorithm"`
		Digest    string `json:"digest"`
	}
)

// Encode returns the bundle's JSON. Equal bundles give equal bytes.
func (b MessageBundle) Encode() ([]byte, error) {
	if _, err := ParseDigest(string(b.Digest)); err != nil {
		return nil, fmt.Errorf("%w: message: %w", ErrBundle, err)
	}
	// A statement's bundle has the same rules for everything beside what is
	// signed.
	like := Bundle{Payload: []byte("{}"), Signature: b.Signature, Certificate: b.Certificate, KeyHint: b.KeyHint, Entry: b.Entry, Timestamp: b.Timestamp}
	if err := like.check(); err != nil {
		return nil, err
	}
	wire := messageBundleJSON{
		MediaType: BundleMediaType, Material: like.material(),
		Message: messageJSON{messageDigestJSON{"SHA2_256", encode64(b.Digest.Bytes())}, encode64(b.Signature)},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wire); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
