// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// npmPackage is the SHA-512 of the npm package that the bundle in testdata is about.
const npmPackage = "sha512:46d4e2f74c4877316640000a6fdf8a8b59f1e0847667973e9859f774dd31b8f1e0937813b777fb66a2ac67d50540fe34640966eee9fc2ccca387082b4c85cd3c"

// TestPublicBundle verifies a bundle that was made by others, years ago, in the public Sigstore instance.
func TestPublicBundle(t *testing.T) {
	root, err := trust.FromFile("testdata/public-good/trusted_root.json")
	must(t, err)
	bundle, err := os.ReadFile("testdata/public-good/sigstore-js-2.0.0-provenance.sigstore.json")
	must(t, err)
	c, err := verifier.NewCrypto(root)
	must(t, err)
	blob, err := verifier.ParseBlob(npmPackage)
	must(t, err)
	release := newIdentity(t, policy.Signer{
		Subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main", Issuer: "https://token.actions.githubusercontent.com",
	})
	d, err := c.VerifyBundle(t.Context(), blob, verifier.Evidence{Origin: "npm", Bundle: bundle}, release)
	must(t, err)
	if !d.Allowed() || d.Evidence[0].PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("allowed %v: %q, %+v", d.Allowed(), d.Reasons(), d.Evidence)
	}
	flipped := bytes.Replace(bundle, []byte(`"logIndex": "31821305"`), []byte(`"logIndex": "31821306"`), 1)
	if bytes.Equal(flipped, bundle) {
		t.Fatal("the test data has another log index")
	}
	if d, err := c.VerifyBundle(t.Context(), blob, verifier.Evidence{Bundle: flipped}, release); err != nil || d.Allowed() {
		t.Errorf("another log index: allowed %v, %v", d.Allowed(), err)
	}
}
