// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-dev/hallmark/signer"
)

// What Fulcio says of a key, a proof and a signing request that are no good.
// Stock clients print it; what follows it in an answer is ours.
const (
	sayBadKey   = "The public key supplied in the request could not be parsed"
	sayWeakKey  = "The public key supplied in the request is insecure"
	sayBadProof = "The signature supplied in the request could not be verified"
	sayBadCSR   = "The certificate signing request could not be parsed"
)

// prove implements signer.CertifyRequest.Prove.
//
// The proof is a signature with the key, with the hash that is the key's
// default. Beside a bare key it is over the token's subject, which is why it
// cannot be shown with somebody else's token. A signing request is signed by
// itself: of it, only the key is used. What it asks to be called is for the
// token to say. Whoever has seen another one's request may show it with a token
// of theirs, and gets a certificate on a key that they do not have.
func (r request) prove(p signer.Principal) (crypto.PublicKey, error) {
	if len(r.csr) > 0 {
		return r.proveByCSR()
	}
	key, err := parseKey(r.publicKey)
	if err != nil {
		return nil, badRequest("%s: %w", sayBadKey, err)
	}
	if err := checkStrength(key); err != nil {
		return nil, badRequest("%s: %w", sayWeakKey, err)
	}
	verifier, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, badRequest("%s: %w", sayWeakKey, err)
	}
	if err := verifier.VerifySignature(bytes.NewReader(r.proof), strings.NewReader(p.Subject)); err != nil {
		return nil, badRequest("%s: it has to be the key's, over the token's subject", sayBadProof)
	}
	return key, nil
}

func (r request) proveByCSR() (crypto.PublicKey, error) {
	block, rest := pem.Decode(r.csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, badRequest("%s: it is not one PEM block", sayBadCSR)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, badRequest("%s: %s", sayBadCSR, clip(err.Error()))
	}
	if err := checkStrength(csr.PublicKey); err != nil {
		return nil, badRequest("%s: %w", sayWeakKey, err)
	}
	// The standard library takes SHA-1 here.
	if want, ok := csrHash(csr.PublicKey); !ok || hashes[csr.SignatureAlgorithm] != want {
		return nil, badRequest("%s: %s is not the algorithm of such a key", sayBadProof, csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, badRequest("%s: it is not the key's over the signing request", sayBadProof)
	}
	return csr.PublicKey, nil
}

// pure is the hash of an algorithm that signs the message itself.
const pure = crypto.Hash(^uint(0))

// hashes are those of the algorithms that a signing request may be signed with.
var hashes = map[x509.SignatureAlgorithm]crypto.Hash{
	x509.ECDSAWithSHA256: crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384, x509.ECDSAWithSHA512: crypto.SHA512,
	x509.SHA256WithRSA: crypto.SHA256, x509.SHA256WithRSAPSS: crypto.SHA256, x509.PureEd25519: pure,
}

// csrHash is the hash that goes with a key.
func csrHash(key crypto.PublicKey) (crypto.Hash, bool) {
	if _, ok := key.(ed25519.PublicKey); ok {
		return pure, true
	}
	details, err := signature.GetDefaultAlgorithmDetails(key)
	return details.GetHashType(), err == nil
}

// parseKey reads a SubjectPublicKeyInfo in PEM or DER, and nothing beside it.
func parseKey(content []byte) (crypto.PublicKey, error) {
	der := content
	if block, rest := pem.Decode(content); block != nil {
		if block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("it is not one PEM block of a PUBLIC KEY")
		}
		der = block.Bytes
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, errors.New(clip(err.Error()))
	}
	return key, nil
}
