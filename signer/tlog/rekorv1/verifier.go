// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	pkix509 "github.com/sigstore/rekor/pkg/pki/x509"
	"github.com/sigstore/rekor/pkg/types"
	rfc3161 "github.com/sigstore/rekor/pkg/types/rfc3161/v0.0.1"

	"github.com/hallmark-dev/hallmark/signer/tlog/index"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// verifier is a key that a signature of an entry has been verified with. A key
// of PGP, SSH or minisign, and whoever made a time stamp, has no claim: writers
// know certificates and keys only.
type verifier struct {
	claim writers.Claim
	keys  []string // of the index
}

// verifiersOf returns whose signatures an entry has.
func verifiersOf(impl types.EntryImpl) ([]verifier, error) {
	if _, ok := impl.(*rfc3161.V001Entry); ok {
		return []verifier{{}}, nil // signed by an authority, sent by anybody
	}
	public, err := impl.Verifiers()
	if err != nil {
		return nil, err
	}
	if len(public) == 0 {
		return nil, errors.New("an entry without a verifier")
	}
	var all []verifier
	for _, key := range public {
		v := verifier{}
		if x, ok := key.(*pkix509.PublicKey); ok {
			if v, err = verifierOfX509(x); err != nil {
				return nil, err
			}
		} else {
			canonical, err := key.CanonicalValue()
			if err != nil {
				return nil, fmt.Errorf("public key: %w", err)
			}
			v.keys = append(v.keys, index.RawKey(canonical))
			for _, subject := range key.Subjects() {
				v.keys = append(v.keys, index.Identity(subject))
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// verifierOfX509 is the verifier of a key, a certificate, or the first of a
// chain.
func verifierOfX509(key *pkix509.PublicKey) (verifier, error) {
	identities, err := key.Identities()
	if err != nil {
		return verifier{}, err
	}
	if len(identities) != 1 {
		return verifier{}, fmt.Errorf("%d identities of one key", len(identities))
	}
	if cert, ok := identities[0].Crypto.(*x509.Certificate); ok {
		return verifierOfCertificate(cert), nil
	}
	return verifierOfKey(key.CryptoPubKey())
}

func verifierOfCertificate(cert *x509.Certificate) verifier {
	return verifier{
		claim: writers.Claim{Certificate: cert, PublicKey: cert.PublicKey},
		keys:  index.OfCertificate(cert),
	}
}

func verifierOfKey(key crypto.PublicKey) (verifier, error) {
	name, err := index.PublicKey(key)
	if err != nil {
		return verifier{}, err
	}
	return verifier{claim: writers.Claim{PublicKey: key}, keys: []string{name}}, nil
}

// parsePEM reads one block, a key or a certificate, and nothing beside it, and
// returns how Rekor writes it. It leaves chains and everything unusual to
// Rekor's code.
func parsePEM(content []byte) (v verifier, canonical []byte, ok bool) {
	if len(content) > maxPart {
		return verifier{}, nil, false // a certificate with a million names
	}
	if der, ok := decodeCanonicalPEM(content, pemCertificate); ok {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return verifier{}, nil, false
		}
		return verifierOfCertificate(cert), content, true
	}
	block, rest := pem.Decode(content)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || len(block.Headers) > 0 || !bytes.HasPrefix(content, []byte("-----BEGIN ")) {
		return verifier{}, nil, false
	}
	var err error
	switch block.Type {
	case pemCertificate:
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			v, canonical = verifierOfCertificate(cert), encodePEM(pemCertificate, cert.Raw)
		}
	case pemPublicKey:
		var key any
		var der []byte
		if key, err = x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if v, err = verifierOfKey(key); err == nil {
				der, err = x509.MarshalPKIXPublicKey(key)
				canonical = encodePEM(pemPublicKey, der)
			}
		}
	default:
		return verifier{}, nil, false
	}
	return v, canonical, err == nil
}

// pemLine is how many characters encoding/pem puts on a line.
const pemLine = 64

// decodeCanonicalPEM reads a block in the one form that encodePEM writes, which
// is what clients send; false for any other. encoding/pem looks for the block
// in what may be a letter, and takes several times as long.
func decodeCanonicalPEM(content []byte, kind string) (der []byte, ok bool) {
	text, begins := bytes.CutPrefix(content, []byte("-----BEGIN "+kind+"-----\n"))
	text, ends := bytes.CutSuffix(text, []byte("-----END "+kind+"-----\n"))
	if !begins || !ends || bytes.IndexByte(text, '\r') >= 0 {
		return nil, false
	}
	b64 := make([]byte, 0, len(text))
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		if !ended || len(line) == 0 || len(line) > pemLine || len(line) < pemLine && len(rest) > 0 {
			return nil, false
		}
		b64, text = append(b64, line...), rest
	}
	der, err := base64.StdEncoding.Strict().AppendDecode(nil, b64)
	return der, err == nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
