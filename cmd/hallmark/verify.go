// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// maxPolicy bounds a policy file, bytes.
const maxPolicy = 1 << 20

// verifyFlags are named as cosign names them, but regular expressions are
// always anchored.
type verifyFlags struct {
	trustFlags
	identity, identityRegexp     string
	issuer, issuerRegexp         string
	policy, bundle, bundles, key string
	output                       *string
	byService                    bool
	registryFlags
}

// registryFlags say which other hosts belong to a registry.
type registryFlags struct {
	tokenHost string
	blobHosts []string
}

func (f *registryFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.tokenHost, "registry-token-host", "", "the registry's token service, if it is on another `host`; it gets the registry's credentials")
	flags.StringSliceVar(&f.blobHosts, "registry-blob-host", nil, "`host` of the storage that the registry redirects downloads to; may be repeated")
}

// registerIdentity adds the flags that say whose signature is wanted.
func (f *verifyFlags) registerIdentity(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.identity, "certificate-identity", "", "exact identity in the certificate")
	flags.StringVar(&f.identityRegexp, "certificate-identity-regexp", "", "regular expression for the whole identity")
	flags.StringVar(&f.issuer, "certificate-oidc-issuer", "", "exact OIDC issuer in the certificate")
	flags.StringVar(&f.issuerRegexp, "certificate-oidc-issuer-regexp", "", "regular expression for the whole issuer")
	flags.StringVar(&f.policy, "policy", "", "ImageTrustPolicy file, instead of the certificate flags")
}

func verifyCommand(env environment) *cobra.Command {
	f := verifyFlags{}
	cmd := &cobra.Command{
		Use: "verify IMAGE", Short: "Check who signed an artifact, and that it is logged", Args: oneArgument("image, file or digest"),
		Long: "Verify an image of a registry by its attached bundles:\n" +
			"  hallmark verify IMAGE --trusted-root FILE --certificate-identity X --certificate-oidc-issuer Y\n" +
			"  hallmark verify IMAGE --trusted-root FILE --policy FILE\n" +
			"  hallmark verify IMAGE --tuf-url URL --tuf-root FILE …   the trusted root and what is revoked, always the newest\n" +
			"or anybody's bundle about a file or a digest, offline:\n" +
			"  hallmark verify --bundle FILE --trusted-root FILE --certificate-identity X --certificate-oidc-issuer Y FILE|sha256:HEX\n" +
			"  hallmark verify --bundle FILE --trusted-root FILE --key FILE FILE|sha256:HEX\n" +
			"Regular expressions match the whole value. Exit codes: 0 verified, 1 not verified, 2 wrong usage, 3 could not decide.",
	}
	f.output = program.OutputFlag(cmd)
	flags := cmd.Flags()
	f.trustFlags.register(cmd)
	f.registerIdentity(cmd)
	flags.BoolVar(&f.byService, "signed-by-service", false, "only what the signing service has signed; not what a client signed with a certificate of its Fulcio API, where no gate is evaluated")
	flags.StringVar(&f.bundles, "bundles", "", "folder with the image's bundles, instead of its registry's")
	flags.StringVar(&f.bundle, "bundle", "", "bundle about the file or digest given as argument")
	f.registryFlags.register(cmd)
	flags.StringVar(&f.key, "key", "", "PEM public key that signed the bundle, instead of the certificate flags (with --bundle)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.checkKeyMode(cmd); err != nil {
			return err
		}
		trusted, err := f.read(cmd.Context(), env)
		if err != nil {
			return err
		}
		var decision verifier.Decision
		if f.bundle != "" {
			decision, err = f.verifyBlob(cmd, env, trusted, args[0])
		} else {
			decision, err = f.verifyImage(cmd, env, trusted, args[0])
		}
		if err != nil {
			return notThere(err, "the registry", "the image's name")
		}
		if err := program.Print(*f.output, env.stdout, decision, func(w io.Writer) { printDecision(w, decision) }); err != nil {
			return err
		}
		if !decision.Allowed() {
			return no("%s is not verified:%s", decision.Artifact, indented(decision.Reasons()))
		}
		return nil
	}
	return cmd
}

// checkKeyMode wants --key beside --bundle and alone. It looks at which flags
// were given, not at their values: an empty one is an unset variable in a
// script, and must not change what is verified.
func (f *verifyFlags) checkKeyMode(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if !flags.Changed("key") {
		return nil
	}
	for _, other := range []string{"certificate-identity", "certificate-identity-regexp", "certificate-oidc-issuer", "certificate-oidc-issuer-regexp", "policy", "bundles"} {
		if flags.Changed(other) {
			return usage("--key and --%s exclude each other: a bundle is signed with a key or with a certificate", other)
		}
	}
	switch {
	case f.bundle == "":
		return usage("--key goes with --bundle: images of a registry are verified by who signed (hint: --bundle FILE --key FILE sha256:<hex of the image>)")
	case f.key == "":
		return usage("--key names no file (hint: a PEM public key)")
	}
	return nil
}

// verifyImage verifies an artifact of a registry.
func (f *verifyFlags) verifyImage(cmd *cobra.Command, env environment, trusted trusted, image string) (verifier.Decision, error) {
	image = oci.WithoutScheme(image)
	ref, err := oci.ParseReference(image)
	if err != nil {
		return verifier.Decision{}, usage("%w", err)
	}
	p, err := f.trustPolicy(env, ref.Registry+"/")
	if err != nil {
		return verifier.Decision{}, err
	}
	client, err := f.client(ref)
	if err != nil {
		return verifier.Decision{}, err
	}
	opts := append(slices.Clone(trusted.options), verifier.WithRegistry(client))
	if f.bundles != "" {
		if err := isFolder("--bundles", f.bundles); err != nil {
			return verifier.Decision{}, err
		}
		opts = append(opts, verifier.WithSource(verifier.Directory(f.bundles)))
	}
	v, err := verifier.New(trusted.root, p, opts...)
	if err != nil {
		return verifier.Decision{}, usage("%w", err)
	}
	if f.bundles != "" && ref.Digest != "" {
		return verifyOffline(cmd.Context(), v, ref, f.bundles)
	}
	decision, err := v.Verify(cmd.Context(), image)
	if err != nil && isNotFound(err) {
		return verifier.Decision{}, no("%w", err)
	}
	return decision, err
}

