// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/verifier"
)

// evidenceTree is `hallmark evidence`: what is attached to an image and its
// platforms, and what of it is proven.
type evidenceTree struct {
	verifyFlags
	server, download string
	keys             []string
}

func evidenceCommand(env environment) *cobra.Command {
	f := evidenceTree{}
	cmd := &cobra.Command{
		Use: "evidence IMAGE", Short: "Show what is attached to an image, and what of it is proven", Args: oneArgument("image"),
		Long: "Show everything that is attached to an image and to the images of an index: signatures, attestations with what they say, the\n" +
			"documents that they name, legacy tags, and what others have pushed beside them. All of it is verified with the trusted root.\n\n" +
			"Who may sign is not looked at, unless the --certificate flags or --policy say who. Then the exit code is the decision of\n" +
			"`hallmark verify` about the image: 0 what is required is proven, 1 it is not. Junk beside it, which anybody who may push can\n" +
			"attach, is shown and changes nothing. Without them it is 0 if something is attached and every signature and attestation\n" +
			"verifies, and 1 if not. 2 is wrong usage, 3 could not decide.\n\n" +
			"--download saves the documents under their digests, byte for byte as they were attested, and says where each is.",
	}
	f.output = program.OutputFlag(cmd)
	f.trustFlags.register(cmd)
	f.registryFlags.register(cmd)
	f.registerIdentity(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", "", "`URL` of the signing service whose record is shown as well (default: the registry alone)")
	flags.StringVar(&f.download, "download", "", "`folder` to save the verified documents to")
	flags.StringArrayVar(&f.keys, "key", nil, "PEM public key `file` of signatures that were made by key; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.run(cmd, env, oci.WithoutScheme(args[0])) }
	return cmd
}

// subjectTree is one digest and what is attached to it.
type subjectTree struct {
	Artifact  string        `json:"artifact"`
	Digest    attest.Digest `json:"digest"`
	Kind      string        `json:"kind"`
	Platform  string        `json:"platform,omitempty"` // what the index says of it
	Attached  []attached    `json:"attached"`
	Platforms []subjectTree `json:"platforms,omitempty"`
}

// evidenceAnswer is the whole answer as data.
type evidenceAnswer struct {
	Allowed  bool               `json:"allowed"`
	Reasons  []string           `json:"reasons,omitempty"`
	Decision *verifier.Decision `json:"decision,omitempty"` // with --policy or the certificate flags
	subjectTree
}

func (f *evidenceTree) run(cmd *cobra.Command, env environment, image string) error {
	ref, err := oci.ParseReference(image)
	if err != nil {
		return usage("%w", err)
	}
	trusted, err := f.read(cmd.Context(), env)
	if err != nil {
		return err
	}
	g := gatherer{now: time.Now()}
	if g.crypto, err = verifier.NewCrypto(trusted.root, trusted.options...); err != nil {
		return err
	}
	if g.unrevoked, err = verifier.NewCrypto(trusted.root); err != nil {
		return err
	}
	if g.keys, err = readKeys(env, f.keys); err != nil {
		return err
	}
	if g.registry, err = f.client(ref); err != nil {
		return err
	}
	if f.server != "" {
		if g.service, err = newClient(env, f.server); err != nil {
			return err
		}
	}
	artifact, err := g.registry.Resolve(cmd.Context(), image)
	if err != nil {
		if isNotFound(err) {
			return no("%w", err)
		}
		return notThere(err, "the registry", "the image's name")
	}
	var answer evidenceAnswer
	if answer.subjectTree, err = g.tree(cmd.Context(), artifact); err != nil {
		return err
	}
	if err := f.judge(cmd, env, trusted, artifact, &answer); err != nil {
		return err
	}
	if f.download != "" {
		if err := g.save(cmd.Context(), artifact, &answer.subjectTree, f.download); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(env.stderr, "hallmark: "+answer.saved(f.download))
	}
	if err := program.Print(*f.output, env.stdout, answer, func(w io.Writer) { printTree(w, answer, g.now) }); err != nil {
		return err
	}
	if !answer.Allowed {
		return no("%s:%s", artifact, indented(answer.Reasons))
	}
	return nil
}

// judge asks the policy about the image, or looks whether all is verified.
func (f *evidenceTree) judge(cmd *cobra.Command, env environment, trusted trusted, artifact oci.Artifact, answer *evidenceAnswer) error {
	if f.policy+f.identity+f.identityRegexp+f.issuer+f.issuerRegexp == "" {
		answer.Reasons = answer.unverified()
		answer.Allowed = len(answer.Reasons) == 0
		return nil
	}
	p, err := f.trustPolicy(env, artifact.Registry+"/")
	if err != nil {
		return err
	}
	v, err := verifier.New(trusted.root, p, trusted.options...)
	if err != nil {
		return usage("%w", err)
	}
	d, err := v.VerifyDigest(cmd.Context(), artifact, answer.evidence())
	if err != nil {
		return err
	}
	answer.Decision, answer.Allowed, answer.Reasons = &d, d.Allowed(), d.Reasons()
	return nil
}

// unverified says what keeps the answer from being yes.
func (t *subjectTree) unverified() []string {
	var reasons []string
	verified := 0
	revoked := map[string]int{} // what was revoked, and how many rest on it
	for i := range t.Attached {
		switch a := &t.Attached[i]; {
		case a.Verified:
			verified++
		case a.Revoked:
			revoked[a.Problem]++
		case a.claims():
			reasons = append(reasons, a.Origin+" does not verify: "+a.Problem)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(revoked)) {
		reasons = append(reasons, fmt.Sprintf("%s (%s)", what, verifier.DoNotCount(revoked[what])))
	}
	for i := range t.Platforms {
		for _, reason := range t.Platforms[i].unverified() {
			if reason != nothingAttached { // of an index, the index may be signed alone
				reasons = append(reasons, string(t.Platforms[i].Digest)+": "+reason)
			}
		}
	}
	if verified == 0 && len(revoked) == 0 {
		reasons = append(reasons, nothingAttached)
	}
	return reasons
}

const nothingAttached = "nothing that verifies is attached to it"

// evidence is what the policy judges: the bundles about this very digest.
func (t *subjectTree) evidence() []verifier.Evidence {
	var found []verifier.Evidence
	for _, a := range t.Attached {
		if a.bundle != nil {
			found = append(found, verifier.Evidence{Origin: a.Origin, Bundle: a.bundle})
		}
	}
	return found
}

// gatherer finds what is attached and holds it against the trusted root.
type gatherer struct {
	registry *oci.Client
	service  *client // or nil
	crypto   *verifier.Crypto
	// unrevoked is crypto without revocations, to say what it is that is revoked; or nil.
	unrevoked *verifier.Crypto
	keys      []verifier.Key
	now       time.Time
}

func readKeys(env environment, files []string) ([]verifier.Key, error) {
	var keys []verifier.Key
	for _, file := range files {
		raw, err := readBounded(env, file, verifier.MaxKeyBytes)
		if err != nil {
			return nil, err
		}
		key, err := verifier.NewKey(raw)
		if err != nil {
			return nil, usage("%s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// tree looks at an artifact and, if it is an index, at its images.
func (g *gatherer) tree(ctx context.Context, artifact oci.Artifact) (subjectTree, error) {
	t, err := g.subject(ctx, artifact)
	if err != nil || artifact.Kind != oci.KindIndex {
		return t, err
	}
	images, err := g.registry.Images(ctx, artifact)
	if err != nil && !errors.Is(err, oci.ErrBadManifest) { // an index of indexes has no platforms to show
		return t, err
	}
	for _, image := range images {
		child, err := g.subject(ctx, image.Artifact)
		if err != nil {
			return t, err
		}
		child.Platform = image.Platform
		t.Platforms = append(t.Platforms, child)
	}
	return t, nil
}

// subject finds what is attached to one digest: in the registry, and what the
// service has a record of.
func (g *gatherer) subject(ctx context.Context, artifact oci.Artifact) (subjectTree, error) {
	t := subjectTree{Artifact: artifact.String(), Digest: artifact.Digest, Kind: string(artifact.Kind), Attached: []attached{}}
	found, tags, err := g.registry.Attached(ctx, artifact)
	if err != nil {
		return t, err
	}
	seen := map[attest.Digest]int{}
	for _, r := range found {
		a := g.referrer(ctx, artifact, r)
		if a.bundle != nil {
			seen[a.Bundle] = len(t.Attached)
		}
		t.Attached = append(t.Attached, a)
	}
	if g.service != nil {
		for r, err := range g.service.receipts(ctx, string(artifact.Digest)) {
			if err != nil {
				return t, err
			}
			for _, one := range append([]signer.Attached{r.Attached}, r.Others...) {
				g.record(ctx, artifact, one.Bundle, seen, &t)
			}
		}
	}
	for _, tag := range tags {
		t.Attached = append(t.Attached, g.legacy(artifact, tag, t.Attached)...)
	}
	t.settle(g.now)
	return t, nil
}

// record adds a bundle that the service has a record of.
func (g *gatherer) record(ctx context.Context, artifact oci.Artifact, bundle []byte, seen map[attest.Digest]int, t *subjectTree) {
	if at, known := seen[attest.DigestOf(bundle)]; known {
		t.Attached[at].Origin += ", service"
		return
	}
	a := g.verified(ctx, artifact, bundle)
	a.Origin = "service"
	t.Attached = append(t.Attached, a)
}
