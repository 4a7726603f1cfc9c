// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/hallmark-dev/hallmark/signer/api"
)

// maxSigners bounds what is said of one entry: an envelope has one signature, as
// a rule.
const maxSigners = 8

// certified is where entries of both logs have certificates and keys. What other
// kinds have there (keys of PGP, SSH, minisign) is passed over.
type certified struct {
	Spec struct {
		// dsse 0.0.1
		Signatures []struct {
			Verifier []byte `json:"verifier"`
		} `json:"signatures"`
		// hashedrekord 0.0.1, rekord, …
		Signature struct {
			PublicKey struct {
				Content []byte `json:"content"`
			} `json:"publicKey"`
		} `json:"signature"`
		HashedRekordV002 struct {
			Signature struct {
				Verifier verifierV2 `json:"verifier"`
			} `json:"signature"`
		} `json:"hashedRekordV002"`
		DSSEV002 struct {
			Signatures []struct {
				Verifier verifierV2 `json:"verifier"`
			} `json:"signatures"`
		} `json:"dsseV002"`
	} `json:"spec"`
}

// verifierV2 is dev.sigstore.rekor.v2.Verifier; both are DER.
type verifierV2 struct {
	PublicKey struct {
		RawBytes []byte `json:"rawBytes"`
	} `json:"publicKey"`
	X509Certificate struct {
		RawBytes []byte `json:"rawBytes"`
	} `json:"x509Certificate"`
}

// signersOf says whose signatures an entry has, as the entry itself says it: the
// log has verified the signatures, and nobody here the certificates.
func signersOf(body []byte) []api.LogSigner {
	var e certified
	if json.Unmarshal(body, &e) != nil {
		return nil // a kind with other members
	}
	var all []api.LogSigner
	add := func(s api.LogSigner, ok bool) {
		if ok && len(all) < maxSigners {
			all = append(all, s)
		}
	}
	for _, s := range e.Spec.Signatures {
		add(signerOfPEM(s.Verifier))
	}
	add(signerOfPEM(e.Spec.Signature.PublicKey.Content))
	add(signerOfV2(e.Spec.HashedRekordV002.Signature.Verifier))
	for _, s := range e.Spec.DSSEV002.Signatures {
		add(signerOfV2(s.Verifier))
	}
	return all
}

func signerOfPEM(raw []byte) (api.LogSigner, bool) {
	block, _ := pem.Decode(bytes.TrimSpace(raw))
	switch {
	case block == nil:
		return api.LogSigner{}, false
	case block.Type == "CERTIFICATE":
		return signerOfCertificate(block.Bytes)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(pem.EncodeToMemory(block))
	if err != nil {
		return api.LogSigner{}, false
	}
	info, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return api.LogSigner{}, false
	}
	return signerOfKey(info), true
}

func signerOfV2(v verifierV2) (api.LogSigner, bool) {
	if der := v.X509Certificate.RawBytes; len(der) > 0 {
		return signerOfCertificate(der)
	}
	return signerOfKey(v.PublicKey.RawBytes), len(v.PublicKey.RawBytes) > 0
}

func signerOfCertificate(der []byte) (api.LogSigner, bool) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return api.LogSigner{}, false
	}
	s := signerOfKey(cert.RawSubjectPublicKeyInfo)
	if names := cryptoutils.GetSubjectAlternateNames(cert); len(names) > 0 {
		s.Identity, s.Key = names[0], ""
	}
	if ext, err := certificate.ParseExtensions(cert.Extensions); err == nil {
		s.Issuer = ext.Issuer
	}
	return s, true
}

func signerOfKey(info []byte) api.LogSigner {
	hash := sha256.Sum256(info)
	return api.LogSigner{Key: "sha256:" + hex.EncodeToString(hash[:])}
}
