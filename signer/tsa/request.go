// SPDX-License-Identifier: Apache-2.0

package tsa

import (
	"crypto"
	"encoding/asn1"
	"fmt"

	"github.com/digitorus/timestamp"
)

// maxNonceBits bounds what a request can have signed beside its digest;
// clients send 64 to 160 bits.
const maxNonceBits = 512

// Refusal is a request that gets no token. It knows the failure code that
// RFC 3161 section 2.4.2 has for it.
type Refusal struct {
	// Code is the bit of PKIFailureInfo.
	Code timestamp.FailureInfo
	// Reason is for people.
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return "timestamp request refused: " + r.Reason }

// parseRequest reads a TimeStampReq (DER) and refuses what this authority
// does not sign. All errors are a *Refusal.
func parseRequest(der []byte) (*timestamp.Request, error) {
	if version, ok := requestVersion(der); ok && version != 1 {
		return nil, &Refusal{timestamp.BadRequest, fmt.Sprintf("version %d instead of 1", version)}
	}
	req, err := timestamp.ParseRequest(der)
	if err != nil {
		return nil, &Refusal{timestamp.BadDataFormat, "not a TimeStampReq: " + err.Error()}
	}
	switch req.HashAlgorithm {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return nil, &Refusal{timestamp.BadAlgorithm, fmt.Sprintf("hash %s is too weak (hint: SHA-256, SHA-384 or SHA-512)", req.HashAlgorithm)}
	}
	if got, want := len(req.HashedMessage), req.HashAlgorithm.Size(); got != want {
		return nil, &Refusal{timestamp.BadDataFormat, fmt.Sprintf("digest of %d bytes, %s has %d", got, req.HashAlgorithm, want)}
	}
	if len(req.TSAPolicyOID) != 0 && !req.TSAPolicyOID.Equal(policy()) {
		return nil, &Refusal{timestamp.UnacceptedPolicy, fmt.Sprintf("policy %s (hint: leave it out, or ask for %s)", req.TSAPolicyOID, policy())}
	}
	if len(req.Extensions) != 0 {
		return nil, &Refusal{timestamp.UnacceptedExtension, fmt.Sprintf("extension %s", req.Extensions[0].Id)}
	}
	if req.Nonce != nil && req.Nonce.BitLen() > maxNonceBits {
		return nil, &Refusal{timestamp.BadRequest, fmt.Sprintf("nonce of %d bits, at most %d", req.Nonce.BitLen(), maxNonceBits)}
	}
	return req, nil
}

// requestVersion reads the first member of a TimeStampReq, which the parser
// of the library skips over.
func requestVersion(der []byte) (int, bool) {
	var outer asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil || outer.Tag != asn1.TagSequence {
		return 0, false
	}
	var version int
	if _, err := asn1.Unmarshal(outer.Bytes, &version); err != nil {
		return 0, false
	}
	return version, true
}

// statusInfo is PKIStatusInfo of RFC 3161 section 2.4.2. The texts are
// UTF8String by definition, which the encoder does not choose for []string.
type statusInfo struct {
	Status int
	Texts  []asn1.RawValue
	Fail   asn1.BitString
}

// encode returns the TimeStampResp (DER) that tells a client why it got no
// token.
func (r *Refusal) encode() ([]byte, error) {
	// Bit 0 is the most significant of the first byte, and DER drops the
	// zeros after the last bit that is set.
	code := int(r.Code)
	bits := make([]byte, code/8+1)
	bits[code/8] = 0x80 >> (code % 8)
	return asn1.Marshal(struct{ Status statusInfo }{statusInfo{
		Status: int(timestamp.Rejection),
		Texts:  []asn1.RawValue{{Tag: asn1.TagUTF8String, Bytes: []byte(r.Reason)}},
		Fail:   asn1.BitString{Bytes: bits, BitLength: code + 1},
	}})
}
