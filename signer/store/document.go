// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// document is the part of an intent that nobody searches by. It is kept as
// JSON.
type document struct {
	Artifact     oci.Artifact
	Requester    signer.Requester
	SAN          string
	Issuer       string
	Rule         string
	PolicyDigest string
}

// EncodeDocument returns the part of an intent that has no column of its own.
func EncodeDocument(in signer.Intent) (string, error) {
	doc, err := json.Marshal(document{in.Artifact, in.Requester, in.SAN, in.Issuer, in.Rule, in.PolicyDigest})
	if err != nil {
		return "", fmt.Errorf("encode intent: %w", err)
	}
	return string(doc), nil
}

// DecodeDocument sets in what EncodeDocument took from it.
func DecodeDocument(doc string, in *signer.Intent) error {
	var d document
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return fmt.Errorf("decode intent %s: %w", in.ID, err)
	}
	in.Artifact, in.Requester = d.Artifact, d.Requester
	in.SAN, in.Issuer, in.Rule, in.PolicyDigest = d.SAN, d.Issuer, d.Rule, d.PolicyDigest
	return nil
}

// EncodeReceipt returns a receipt without its bundle, which is kept beside it:
// not as base64 inside.
func EncodeReceipt(r signer.Receipt) (string, error) {
	r.Bundle = nil
	encoded, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode receipt: %w", err)
	}
	return string(encoded), nil
}

// DecodeReceipt is the reverse of EncodeReceipt.
func DecodeReceipt(encoded string, bundle []byte) (*signer.Receipt, error) {
	r := new(signer.Receipt)
	if err := json.Unmarshal([]byte(encoded), r); err != nil {
		return nil, fmt.Errorf("decode receipt: %w", err)
	}
	r.Bundle = bundle
	return r, nil
}
