// SPDX-License-Identifier: Apache-2.0

// Command verify asks Flux's own verification code about one artifact, as its
// source-controller does when it fetches an OCIRepository or a HelmChart:
//
//	verify -trusted-root FILE -issuer REGEXP -subject REGEXP REFERENCE
//	verify -key FILE REFERENCE
//
// The code is internal to source-controller. This module has a path below it,
// which is what Go asks for; nothing of it is changed. Exit codes: 0 verified,
// 1 not, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/fluxcd/source-controller/internal/oci"
	"github.com/fluxcd/source-controller/internal/oci/cosign"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	sigstore "github.com/sigstore/cosign/v3/pkg/cosign"
)

// timeout is the default of an OCIRepository.
const timeout = 60 * time.Second

func main() {
	key := flag.String("key", "", "PEM public key, as in secretRef")
	root := flag.String("trusted-root", "", "trusted_root.json, as in trustedRootSecretRef")
	issuer := flag.String("issuer", "", "matchOIDCIdentity.issuer")
	subject := flag.String("subject", "", "matchOIDCIdentity.subject")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := verify(flag.Arg(0), *key, *root, *issuer, *subject); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("verified")
}

// verify does what reconcileSource of the controller of OCIRepository does.
func verify(reference, key, trustedRoot, issuer, subject string) error {
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	transport, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		return errors.New("the registry client's transport is another one")
	}
	// As makeRemoteOptions has them. They matter: without them cosign shares one
	// limiter among all reads and never gives its turns back.
	opts := []cosign.Options{
		cosign.WithRemoteOptions(remote.WithContext(ctx), remote.WithUserAgent("flux"), remote.WithTransport(transport.Clone()), remote.WithAuthFromKeychain(authn.DefaultKeychain)),
		cosign.WithInsecure(true), // of a registry on loopback
		cosign.WithTLSConfig(transport.TLSClientConfig),
	}
	if key != "" {
		content, err := os.ReadFile(key)
		if err != nil {
			return err
		}
		opts = append(opts, cosign.WithPublicKey(content))
	} else {
		content, err := os.ReadFile(trustedRoot)
		if err != nil {
			return err
		}
		opts = append(opts, cosign.WithTrustedRoot(content), cosign.WithIdentities([]sigstore.Identity{{IssuerRegExp: issuer, SubjectRegExp: subject}}))
	}
	verifier, err := cosign.NewCosignVerifierFactory().NewCosignVerifier(ctx, opts...)
	if err != nil {
		return err
	}
	result, err := verifier.Verify(ctx, ref)
	if err != nil {
		return err
	}
	if result != oci.VerificationResultSuccess {
		return fmt.Errorf("not verified: %s", result)
	}
	return nil
}
