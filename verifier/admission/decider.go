// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/semaphore"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// Limits on memory. Anybody who may push to one repository may attach bundles to its images, and start a pod with them in the cluster.
const (
	// MaxImageBytes is what the bundles of one image may have together: a signature and some attestations, one of them an SBOM of the largest size that
	// signers write (16 MiB, as base64 22 MiB). Configure the registry client with it as well, so that more is not even fetched.
	MaxImageBytes = 32 << 20
	// maxBytesInTotal is for all images that are verified at a time, of all requests: four of the largest kind. What it comes to in memory is in
	// deploy/controller/deployment.yaml.
	maxBytesInTotal = 4 * MaxImageBytes
)

// Decider verifies an image under several policies and asks the registry only once. It keeps nothing between calls.
type Decider struct {
	registry    verifier.Registry
	verifierFor func(*policy.TrustPolicy) (*verifier.Verifier, error)
	memory      *semaphore.Weighted // bytes of bundles that may be held now
}

// NewDecider makes a Decider of the registry client and a function that makes a policy's verifier under the trusted root of the moment.
func NewDecider(registry verifier.Registry, verifierFor func(*policy.TrustPolicy) (*verifier.Verifier, error)) (*Decider, error) {
	if registry == nil || verifierFor == nil {
		return nil, errors.New("decider needs a registry and a function that makes verifiers")
	}
	return &Decider{registry: registry, verifierFor: verifierFor, memory: semaphore.NewWeighted(maxBytesInTotal)}, nil
}

// Decide implements Config.Decide: resolve the digest, fetch what is said about it, let each policy judge. It waits while the bundles of other
// images take all the memory that there is for them; not to get any before the context ends is an error, and so denies.
func (d *Decider) Decide(ctx context.Context, image policy.Image, policies []*policy.TrustPolicy) ([]Decision, error) {
	artifact, err := d.registry.Resolve(ctx, image.Registry+"/"+image.Repository+"@"+image.Digest)
	if err != nil {
		return nil, err
	}
	if string(artifact.Digest) != image.Digest || artifact.Registry != image.Registry || artifact.Repository != image.Repository {
		return nil, fmt.Errorf("asked the registry for %s/%s@%s and was told about %s", image.Registry, image.Repository, image.Digest, artifact)
	}
	var evidence []verifier.Evidence
	var parts []verifier.Part
	platforms := verifier.HasParts(artifact) && slices.ContainsFunc(policies, (*policy.TrustPolicy).ReadsPlatforms)
	most := int64(MaxImageBytes)
	if platforms { // those that are kept, and those of the one that is fetched
		most *= 2
	}
	release, err := d.hold(ctx, artifact.String(), most, func() (size int64, err error) {
		source := verifier.Referrers(d.registry)
		if evidence, err = source.Bundles(ctx, artifact); err != nil {
			return 0, err
		}
		size = sizeOf(evidence)
		if platforms {
			parts, err = verifier.Parts(ctx, d.registry, []verifier.Source{source}, artifact, MaxImageBytes-size, func(names []string, all [][]string) bool {
				return slices.ContainsFunc(policies, func(p *policy.TrustPolicy) bool { return p.AsksAbout(names, all) })
			})
		}
		for _, part := range parts {
			size += sizeOf(part.Found)
		}
		return size, err
	})
	if err != nil {
		return nil, err
	}
	defer release()
	decisions := make([]Decision, len(policies))
	for i, p := range policies {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := d.verifierFor(p)
		if err != nil {
			return nil, err
		}
		decision, err := v.VerifyIndex(ctx, artifact, evidence, parts)
		if err != nil {
			return nil, err
		}
		decisions[i] = decision
	}
	return decisions, nil
}

// hold holds memory for the bundles that fetch finds about an artifact. Nobody knows their size beforehand, so it takes memory for the most there may be (held), and gives back
// what was not needed, which is nearly all of it for most images. The rest is given back by release, when the bundles are no longer used.
func (d *Decider) hold(ctx context.Context, artifact string, held int64, fetch func() (size int64, err error)) (release func(), err error) {
	if err := d.memory.Acquire(ctx, held); err != nil {
		return nil, fmt.Errorf("too many large signatures and attestations are being verified, those of %s were not looked at in time: %w (hint: try again)", artifact, err)
	}
	defer func() {
		if err != nil {
			d.memory.Release(held)
		}
	}()
	size, err := fetch()
	if err != nil {
		return nil, fmt.Errorf("look for signatures of %s: %w", artifact, err)
	}
	if size > MaxImageBytes {
		return nil, fmt.Errorf("%w: %s has %d bytes of bundles, at most %d are judged (hint: delete bundles that nobody needs)", verifier.ErrTooMuchEvidence, artifact, size, MaxImageBytes)
	}
	d.memory.Release(held - size)
	return func() { d.memory.Release(size) }, nil
}

func sizeOf(evidence []verifier.Evidence) (size int64) {
	for _, e := range evidence {
		size += int64(len(e.Bundle))
	}
	return size
}
