// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// LowS returns the one of the two spellings of an ECDSA signature (ASN.1 DER)
// that this service makes: with (r, s), (r, n-s) verifies too, so that whoever
// sees one can write down the other. The one with s <= n/2 is ours, for
// statements and for certificates.
func LowS(pub *ecdsa.PublicKey, signature []byte) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &rs)
	if err != nil {
		return nil, fmt.Errorf("normalize ECDSA signature: %w", err)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("normalize ECDSA signature: %d bytes of trailing data", len(rest))
	}
	n := pub.Params().N
	if rs.S.Cmp(new(big.Int).Rsh(n, 1)) <= 0 {
		return signature, nil
	}
	rs.S.Sub(n, rs.S)
	return asn1.Marshal(rs)
}
