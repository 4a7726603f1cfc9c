// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// Decider verifies an image under several policies and asks the registry only once. It keeps nothing between calls.
type Decider struct {
	registry    verifier.Registry
	verifierFor func(*policy.TrustPolicy) (*verifier.Verifier, error)
}

// NewDecider makes a Decider of the registry client and a function that makes a policy's verifier under the trusted root of the moment.
func NewDecider(registry verifier.Registry, verifierFor func(*policy.TrustPolicy) (*verifier.Verifier, error)) (*Decider, error) {
	if registry == nil || verifierFor == nil {
		return nil, errors.New("decider needs a registry and a function that makes verifiers")
	}
	return &Decider{registry: registry, verifierFor: verifierFor}, nil
}

// Decide implements Config.Decide: resolve the digest, fetch what is said about it, let each policy judge.
func (d *Decider) Decide(ctx context.Context, image policy.Image, policies []*policy.TrustPolicy) ([]Decision, error) {
	artifact, err := d.registry.Resolve(ctx, image.Registry+"/"+image.Repository+"@"+image.Digest)
	if err != nil {
		return nil, err
	}
	if string(artifact.Digest) != image.Digest || artifact.Registry != image.Registry || artifact.Repository != image.Repository {
		return nil, fmt.Errorf("asked the registry for %s/%s@%s and was told about %s", image.Registry, image.Repository, image.Digest, artifact)
	}
	evidence, err := verifier.Referrers(d.registry).Bundles(ctx, artifact)
	if err != nil {
		return nil, fmt.Errorf("look for signatures of %s: %w", artifact, err)
	}
	decisions := make([]Decision, len(policies))
	for i, p := range policies {
		v, err := d.verifierFor(p)
		if err != nil {
			return nil, err
		}
		decision, err := v.VerifyDigest(ctx, artifact, evidence)
		if err != nil {
			return nil, err
		}
		decisions[i] = decision
	}
	return decisions, nil
}
