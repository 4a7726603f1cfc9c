// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	dsse "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

// A dsse entry is proposed as a whole DSSE envelope and logged as the hashes of
// envelope and payload, the signatures, and what verifies them. The envelope is
// hashed exactly as it was sent, so every way to write it is another entry.
// As with hashedrekord, the usual one (one P-256 signature) is handled here, and
// FuzzCanonical holds it beside Rekor's code.

// readDSSE reads a proposed dsse 0.0.1 with one ECDSA P-256 signature; false if
// it is anything else, or wrong.
func readDSSE(doc *value) (entry, bool) {
	spec, ok := specOfKind(doc, kindDSSE)
	if !ok {
		return entry{}, false
	}
	content, ok := spec.members("proposedContent")
	if !ok {
		return entry{}, false
	}
	proposed, ok := content[0].members("envelope", "verifiers")
	if !ok || proposed[0].kind != isString || len(proposed[1].items) != 1 || proposed[1].items[0].kind != isString {
		return entry{}, false
	}
	env, ok := parseEnvelope(proposed[0].text)
	if !ok {
		return entry{}, false
	}
	verifierPEM, err := decode64(proposed[1].items[0].text)
	if err != nil {
		return entry{}, false
	}
	v, canonical, ok := parsePEM(verifierPEM)
	if !ok || !env.verify(v.claim.PublicKey) {
		return entry{}, false
	}
	return entry{
		leaf:      env.leaf(canonical),
		keys:      index.Collect(v.keys, env.indexKeys()),
		verifiers: []verifier{v},
		signature: env.signature,
	}, true
}

// onlySignature is the signature of an envelope that Rekor's code has read; nil
// if there are several.
func onlySignature(impl *dsse.V001Entry) []byte {
	if len(impl.DSSEObj.Signatures) != 1 || impl.DSSEObj.Signatures[0].Signature == nil {
		return nil
	}
	signature, err := decode64([]byte(*impl.DSSEObj.Signatures[0].Signature))
	if err != nil {
		return nil
	}
	return signature
}

// envelope is a DSSE envelope with one signature.
type envelope struct {
	hash        [sha256.Size]byte // of its text as it was sent
	payloadType string
	payload     []byte
	signature   []byte
}

// parseEnvelope reads an envelope with one signature and no members that DSSE
// does not know; false if it is another.
func parseEnvelope(text []byte) (envelope, bool) {
	doc, err := parseJSON(text)
	if err != nil {
		return envelope{}, false
	}
	fields, ok := doc.members("payloadType", "payload", "signatures")
	if !ok || fields[0].kind != isString || fields[1].kind != isString || len(fields[2].items) != 1 {
		return envelope{}, false
	}
	// The key id is unsigned and nobody looks at it.
	one := &fields[2].items[0]
	sig, ok := one.texts("sig")
	if !ok {
		if sig, ok = one.texts("sig", "keyid"); !ok {
			return envelope{}, false
		}
	}
	env := envelope{hash: sha256.Sum256(text), payloadType: string(fields[0].text)}
	if env.payload, err = decode64(fields[1].text); err != nil || len(env.payload) == 0 {
		return envelope{}, false
	}
	// The leaf holds the signature as it was sent, if that is the one way to
	// write it.
	if env.signature, err = decode64(sig[0]); err != nil || base64.StdEncoding.EncodeToString(env.signature) != string(sig[0]) {
		return envelope{}, false
	}
	return env, true
}

// verify checks the signature under an ECDSA P-256 key; false for other keys.
func (env envelope) verify(key crypto.PublicKey) bool {
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P256() {
		return false
	}
	h := sha256.New()
	h.Write(attest.PAEHeader(env.payloadType, len(env.payload)))
	h.Write(env.payload)
	return ecdsa.VerifyASN1(pub, h.Sum(nil), env.signature)
}

// leaf writes the RFC 8785 form for the PEM of what verifies the envelope.
func (env envelope) leaf(verifier []byte) []byte {
	const frame = 320 // what is not base64
	b64 := base64.StdEncoding
	payloadHash := sha256.Sum256(env.payload)
	b := make([]byte, 0, frame+b64.EncodedLen(len(env.signature))+b64.EncodedLen(len(verifier)))
	b = append(b, `{"apiVersion":"`+version001+`","kind":"`+kindDSSE+`","spec":{"envelopeHash":{"algorithm":"sha256","value":"`...)
	b = hex.AppendEncode(b, env.hash[:])
	b = append(b, `"},"payloadHash":{"algorithm":"sha256","value":"`...)
	b = hex.AppendEncode(b, payloadHash[:])
	b = append(b, `"},"signatures":[{"signature":"`...)
	b = b64.AppendEncode(b, env.signature)
	b = append(b, `","verifier":"`...)
	b = b64.AppendEncode(b, verifier)
	return append(b, `"}]}}`...)
}

// indexKeys are what the envelope and its statement shall be found by.
func (env envelope) indexKeys() []string {
	return keysOfEnvelope(env.hash[:], env.payloadType, env.payload)
}
