// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// SimpleSigning returns the document that a legacy image signature signs, the
// layer of a .sig tag: "this digest, which was known by this name". Verifiers
// hold the digest against the image; the name is a hint. Equal input gives equal
// bytes.
// Source: https://github.com/containers/image/blob/main/docs/containers-signature.5.md
func SimpleSigning(repository string, digest Digest) ([]byte, error) {
	if _, err := ParseDigest(string(digest)); err != nil {
		return nil, err
	}
	type identity struct {
		Reference string `json:"docker-reference"`
	}
	type image struct {
		Digest Digest `json:"docker-manifest-digest"`
	}
	type critical struct {
		Identity identity `json:"identity"`
		Image    image    `json:"image"`
		Type     string   `json:"type"`
	}
	return json.Marshal(struct {
		Critical critical `json:"critical"`
		Optional any      `json:"optional"` // null, as cosign writes it
	}{Critical: critical{identity{repository}, image{digest}, "cosign container image signature"}})
}

// Envelope returns a DSSE envelope with one signature, the layer of a .att tag.
// A log that is told of an envelope hashes its text, so that there is one way
// to write it: this.
func Envelope(payloadType string, payload, signature []byte) ([]byte, error) {
	name, err := json.Marshal(payloadType)
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	const frame = 80 // what is neither base64 nor the type
	b64 := base64.StdEncoding
	b := make([]byte, 0, frame+len(name)+b64.EncodedLen(len(payload))+b64.EncodedLen(len(signature)))
	b = append(b, `{"payloadType":`...)
	b = append(b, name...)
	b = append(b, `,"payload":"`...)
	b = b64.AppendEncode(b, payload)
	b = append(b, `","signatures":[{"sig":"`...)
	b = b64.AppendEncode(b, signature)
	return append(b, `"}]}`...), nil
}
