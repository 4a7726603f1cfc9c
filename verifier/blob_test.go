// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

func newIdentity(t testing.TB, s policy.Signer) verifier.Identity {
	t.Helper()
	id, err := verifier.NewIdentity(s)
	must(t, err)
	return id
}

// TestVerifyBundle verifies bundles about a file and about a digest, of every form that signers write.
func TestVerifyBundle(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	file, err := verifier.ReadBlob("app.tgz", bytes.NewReader(imageBytes))
	must(t, err)
	changed, err := verifier.ReadBlob("app.tgz", strings.NewReader("changed"))
	must(t, err)
	digest, err := verifier.ParseBlob(string(image))
	must(t, err)
	sum512 := sha512.Sum512(imageBytes)
	by512 := fmt.Appendf(nil, `{"_type":"%s","subject":[{"name":"a","digest":{"sha1":"00","sha512":"%x"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`, attest.StatementV1, sum512)
	contradictory := bytes.Replace(by512, []byte(`"sha1":"00"`), []byte(`"sha256":"`+otherImage.Hex()+`"`), 1)

	ci := newIdentity(t, policy.Signer{Subject: ciSAN, Issuer: ciIssuer})
	attestation := statement(t, image, "https://slsa.dev/provenance/v1", "{}")
	cases := map[string]struct {
		s       signing
		blob    verifier.Blob
		who     verifier.Identity
		allowed bool
	}{
		"message, v2":                {signing{blob: imageBytes}, file, ci, true},
		"message, v1":                {signing{blob: imageBytes, v1: true}, file, ci, true},
		"message, by digest":         {signing{blob: imageBytes}, digest, ci, true},
		"message, P-384":             {signing{blob: imageBytes, curve: elliptic.P384()}, file, ci, true},
		"message, P-384, by SHA-256": {signing{blob: imageBytes, curve: elliptic.P384()}, digest, ci, false},
		"message, changed file":      {signing{blob: imageBytes}, changed, ci, false},
		"statement":                  {signing{payload: attestation}, file, ci, true},
		"statement, P-384":           {signing{payload: attestation, curve: elliptic.P384()}, file, ci, true},
		"statement, by digest":       {signing{payload: attestation, v1: true}, digest, ci, true},
		"statement, changed file":    {signing{payload: attestation}, changed, ci, false},
		"statement by SHA-512":       {signing{payload: by512}, file, ci, true},
		"the same, by SHA-256":       {signing{payload: by512}, digest, ci, false},
		"contradictory subject":      {signing{payload: contradictory}, file, ci, false},
		"signer by pattern":          {signing{blob: imageBytes}, file, newIdentity(t, policy.Signer{SubjectRegexp: "https://github.com/acme/.*", Issuer: ciIssuer}), true},
		"pattern is anchored":        {signing{blob: imageBytes}, file, newIdentity(t, policy.Signer{SubjectRegexp: "github.com/acme/", Issuer: ciIssuer}), false},
		"other signer":               {signing{blob: imageBytes}, file, newIdentity(t, policy.Signer{Subject: "https://github.com/other", Issuer: ciIssuer}), false},
		"other issuer":               {signing{blob: imageBytes}, file, newIdentity(t, policy.Signer{Subject: ciSAN, Issuer: "https://gitlab.com"}), false},
		"nobody":                     {signing{blob: imageBytes}, file, verifier.Identity{}, false},
		"e-mail signer":              {signing{blob: imageBytes, sans: append(sans(ciSAN)[:0], email("dev@acme.example"))}, file, newIdentity(t, policy.Signer{Subject: "dev@acme.example", Issuer: ciIssuer}), true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bundle := l.sign(t, tc.s).encode(t)
			d, err := c.VerifyBundle(t.Context(), tc.blob, verifier.Evidence{Origin: "file.sigstore.json", Bundle: bundle}, tc.who)
			must(t, err)
			if d.Allowed() != tc.allowed || d.Allowed() == (len(d.Reasons()) > 0) {
				t.Errorf("allowed %v (want %v), reasons %q", d.Allowed(), tc.allowed, d.Reasons())
			}
		})
	}
	if d, err := c.VerifyBundle(t.Context(), verifier.Blob{}, verifier.Evidence{Bundle: l.signature(t, image)}, ci); err == nil || d.Allowed() {
		t.Errorf("a bundle about nothing: allowed %v, %v", d.Allowed(), err)
	}
}

func TestNewIdentityRefuses(t *testing.T) {
	for name, s := range map[string]policy.Signer{
		"nothing":        {},
		"no issuer":      {Subject: "a"},
		"no subject":     {Issuer: "a"},
		"both subjects":  {Subject: "a", SubjectRegexp: "a", Issuer: "a"},
		"bad pattern":    {SubjectRegexp: "(", Issuer: "a"},
		"escaping group": {SubjectRegexp: "a)|(.*", Issuer: "a"},
	} {
		if _, err := verifier.NewIdentity(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseBlob(t *testing.T) {
	hexOf := image.Hex()
	for _, text := range []string{"", hexOf, "sha256:", "sha256:" + hexOf[1:], "sha256:" + strings.ToUpper(hexOf), "md5:" + hexOf, "sha1:" + hexOf[:40], "sha256:" + hexOf + "0", "SHA256:" + hexOf, "sha512:" + hexOf} {
		if _, err := verifier.ParseBlob(text); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
	sum := sha512.Sum512(imageBytes)
	for _, text := range []string{string(image), "sha512:" + hex.EncodeToString(sum[:])} {
		if b, err := verifier.ParseBlob(text); err != nil || b.Digest() != text {
			t.Errorf("%q: %v, %v", text, b.Digest(), err)
		}
	}
}
