// SPDX-License-Identifier: Apache-2.0

package attest

import "strconv"

// PAE is the pre-authentication encoding of DSSE v1, the bytes a DSSE
// signature covers:
//
//	"DSSEv1" SP len(type) SP type SP len(payload) SP payload
//
// with lengths in decimal bytes. The lengths make it injective: no two pairs
// of type and payload have the same encoding.
// Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
func PAE(payloadType string, payload []byte) []byte {
	return appendPAE(payloadType, len(payload), payload)
}

// PAEHeader is PAE without the payload at its end, of which it needs only the
// length. Hashing one after the other saves a copy of a large payload.
func PAEHeader(payloadType string, payloadLength int) []byte {
	return appendPAE(payloadType, payloadLength, nil)
}

func appendPAE(payloadType string, length int, payload []byte) []byte {
	const version = "DSSEv1"
	// Two lengths of at most 20 digits and four spaces.
	b := make([]byte, 0, len(version)+len(payloadType)+len(payload)+44)
	b = append(b, version...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(length), 10)
	b = append(b, ' ')
	return append(b, payload...)
}
