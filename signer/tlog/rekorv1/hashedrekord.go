// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	hashedrekord "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"

	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// A hashedrekord is a digest, a signature over it, and what verifies it. Rekor's
// code verifies it twice and takes the general way to RFC 8785, which costs more
// than a signature's check; what is here does the same once, for the three
// algorithms that are used. FuzzCanonical holds the two side by side.

// acceptedAlgorithms are what Rekor's server accepts by default. Of the two
// with Ed25519 only the one with a digest can verify a hashedrekord.
func acceptedAlgorithms() []commonv1.PublicKeyDetails {
	return []commonv1.PublicKeyDetails{
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
		commonv1.PublicKeyDetails_PKIX_ED25519,
		commonv1.PublicKeyDetails_PKIX_ED25519_PH,
	}
}

// hashOf returns the hash of a name in an entry; false if no kind has it.
func hashOf(name string) (crypto.Hash, bool) {
	switch name {
	case "sha256":
		return crypto.SHA256, true
	case "sha384":
		return crypto.SHA384, true
	case "sha512":
		return crypto.SHA512, true
	}
	return 0, false
}

// usualKey returns an ECDSA key and the hash that goes with it; false for a key
// that is left to Rekor's code.
func usualKey(key crypto.PublicKey) (*ecdsa.PublicKey, crypto.Hash, bool) {
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, 0, false
	}
	switch pub.Curve {
	case elliptic.P256():
		return pub, crypto.SHA256, true
	case elliptic.P384():
		return pub, crypto.SHA384, true
	case elliptic.P521():
		return pub, crypto.SHA512, true
	}
	return nil, 0, false
}

// readHashedRekord reads a proposed hashedrekord 0.0.1 with an ECDSA signature;
// false if it is anything else, or wrong.
func readHashedRekord(doc *value) (entry, bool) {
	spec, ok := specOfKind(doc, kindHashedRekord)
	if !ok {
		return entry{}, false
	}
	fields, ok := spec.members("data", "signature")
	if !ok {
		return entry{}, false
	}
	data, ok := fields[0].members("hash")
	if !ok {
		return entry{}, false
	}
	hash, ok := data[0].texts("algorithm", "value")
	if !ok {
		return entry{}, false
	}
	sig, ok := fields[1].members("content", "publicKey")
	if !ok || sig[0].kind != isString {
		return entry{}, false
	}
	content, ok := sig[1].texts("content")
	if !ok {
		return entry{}, false
	}
	r := hashedRekord{algorithm: string(hash[0]), value: string(hash[1])}
	signature, err := decode64(sig[0].text)
	if err != nil {
		return entry{}, false
	}
	verifierPEM, err := decode64(content[0])
	if err != nil {
		return entry{}, false
	}
	v, canonical, ok := parsePEM(verifierPEM)
	if !ok {
		return entry{}, false
	}
	r.verifier = canonical
	pub, usual, ok := usualKey(v.claim.PublicKey)
	if !ok {
		return entry{}, false
	}
	digest, h, ok := r.digest()
	if !ok || h != usual || !ecdsa.VerifyASN1(pub, digest, signature) {
		return entry{}, false
	}
	return entry{
		leaf:      r.leaf(signature),
		keys:      index.Collect(v.keys, []string{index.HashOf(h, digest)}),
		verifiers: []verifier{v},
		signature: signature,
		spell:     r.spell,
	}, true
}

// hashedRekord is what a canonical hashedrekord has beside the signature.
type hashedRekord struct {
	algorithm, value string
	verifier         []byte // PEM
}

// digest returns what is signed; false unless it is lower-case hexadecimal of
// the right length. Rekor takes upper case too and keeps it, so that one entry
// has as many forms as its digest has letters.
func (r hashedRekord) digest() ([]byte, crypto.Hash, bool) {
	h, ok := hashOf(r.algorithm)
	if !ok || len(r.value) != 2*h.Size() || strings.ToLower(r.value) != r.value {
		return nil, 0, false
	}
	digest, err := hex.DecodeString(r.value)
	return digest, h, err == nil
}

// leaf writes the RFC 8785 form. No string in it needs an escape: they are
// base64, hexadecimal and names.
func (r hashedRekord) leaf(signature []byte) []byte {
	const frame = 160 // what is neither base64 nor digest
	b64 := base64.StdEncoding
	b := make([]byte, 0, frame+len(r.value)+b64.EncodedLen(len(signature))+b64.EncodedLen(len(r.verifier)))
	b = append(b, `{"apiVersion":"`+version001+`","kind":"`+kindHashedRekord+`","spec":{"data":{"hash":{"algorithm":"`...)
	b = append(b, r.algorithm...)
	b = append(b, `","value":"`...)
	b = append(b, r.value...)
	b = append(b, `"}},"signature":{"content":"`...)
	b = b64.AppendEncode(b, signature)
	b = append(b, `","publicKey":{"content":"`...)
	b = b64.AppendEncode(b, r.verifier)
	return append(b, `"}}}}`...)
}

// spell is entry.spell: the leaf with another signature and, unless it is nil,
// another certificate.
func (r hashedRekord) spell(signature, certificate []byte) []byte {
	if certificate != nil {
		r.verifier = encodePEM(pemCertificate, certificate)
	}
	return r.leaf(signature)
}

// spellHashedRekord is entry.spell of an entry that Rekor's code has made
// canonical; nil for a chain of certificates.
func spellHashedRekord(impl *hashedrekord.V001Entry) func(signature, certificate []byte) []byte {
	obj := impl.HashedRekordObj
	if _, rest := pem.Decode(obj.Signature.PublicKey.Content); len(bytes.TrimSpace(rest)) > 0 {
		return nil
	}
	return hashedRekord{
		algorithm: *obj.Data.Hash.Algorithm, value: *obj.Data.Hash.Value, verifier: obj.Signature.PublicKey.Content,
	}.spell
}

// checkHashedRekord holds an entry that Rekor's types accept against its
// server's list of algorithms, and against the one form of its digest.
func (s *Service) checkHashedRekord(obj *models.HashedrekordV001Schema, verifiers []verifier) error {
	_, h, ok := hashedRekord{algorithm: *obj.Data.Hash.Algorithm, value: *obj.Data.Hash.Value}.digest()
	if !ok {
		return &types.InputValidationError{Err: errors.New("invalid value for hash: want lower-case hexadecimal digits")}
	}
	for _, v := range verifiers {
		if permitted, err := s.algorithms.IsAlgorithmPermitted(v.claim.PublicKey, h); err != nil || !permitted {
			return errors.New("entry algorithms are not allowed")
		}
	}
	return nil
}

// specOfKind returns the spec of a proposed entry of a kind and version 0.0.1.
func specOfKind(doc *value, kind string) (*value, bool) {
	top, ok := doc.members("apiVersion", "kind", "spec")
	if !ok || !top[0].is(version001) || !top[1].is(kind) {
		return nil, false
	}
	return top[2], true
}

// decode64 decodes standard base64.
func decode64(text []byte) ([]byte, error) {
	return base64.StdEncoding.AppendDecode(nil, text)
}
