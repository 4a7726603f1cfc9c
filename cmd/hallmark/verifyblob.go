// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// verifyBlob verifies one bundle about a file or a digest, without a network.
func (f *verifyFlags) verifyBlob(cmd *cobra.Command, env environment, trusted trusted, subject string) (verifier.Decision, error) {
	if f.policy != "" || f.bundles != "" {
		return verifier.Decision{}, usage("--bundle goes with --key or the --certificate flags, not with --policy or --bundles")
	}
	if f.byService {
		return verifier.Decision{}, usage("--signed-by-service is about images: a bundle about a file is what its signer made it")
	}
	judge, err := f.blobJudge(env)
	if err != nil {
		return verifier.Decision{}, err
	}
	bundle, err := readBounded(env, f.bundle, verifier.MaxBundleBytes)
	if err != nil {
		return verifier.Decision{}, err
	}
	blob, err := openBlob(subject)
	if err != nil {
		return verifier.Decision{}, err
	}
	crypto, err := verifier.NewCrypto(trusted.root, trusted.options...)
	if err != nil {
		return verifier.Decision{}, err
	}
	return judge(cmd.Context(), crypto, blob, verifier.Evidence{Origin: f.bundle, Bundle: bundle})
}

// blobJudge decides about one bundle, by the signer that the flags demand.
type blobJudge func(context.Context, *verifier.Crypto, verifier.Blob, verifier.Evidence) (verifier.Decision, error)

// blobJudge takes --key or the certificate flags; checkKeyMode saw to it that
// there are not both.
func (f *verifyFlags) blobJudge(env environment) (blobJudge, error) {
	if f.key != "" {
		return f.keyJudge(env)
	}
	want, err := verifier.NewIdentity(policy.Signer{
		Issuer: f.issuer, IssuerRegexp: f.issuerRegexp, Subject: f.identity, SubjectRegexp: f.identityRegexp,
	})
	if err != nil {
		return nil, usage("%w (hint: --certificate-identity and --certificate-oidc-issuer, or --key)", err)
	}
	return func(ctx context.Context, c *verifier.Crypto, blob verifier.Blob, ev verifier.Evidence) (verifier.Decision, error) {
		return c.VerifyBundle(ctx, blob, ev, want)
	}, nil
}

func (f *verifyFlags) keyJudge(env environment) (blobJudge, error) {
	raw, err := readBounded(env, f.key, verifier.MaxKeyBytes)
	if err != nil {
		return nil, err
	}
	key, err := verifier.NewKey(raw)
	if err != nil {
		return nil, usage("%s: %w", f.key, err)
	}
	return func(ctx context.Context, c *verifier.Crypto, blob verifier.Blob, ev verifier.Evidence) (verifier.Decision, error) {
		return c.VerifyBundleWithKey(ctx, blob, ev, key)
	}, nil
}

// openBlob takes a digest like sha256:<hex>, or hashes a file.
func openBlob(subject string) (verifier.Blob, error) {
	for _, algorithm := range []string{"sha256:", "sha384:", "sha512:"} {
		if strings.HasPrefix(subject, algorithm) {
			blob, err := verifier.ParseBlob(subject)
			if err != nil {
				return verifier.Blob{}, usage("%w", err)
			}
			return blob, nil
		}
	}
	file, err := os.Open(subject) //nolint:gosec // the user names the file
	if err != nil {
		return verifier.Blob{}, usage("%w (hint: a file, or a digest like sha256:<hex>)", err)
	}
	defer func() { _ = file.Close() }() // read only
	return verifier.ReadBlob(subject, file)
}

// isNotFound tells an artifact that is not there from a registry that did not
// answer.
func isNotFound(err error) bool {
	return errors.Is(err, oci.ErrNotFound)
}
