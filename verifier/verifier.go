// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// factWorkers is how many bundles of one artifact are verified at a time. Verification is arithmetic, so more than a few only take
// the processor away from other requests.
const factWorkers = 4

// Policy is what a Verifier judges facts by.
type Policy = policy.TrustPolicy

// Verifier decides about artifacts. It is immutable, keeps nothing between calls, and is safe for concurrent use.
type Verifier struct {
	crypto   *Crypto
	policy   *Policy
	registry Registry
	sources  []Source
	clock    func() time.Time
}

// New makes a Verifier that trusts the root and demands what the policy says. Both are compulsory; a policy cannot be made without
// naming signers. Verify needs WithRegistry; VerifyDigest needs no option.
func New(root *trust.Root, p *Policy, opts ...Option) (*Verifier, error) {
	if p == nil {
		return nil, errors.New("new verifier: no policy (hint: policy.ParseTrustPolicy; a verifier without one would accept every signer)")
	}
	if p.Name() == "" {
		return nil, errors.New("new verifier: the policy is empty (hint: make it with policy.ParseTrustPolicy or policy.NewTrustPolicy)")
	}
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	crypto, err := NewCrypto(root, opts...)
	if err != nil {
		return nil, err
	}
	if len(cfg.sources) == 0 && cfg.registry != nil {
		cfg.sources = []Source{Referrers(cfg.registry)}
	}
	return &Verifier{crypto: crypto, policy: p, registry: cfg.registry, sources: cfg.sources, clock: cfg.clock}, nil
}

// Verify decides about the artifact that ref names now, a tag or a digest with its registry. The Decision speaks about the digest that
// the tag had at this moment: run that digest, not the tag.
//
// An error means that it could not decide: treat it like a denial. It wraps the registry client's error where that is the cause.
func (v *Verifier) Verify(ctx context.Context, ref string) (Decision, error) {
	if v.registry == nil {
		return Decision{}, errors.New("verify: no registry to look references up in (hint: WithRegistry, or VerifyDigest)")
	}
	// 1. The reference, once. From here on only the digest counts.
	artifact, err := v.registry.Resolve(ctx, ref)
	if err != nil {
		return Decision{}, fmt.Errorf("verify: %w", err)
	}

	// 2. Everything that is said about it, by anybody.
	found, err := v.gather(ctx, artifact)
	if err != nil {
		return Decision{}, fmt.Errorf("verify %s: could not look for signatures: %w", artifact, err)
	}

	if !v.policy.ReadsPlatforms() {
		return v.VerifyDigest(ctx, artifact, found) // 3.
	}
	parts, err := Parts(ctx, v.registry, v.sources, artifact, maxEvidenceBytes, v.policy.AsksAbout)
	if err != nil {
		return Decision{}, fmt.Errorf("verify %s: could not look for evidence about its images: %w", artifact, err)
	}

	// 3. What of that is proven, and whether it is enough.
	return v.VerifyIndex(ctx, artifact, found, parts)
}

// VerifyDigest decides about an artifact by the evidence given, without asking a registry or any source. The artifact's registry,
// repository and digest must be canonical; they are the question, not evidence. A policy that asks for evidence about the images of an index
// denies one here: see VerifyIndex.
func (v *Verifier) VerifyDigest(ctx context.Context, artifact oci.Artifact, found []Evidence) (Decision, error) {
	return v.verify(ctx, artifact, found, nil, false)
}

// verify is both; known says that the parts are all that an index has.
func (v *Verifier) verify(ctx context.Context, artifact oci.Artifact, found []Evidence, parts []Part, known bool) (Decision, error) {
	now := v.clock()
	blob, err := blobOf(artifact.Digest)
	if err != nil {
		return Decision{}, fmt.Errorf("verify: %w", err)
	}
	d := Decision{Artifact: artifact.String(), Digest: string(artifact.Digest), Policy: v.policy.Name(), At: now}

	facts, err := v.crypto.judge(ctx, &d, found, func(ctx context.Context, bundle []byte) (policy.Fact, error) {
		return v.crypto.fact(ctx, blob, bundle, nil)
	})
	if err != nil {
		return Decision{}, fmt.Errorf("verify %s: %w", artifact, err)
	}
	image := policy.Image{
		Registry: artifact.Registry, Repository: artifact.Repository, Tag: artifact.Tag, Digest: string(artifact.Digest),
	}
	if v.policy.ReadsEvidence() {
		read(facts, artifact.Digest)
	}
	consists, err := v.partsOf(ctx, &d, artifact, parts, known)
	if err != nil {
		return Decision{}, fmt.Errorf("verify %s: %w", artifact, err)
	}
	verdict := v.policy.EvaluateParts(image, facts, consists, now)
	d.Checks = append(d.Checks, verdict.Checks...)
	if verdict.Allowed() && len(facts) > 0 { // a policy that allows without evidence would be a mistake of ours
		d.allowed = true
		return d, nil
	}
	d.explain(verdict.Reasons())
	return d, nil
}

// gather asks every source. All must answer: evidence that a silent source withholds may be the newer, worse news.
func (v *Verifier) gather(ctx context.Context, artifact oci.Artifact) ([]Evidence, error) {
	var all []Evidence
	for _, source := range v.sources {
		found, err := source.Bundles(ctx, artifact)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// judge makes facts of the evidence with prove and records in the decision what became of every bundle. The same bundle found twice counts once.
// The order of facts and records is that of the evidence, whatever finished first.
func (c *Crypto) judge(ctx context.Context, d *Decision, found []Evidence, prove func(ctx context.Context, bundle []byte) (policy.Fact, error)) ([]policy.Fact, error) {
	if err := c.fresh(); err != nil {
		return nil, err
	}
	found, err := distinct(found)
	if err != nil {
		return nil, err
	}
	facts := make([]policy.Fact, len(found))
	d.Evidence = make([]EvidenceRef, len(found))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(factWorkers)
	for i, ev := range found {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			fact, err := prove(ctx, ev.Bundle)
			if ctx.Err() != nil { // whatever it says, it was not judged to its end
				return ctx.Err()
			}
			facts[i], d.Evidence[i] = fact, refTo(ev, fact, err)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var proven []policy.Fact
	for i, ref := range d.Evidence {
		d.Checks = append(d.Checks, ref.check())
		if ref.Verified {
			proven = append(proven, facts[i])
		}
	}
	return proven, nil
}

// distinct drops repeated bundles and enforces the bounds over all sources.
func distinct(found []Evidence) ([]Evidence, error) {
	if len(found) > MaxBundles {
		return nil, fmt.Errorf("%w: %d bundles, at most %d are judged", ErrTooMuchEvidence, len(found), MaxBundles)
	}
	total := 0
	seen := make(map[attest.Digest]bool, len(found))
	var kept []Evidence
	for _, ev := range found {
		if total += len(ev.Bundle); total > maxEvidenceBytes {
			return nil, fmt.Errorf("%w: more than %d bytes of bundles", ErrTooMuchEvidence, maxEvidenceBytes)
		}
		digest := attest.DigestOf(ev.Bundle)
		if !seen[digest] {
			seen[digest] = true
			kept = append(kept, ev)
		}
	}
	return kept, nil
}
