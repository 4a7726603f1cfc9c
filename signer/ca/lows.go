// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto"
	"crypto/ecdsa"
	"io"

	"github.com/hallmark-dev/hallmark/signer"
)

// lowS is a signer whose ECDSA signatures are spelled in the one way that is
// ours (signer.LowS). The signature of a certificate is part of its log entry:
// a second spelling that verifies would be a second entry. Other signatures
// have one spelling and pass.
type lowS struct{ crypto.Signer }

// Sign implements crypto.Signer.
func (s lowS) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Signer.Sign(rand, digest, opts)
	pub, ok := s.Public().(*ecdsa.PublicKey)
	if err != nil || !ok {
		return signature, err
	}
	return signer.LowS(pub, signature)
}
