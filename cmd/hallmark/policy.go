// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/signer"
)

func policyCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Try policies before they are enforced",
		Args: cobra.ArbitraryArgs,
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(policyTestCommand(env))
	return cmd
}

// policyTest is a signing decision on somebody's desk: no service, no registry,
// no network.
type policyTest struct {
	token, identity, san, image, kind, predicateType string
	trustedRoot, author, now                         string
	platforms                                        []string
	documents                                        *evidenceFlags
	output                                           *string
}

func policyTestCommand(env environment) *cobra.Command {
	f := policyTest{}
	cmd := &cobra.Command{
		Use: "test FILE --token FILE --image IMAGE", Short: "Decide by a SigningPolicy file, offline, and explain", Args: oneArgument("policy file"),
		Long: "Give the decision of a SigningPolicy for a token and an image, with every check of every rule. Nothing is asked over a network:\n" +
			"  - THE TOKEN IS NOT VERIFIED. Its claims are believed, so that a policy can be tried with any claims;\n" +
			"    a JSON object of claims will do in its place. Ask a service with `hallmark sign --dry-run` for the truth.\n" +
			"  - The image is what its reference and --kind say; give its digest.\n" +
			"  - Documents come with the flags of `hallmark sign`, and are read as the service reads them. They are judged as if they had\n" +
			"    been attested now; Sigstore bundles (--evidence) are verified, and count with the time of their log entry.\n" +
			"  - Of an index, --has-platforms says which images it has, since no registry is asked.\n" +
			"Exit codes: 0 would be signed, 1 would be refused, 2 wrong usage, 3 could not decide.",
	}
	f.output = program.OutputFlag(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.token, "token", "", "`file` with a CI token or its claims as JSON, or - for stdin (default: HALLMARK_ID_TOKEN)")
	flags.StringVar(&f.image, "image", "", "`reference` with a digest (compulsory)")
	flags.StringVar(&f.kind, "kind", "", "what the reference names: image (the default), index (with --has-platforms the default), chart or artifact")
	flags.StringVar(&f.predicateType, "predicate-type", "", "decide about attesting this predicate `type` instead of signing")
	flags.StringVar(&f.identity, "identity", "", "`name` of the identity source (default: the policy's rule for such tokens)")
	flags.StringVar(&f.san, "san", "", "`URI` that the certificate would name (default: that of the public CI services)")
	f.documents = addEvidenceFlags(cmd)
	flags.Lookup("evidence").Usage = "`file` with any document that the service knows, or a Sigstore bundle; or a folder of them; may be repeated"
	flags.Lookup("sbom").Usage = "SBOM `file` (SPDX, CycloneDX, syft); may be repeated"
	flags.Lookup("dry-run").Hidden = true // it always is one
	flags.StringSliceVar(&f.platforms, "has-platforms", nil, "of an index, the `platforms` that it has, such as linux/amd64,linux/arm64; linux/amd64@sha256:… where a report names the image")
	flags.StringVar(&f.author, "evidence-author", "", "identity `URI` for which documents count as attested (default: the job's own)")
	flags.StringVar(&f.trustedRoot, "trusted-root", "", "trusted_root.json for bundles in the folder (default: TRUSTED_ROOT)")
	flags.StringVar(&f.now, "now", "", "`time` of the decision, such as 2026-01-31T00:00:00Z (default: now)")
	cmd.RunE = func(_ *cobra.Command, args []string) error { return f.run(env, args[0]) }
	return cmd
}

// testedDecision is the answer as data.
type testedDecision struct {
	signer.Explanation
	TokenVerified bool             `json:"tokenVerified"` // never
	Documents     []testedDocument `json:"documents"`
	Gates         []testedGate     `json:"gates"`
}

