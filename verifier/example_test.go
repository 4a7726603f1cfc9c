// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// Decide whether an image may run. This one was pushed by hand and never signed.
func ExampleVerifier() {
	host, stop := registryWithUnsignedImage("acme/app:v1")
	defer stop()

	root, err := trust.FromFile("testdata/public-good/trusted_root.json") // yours comes from your Hallmark service, once
	if err != nil {
		log.Panic(err)
	}
	trusted, err := policy.ParseTrustPolicy([]byte(`
apiVersion: hallmark.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: prod}
spec:
  images: [` + host + `/acme/]
  signers:
  - name: ci
    issuer: https://token.actions.githubusercontent.com
    subjectRegexp: https://github\.com/acme/.*@refs/heads/main
  require:
    signature: {signers: [ci]}
`))
	if err != nil {
		log.Panic(err)
	}
	registry, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: host, Insecure: true}}}) // Insecure: on loopback only
	if err != nil {
		log.Panic(err)
	}
	v, err := verifier.New(root, trusted, verifier.WithRegistry(registry))
	if err != nil {
		log.Panic(err)
	}

	decision, err := v.Verify(context.Background(), host+"/acme/app:v1")
	if err != nil {
		log.Panic(err) // could not decide: treat it like a denial
	}
	fmt.Println("may run:", decision.Allowed())
	fmt.Println(strings.ReplaceAll(decision.Reasons()[0], host, "registry.example"))
	// Output:
	// may run: false
	// no signature found for registry.example/acme/app@sha256:732112270d7e59418a8c080b134b24cabd67d250d0d0147a97ed95ba5c280aa4: sign it in CI with `hallmark sign`
}

// Check who signed a file, here the provenance of a public npm package, offline.
func ExampleCrypto_VerifyBundle() {
	root, err := trust.FromFile("testdata/public-good/trusted_root.json")
	if err != nil {
		log.Fatal(err)
	}
	crypto, err := verifier.NewCrypto(root)
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := os.ReadFile("testdata/public-good/sigstore-js-2.0.0-provenance.sigstore.json")
	if err != nil {
		log.Fatal(err)
	}
	blob, err := verifier.ParseBlob(npmPackage) // or ReadBlob, with the file
	if err != nil {
		log.Fatal(err)
	}
	expected, err := verifier.NewIdentity(policy.Signer{
		Issuer:        "https://token.actions.githubusercontent.com",
		SubjectRegexp: `https://github\.com/sigstore/sigstore-js/.*`,
	})
	if err != nil {
		log.Fatal(err)
	}

	decision, err := crypto.VerifyBundle(context.Background(), blob, verifier.Evidence{Origin: "provenance.json", Bundle: bundle}, expected)
	if err != nil {
		log.Fatal(err) // could not decide: treat it like a denial
	}
	fmt.Println("verified:", decision.Allowed())
	fmt.Println(decision.Evidence[0].PredicateType)
	fmt.Println(decision.Evidence[0].Signer)
	// Output:
	// verified: true
	// https://slsa.dev/provenance/v1
	// https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main
}

// registryWithUnsignedImage starts a registry in this process and pushes an image to it.
func registryWithUnsignedImage(repository string) (host string, stop func()) {
	server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(&strings.Builder{}, "", 0))))
	host = strings.TrimPrefix(server.URL, "http://")
	ref, err := name.ParseReference(host + "/" + repository)
	if err == nil {
		err = remote.Write(ref, empty.Image)
	}
	if err != nil {
		panic(err)
	}
	return host, server.Close
}
