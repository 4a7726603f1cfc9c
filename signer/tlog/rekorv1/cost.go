// SPDX-License-Identifier: Apache-2.0

package rekorv1

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/rekor/pkg/generated/models"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// A request costs what its size says, unless somebody takes care that it does
// not: envelopes in which every signature is tried with every key, or a key so
// large that one check takes minutes. Rekor's code knows no bounds for these, so
// they are checked before it is called.
const (
	// maxSignatures bounds the signatures of an envelope, and the keys given for
	// them: each signature is tried with each key, over the whole payload.
	maxSignatures = 8
	// maxChain is Rekor's bound of a certificate chain.
	maxChain = 10
	// maxRSABits is the largest modulus that a verifier may have: what
	// crypto/tls accepts. A check takes a fifth of a millisecond at that size, and
	// grows with the square.
	maxRSABits = 8192
	// maxPart bounds keys and signatures, bytes: they are logged as they are, so
	// a larger one cannot be. A PGP key ring is checked key by key, and each may
	// be of the size that takes longest.
	maxPart = tlog.MaxLeaf
	// formatPGP is what Rekor's rekord and search call PGP keys.
	formatPGP = "pgp"
	// PEM types.
	pemPublicKey   = "PUBLIC KEY"
	pemCertificate = "CERTIFICATE"
)

// checkCost bounds what verifying an entry takes.
func checkCost(proposed models.ProposedEntry) error {
	spec := specOf(proposed)
	for _, envelope := range texts(spec, "proposedContent.envelope", "content.envelope") {
		doc, err := parseJSON([]byte(envelope))
		if err != nil {
			return fmt.Errorf("envelope: %w", err)
		}
		if signatures, ok := doc.member("signatures"); ok && len(signatures.items) > maxSignatures {
			return fmt.Errorf("an envelope has at most %d signatures", maxSignatures)
		}
	}
	verifiers := texts(spec, "signature.publicKey.content", "publicKey",
		"proposedContent.verifiers.*", "signatures.*.verifier", "content.envelope.signatures.*.publicKey")
	parts := append(texts(spec, "publicKey.content", "signature.content", "chart.provenance.content", "chart.provenance.signature.content"), verifiers...)
	for _, part := range parts {
		if len(part) > base64.StdEncoding.EncodedLen(maxPart) {
			return fmt.Errorf("a key, a signature or a provenance file has at most %d bytes", maxPart)
		}
	}
	if len(verifiers) > maxSignatures {
		return fmt.Errorf("an entry has at most %d verifiers", maxSignatures)
	}
	for _, v := range verifiers {
		content, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return fmt.Errorf("verifier: %w", err)
		}
		if err := checkPEM(content); err != nil {
			return err
		}
	}
	return checkPGP(spec)
}

// checkPGP looks for PGP where the kinds rekord and helm have it.
func checkPGP(spec any) error {
	checks := []struct {
		path  string
		check func([]byte) error
	}{
		{"publicKey.content", checkPGPKey},
		{"chart.provenance.content", checkProvenance},
		{"chart.provenance.signature.content", checkPGPSignature},
	}
	if slices.Contains(texts(spec, "signature.format"), formatPGP) {
		checks[0].path = "signature.publicKey.content"
		checks[1].path, checks[1].check = "signature.content", checkPGPSignature
	}
	for _, c := range checks {
		for _, text := range texts(spec, c.path) {
			content, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return fmt.Errorf("%s: %w", c.path, err)
			}
			if err := c.check(content); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkPEM refuses PEM with too many blocks or too large keys. What is no PEM,
// such as a key of minisign, is for others to judge.
func checkPEM(content []byte) error {
	for range maxChain {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return nil
		}
		var key any
		if pub, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			key = pub
		} else if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
		if pub, ok := key.(*rsa.PublicKey); ok && pub.N.BitLen() > maxRSABits {
			return fmt.Errorf("an RSA key of %d bits is larger than %d", pub.N.BitLen(), maxRSABits)
		}
	}
	if block, _ := pem.Decode(content); block != nil {
		return fmt.Errorf("too many certificates specified in PEM block")
	}
	return nil
}

// specOf returns the spec of a proposed entry as it was decoded.
func specOf(proposed models.ProposedEntry) any {
	switch p := proposed.(type) {
	case *models.Hashedrekord:
		return p.Spec
	case *models.DSSE:
		return p.Spec
	case *models.Intoto:
		return p.Spec
	case *models.Rekord:
		return p.Spec
	case *models.Cose:
		return p.Spec
	case *models.Helm:
		return p.Spec
	case *models.Rfc3161:
		return p.Spec
	}
	return nil
}

// texts returns the strings at some paths of a decoded document; "*" is every
// item of a list.
func texts(doc any, paths ...string) []string {
	var found []string
	var walk func(v any, path []string)
	walk = func(v any, path []string) {
		if len(path) == 0 {
			if s, ok := v.(string); ok {
				found = append(found, s)
			}
			return
		}
		switch v := v.(type) {
		case map[string]any:
			walk(v[path[0]], path[1:])
		case []any:
			if path[0] == "*" {
				for _, item := range v {
					walk(item, path[1:])
				}
			}
		}
	}
	for _, path := range paths {
		walk(doc, strings.Split(path, "."))
	}
	return found
}
