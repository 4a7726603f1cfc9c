// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer"
)

// EncodeMore returns the part of a signature that has no column of its own:
// which key made it, what goes into a legacy tag, and the signatures of other
// modes. Most have none of it; nil stands for NULL then, otherwise it is a string.
func EncodeMore(s signer.Signed) (any, error) {
	s.Signature, s.Certificate, s.Timestamp = nil, nil, nil
	if s.Key == "" && s.PublicKey == nil && s.Tag == nil && len(s.Others) == 0 {
		return nil, nil
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode signature: %w", err)
	}
	return string(encoded), nil
}

// decodeMore sets in s what EncodeMore took from it.
func decodeMore(more *string, s *signer.Signed) error {
	if more == nil {
		return nil
	}
	decoded := signer.Signed{}
	if err := json.Unmarshal([]byte(*more), &decoded); err != nil {
		return fmt.Errorf("decode signature: %w", err)
	}
	decoded.Signature, decoded.Certificate, decoded.Timestamp = s.Signature, s.Certificate, s.Timestamp
	if decoded.PublicKey != nil && len(s.Certificate) == 0 {
		decoded.Certificate = nil // its column is not NULL
	}
	*s = decoded
	return nil
}
