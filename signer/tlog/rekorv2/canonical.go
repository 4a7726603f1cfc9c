// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"encoding/base64"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
)

// canonicalLeaf writes the RFC 8785 form of the entry: members sorted, no white
// space. No string in it needs an escape: they are base64 and names of enum
// values. It equals what protojson and a general canonicalizer make of it, at a
// fiftieth of the cost; FuzzCanonicalLeaf holds them side by side.
func canonicalLeaf(record *pb.HashedRekordLogEntryV002) []byte {
	var (
		data     = record.GetData()
		sig      = record.GetSignature()
		verifier = sig.GetVerifier()
		field    = `"publicKey"`
		raw      = verifier.GetPublicKey().GetRawBytes()
	)
	if cert := verifier.GetX509Certificate(); cert != nil {
		field, raw = `"x509Certificate"`, cert.GetRawBytes()
	}
	const frame = 320 // what is not base64
	b64 := base64.StdEncoding
	b := make([]byte, 0, frame+b64.EncodedLen(len(data.GetDigest())+len(sig.GetContent())+len(raw)+6))
	b = append(b, `{"apiVersion":"`+Version+`","kind":"`+Kind+`","spec":{"hashedRekordV002":{"data":{"algorithm":"`...)
	b = append(b, data.GetAlgorithm().String()...)
	b = append(b, `","digest":"`...)
	b = b64.AppendEncode(b, data.GetDigest())
	b = append(b, `"},"signature":{"content":"`...)
	b = b64.AppendEncode(b, sig.GetContent())
	b = append(b, `","verifier":{"keyDetails":"`...)
	b = append(b, verifier.GetKeyDetails().String()...)
	b = append(b, `",`+field+`:{"rawBytes":"`...)
	b = b64.AppendEncode(b, raw)
	return append(b, `"}}}}}}`...)
}