// client speaks to the registry of a reference, and to no other.
func (f *registryFlags) client(ref oci.Reference) (*oci.Client, error) {
	return oci.New(oci.Config{
		Registries: []oci.Registry{{
			Host: ref.Registry, Insecure: oci.IsLoopback(ref.Registry), TokenHost: f.tokenHost, BlobHosts: f.blobHosts,
			ProxyFromEnvironment: true, // the user's own
		}},
		Keychain: authn.DefaultKeychain, // what docker login left; it goes to this registry only
	})
}

// verifyOffline needs no registry: the digest says what is asked about, and the
// evidence is in a folder.
func verifyOffline(ctx context.Context, v *verifier.Verifier, ref oci.Reference, folder string) (verifier.Decision, error) {
	artifact := oci.Artifact{Registry: ref.Registry, Repository: ref.Repository, Tag: ref.Tag, Digest: ref.Digest}
	found, err := verifier.Directory(folder).Bundles(ctx, artifact)
	if err != nil {
		return verifier.Decision{}, err
	}
	return v.VerifyDigest(ctx, artifact, found)
}

// trustPolicy reads --policy, or makes a policy of the certificate flags that
// asks for a signature on images below prefix.
func (f *verifyFlags) trustPolicy(env environment, prefix string) (*policy.TrustPolicy, error) {
	if f.policy != "" {
		if f.identity+f.identityRegexp+f.issuer+f.issuerRegexp != "" {
			return nil, usage("--policy and the --certificate flags exclude each other")
		}
		if f.byService {
			return nil, usage("--policy and --signed-by-service exclude each other (hint: a policy accepts nothing else, unless a signer has allowOnRequest)")
		}
		raw, err := readBounded(env, f.policy, maxPolicy)
		if err != nil {
			return nil, err
		}
		p, err := policy.ParseTrustPolicy(raw)
		if err != nil {
			return nil, usage("policy %s: %w", f.policy, err)
		}
		return p, nil
	}
	if f.identity+f.identityRegexp == "" || f.issuer+f.issuerRegexp == "" {
		return nil, usage("whose signature? (hint: --certificate-identity and --certificate-oidc-issuer, or --policy FILE)")
	}
	p, err := policy.NewTrustPolicy("command-line", policy.TrustPolicySpec{
		Images: []string{prefix},
		Signers: []policy.Signer{{
			Name: "expected", Issuer: f.issuer, IssuerRegexp: f.issuerRegexp, Subject: f.identity, SubjectRegexp: f.identityRegexp,
			AllowOnRequest: !f.byService,
		}},
		Require: policy.Requirements{Signature: policy.SignatureRequirement{Signers: []string{"expected"}}},
	})
	if err != nil {
		return nil, usage("%w", err)
	}
	return p, nil
}

func printDecision(w io.Writer, d verifier.Decision) {
	verdict := "not verified"
	if d.Allowed() {
		verdict = "verified"
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\n", verdict, d.Artifact)
	revoked := map[string]int{}
	// What was asked for comes first, what does not count last.
	rank := func(e verifier.EvidenceRef) int {
		switch {
		case !e.Verified:
			return 2
		case e.PredicateType == attest.PredicateSignature && e.About == "":
			return 0
		}
		return 1
	}
	found := slices.Clone(d.Evidence)
	slices.SortStableFunc(found, func(a, b verifier.EvidenceRef) int { return rank(a) - rank(b) })
	for _, e := range found {
		if e.Reason == verifier.ReasonRevoked {
			revoked[e.Detail]++
		}
	}
	for _, e := range found {
		if n := revoked[e.Detail]; e.Reason == verifier.ReasonRevoked && n > 1 {
			_, _ = fmt.Fprintf(w, "ignored\t%d bundles: %s\n", n, oneLine(e.Detail))
			revoked[e.Detail] = 0
			continue
		} else if e.Reason == verifier.ReasonRevoked && n == 0 {
			continue
		}
		if e.Verified {
			_, _ = fmt.Fprintf(w, "%s\tby %s, log entry %d, %s\n", e.PredicateType, signerOf(e), e.LogIndex, timeOf(e))
		} else {
			_, _ = fmt.Fprintf(w, "ignored\t%s: %s\n", e.Origin, oneLine(e.Detail))
		}
	}
}

// signerOf says who signed: a certificate names its issuer, a key has none.
func signerOf(e verifier.EvidenceRef) string {
	if e.Issuer == "" {
		return "key " + e.Signer
	}
	if e.OnRequest {
		return e.Signer + " of " + e.Issuer + ", not by the service (certificate on request, no gates)"
	}
	return e.Signer + " of " + e.Issuer
}

// timeOf says when; signatures by key may come without a proven time.
func timeOf(e verifier.EvidenceRef) string {
	if e.SignedAt.IsZero() {
		return "at an unproven time"
	}
	return e.SignedAt.UTC().Format("2006-01-02 15:04:05 UTC")
}

// oneLine makes a record's value of what may be several lines of a library.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func indented(lines []string) string {
	out := ""
	for _, line := range lines {
		out += "\n  " + oneLine(line)
	}
	return out
}