func (f *policyTest) run(env environment, file string) error {
	p, err := f.policy(env, file)
	if err != nil {
		return err
	}
	in, err := f.input(env, p)
	if err != nil {
		return err
	}
	index, err := newTestedIndex(in, f.platforms)
	if err != nil {
		return err
	}
	documents, err := f.handIn(env, p, in, index)
	if err != nil {
		return err
	}
	in.Evidence, in.Platforms, in.PlatformNames = documents.evidence, index.digests(), index.names()
	if err := f.provenance(p, &in); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(env.stderr, "hallmark: the token was not verified; this is a test of the policy, not of the token")
	decision := p.Explain(in)
	x := signer.Explanation{
		Image: f.image, Digest: attest.Digest(in.Digest), Kind: in.Kind, Identity: in.SAN, Issuer: in.Issuer,
		PolicyDigest: p.Digest(), Checks: decision.Checks,
	}
	if grant, ok := decision.Grant(); ok {
		terms, err := grant.Redeem()
		if err != nil {
			return err
		}
		x.Allowed, x.Rule = true, terms.Rule
	} else {
		x.Reasons = decision.Refusal().Reasons
	}
	if len(documents.reasons) > 0 { // as with `hallmark sign`, nothing is signed then
		x.Allowed, x.Rule, x.Reasons = false, "", append(documents.reasons, x.Reasons...)
		x.Checks = append(documents.checks, x.Checks...)
	}
	if !x.Allowed && in.Kind == policy.KindIndex && len(index) == 0 && p.Needs(in).Platforms {
		_, _ = fmt.Fprintln(env.stderr, "hallmark: the policy asks about the images of the index, and none are known here (hint: --has-platforms linux/amd64,linux/arm64)")
	}
	return f.print(env, x, documents.shown)
}

// provenance adds what the service would make, if a rule requires it.
func (f *policyTest) provenance(p *policy.SigningPolicy, in *policy.Input) error {
	dependencies, byproducts, err := f.documents.extras.claims()
	if err != nil {
		return err
	}
	if p.Needs(*in).Provenance {
		in.Evidence = append(in.Evidence, provenanceOf(*in))
	} else if len(dependencies)+len(byproducts) > 0 {
		return usage("%w", signer.ErrClaimsLost)
	}
	return nil
}

