// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"testing"
	"time"

	"crypto/x509/pkix"

	"github.com/hallmark-dev/hallmark/signer/api"
)

func TestSignersOf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	info, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := asn1.MarshalWithParams("https://token.example", "utf8")
	if err != nil {
		t.Fatal(err)
	}
	template := func(names ...*url.URL) []byte {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), URIs: names, NotAfter: time.Now().Add(time.Hour),
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: issuer}},
		}, &x509.Certificate{}, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	named := template(&url.URL{Scheme: "https", Host: "ci.example", Path: "/acme"})
	inPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	hash := sha256.Sum256(info)
	byKey := api.LogSigner{Key: "sha256:" + hex.EncodeToString(hash[:])}
	byName := api.LogSigner{Identity: "https://ci.example/acme", Issuer: "https://token.example"}
	unnamed := byKey
	unnamed.Issuer = "https://token.example"
	m := func(pairs ...any) map[string]any {
		all := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			all[fmt.Sprint(pairs[i])] = pairs[i+1]
		}
		return all
	}
	signature := func(verifier any) []any { return []any{m("signature", "x", "verifier", verifier)} }
	for name, tc := range map[string]struct {
		spec any
		want []api.LogSigner
	}{
		"dsse":               {m("signatures", signature(inPEM("CERTIFICATE", named))), []api.LogSigner{byName}},
		"dsse by a key":      {m("signatures", signature(inPEM("PUBLIC KEY", info))), []api.LogSigner{byKey}},
		"without a name":     {m("signatures", signature(inPEM("CERTIFICATE", template()))), []api.LogSigner{unnamed}},
		"hashedrekord":       {m("signature", m("content", "eA==", "publicKey", m("content", inPEM("CERTIFICATE", named)))), []api.LogSigner{byName}},
		"v2":                 {m("hashedRekordV002", m("signature", m("content", "eA==", "verifier", m("x509Certificate", m("rawBytes", named))))), []api.LogSigner{byName}},
		"v2 by a key":        {m("hashedRekordV002", m("signature", m("verifier", m("publicKey", m("rawBytes", info))))), []api.LogSigner{byKey}},
		"v2 dsse":            {m("dsseV002", m("signatures", signature(m("x509Certificate", m("rawBytes", named))))), []api.LogSigner{byName}},
		"PGP":                {m("signature", m("publicKey", m("content", []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\neA==\n-----END PGP PUBLIC KEY BLOCK-----\n")))), nil},
		"no certificate":     {m("signatures", signature(inPEM("CERTIFICATE", []byte("x")))), nil},
		"no key":             {m("signatures", signature(inPEM("PUBLIC KEY", []byte("x")))), nil},
		"other members":      {m("signatures", "x"), nil},
		"more than is shown": {m("signatures", slices.Repeat(signature(inPEM("CERTIFICATE", named)), 20)), slices.Repeat([]api.LogSigner{byName}, maxSigners)},
	} {
		body, err := json.Marshal(m("kind", "x", "spec", tc.spec))
		if err != nil {
			t.Fatal(err)
		}
		if got := signersOf(body); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
	if signersOf([]byte("{")) != nil {
		t.Error("signers of half a body")
	}
}