func (f *policyTest) policy(env environment, file string) (*policy.SigningPolicy, error) {
	if file == "-" && f.token == "-" {
		return nil, usage("stdin can hold one thing: the policy or the token")
	}
	raw, err := readBounded(env, file, maxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := policy.ParseSigningPolicy(raw)
	if err != nil {
		return nil, usage("%s: %w", file, err)
	}
	for _, strange := range document.StrangeTools(p) {
		_, _ = fmt.Fprintf(env.stderr, "hallmark: warning: %s: %s\n", file, strange)
	}
	return p, nil
}

// input is what the service would hand to the policy.
func (f *policyTest) input(env environment, p *policy.SigningPolicy) (policy.Input, error) {
	if f.image == "" {
		return policy.Input{}, usage("which image? (hint: --image registry.corp.example/acme/app@sha256:…)")
	}
	ref, err := oci.ParseReference(oci.WithoutScheme(f.image))
	if err != nil {
		return policy.Input{}, usage("%w", err)
	}
	if ref.Digest == "" {
		return policy.Input{}, usage("--image %s: nothing is asked over a network, so it needs its digest (hint: %s@sha256:…)", f.image, f.image)
	}
	switch {
	case len(f.platforms) == 0:
	case f.kind != "" && f.kind != policy.KindIndex:
		return policy.Input{}, usage("--kind %s: an image has no platforms, and --has-platforms says which (hint: leave --kind out, or --kind index)", f.kind)
	default:
		f.kind = policy.KindIndex
	}
	f.kind = cmp.Or(f.kind, policy.KindImage)
	if !slices.Contains([]string{policy.KindImage, policy.KindIndex, policy.KindChart, policy.KindArtifact}, f.kind) {
		return policy.Input{}, usage("--kind %q: want image, index, chart or artifact", f.kind)
	}
	claims, err := f.claims(env)
	if err != nil {
		return policy.Input{}, err
	}
	in := policy.Input{
		Action: policy.ActionSign, Claims: claims, Repository: ref.Repository, Digest: string(ref.Digest), Kind: f.kind, Now: time.Now(),
		MediaType: "application/vnd.oci.image.manifest.v1+json", SAN: f.san,
	}
	if f.kind == policy.KindIndex {
		in.MediaType = "application/vnd.oci.image.index.v1+json"
	}
	in.Issuer, _ = claims["iss"].(string)
	in.Subject, _ = claims["sub"].(string)
	for _, uri := range []struct{ flag, value string }{{"--san", f.san}, {"--evidence-author", f.author}} {
		if uri.value != "" && !isURI(uri.value) {
			return policy.Input{}, usage("%s %s: identities are URIs (hint: https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main)", uri.flag, uri.value)
		}
	}
	if f.predicateType != "" {
		in.Action = policy.ActionAttest
		if in.PredicateType, err = attest.CanonicalPredicateType(f.predicateType); err != nil {
			return policy.Input{}, usage("--predicate-type: %w", err)
		}
	}
	if f.now != "" {
		if in.Now, err = time.Parse(time.RFC3339, f.now); err != nil {
			return policy.Input{}, usage("--now %q is no time (hint: like 2026-01-31T00:00:00Z)", f.now)
		}
	}
	provider, san := guess(claims)
	in.Provider = provider
	if in.SAN == "" {
		in.SAN = san
	}
	if in.SAN == "" {
		return policy.Input{}, usage("whose claims are these? No CI identity follows from them (hint: claims of a whole token, such as job_workflow_ref of GitHub; for a CI that only the server's configuration describes, --san URI)")
	}
	in.Identity, err = f.source(p, provider)
	if err == nil && f.identity == "" {
		_, _ = fmt.Fprintf(env.stderr, "hallmark: identity source assumed: %s\n", assumed(in.Identity, provider))
	}
	return in, err
}

// assumed says which source, and that a service may have none of that name: rules for one that is not configured never hold.
func assumed(identity, provider string) string {
	if provider == "" || identity == provider {
		return program.Printable(identity)
	}
	return fmt.Sprintf("%s, for a token of %s (hint: rules for a source that the service's configuration does not name never hold; --identity NAME)", program.Printable(identity), provider)
}

// isURI reports whether a certificate could name it.
func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && u.Host != ""
}

// source is the identity source whose rules are asked.
func (f *policyTest) source(p *policy.SigningPolicy, provider string) (string, error) {
	names := p.Identities()
	switch {
	case f.identity != "":
		return f.identity, nil
	case slices.Contains(names, provider):
		return provider, nil
	case len(names) == 1:
		return names[0], nil
	}
	return "", usage("whose token is it? The policy has rules for %s (hint: --identity NAME)", strings.Join(names, ", "))
}

// guess recognises whose token it is, and what the public services' identities
// are called in certificates.
func guess(claims map[string]any) (provider, san string) {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	circle := func(name string) string { return text("oidc.circleci.com/" + name) }
	kubernetes, _ := claims["kubernetes.io"].(map[string]any)
	switch {
	case text("job_workflow_ref") != "":
		return "github", "https://github.com/" + text("job_workflow_ref")
	case text("ci_config_ref_uri") != "" || text("pipeline_source") != "":
		return "gitlab", "https://" + text("ci_config_ref_uri")
	case kubernetes != nil:
		account, _ := kubernetes["serviceaccount"].(map[string]any)
		return "kubernetes", fmt.Sprintf("https://kubernetes.io/namespaces/%v/serviceaccounts/%v", kubernetes["namespace"], account["name"])
	case text("pipeline_slug") != "":
		return "buildkite", "https://buildkite.com/" + text("organization_slug") + "/" + text("pipeline_slug")
	case circle("project-id") != "":
		return "circleci", "https://circleci.com/api/v2/projects/" + circle("project-id") + "/pipeline-definitions/" + circle("pipeline-definition-id")
	case strings.HasPrefix(text("sub"), "spiffe://"):
		return "spiffe", text("sub")
	}
	return "", ""
}
