// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// A policy can ask for evidence about the images of an index, and not only about the digest that was named. Then the index is read as well, and
// what is said about those of its images that the policy asks about.

// ImageLister is what a Registry has to be besides; *oci.Client is one. Images returns the images of an index, with what the index says that
// they are for.
type ImageLister interface {
	Images(ctx context.Context, index oci.Artifact) ([]oci.PlatformImage, error)
}

// Part is one image of an index and what was found about it. An image without evidence is one, too.
type Part struct {
	Image oci.PlatformImage
	Found []Evidence
}

// HasParts reports whether an artifact is an index.
func HasParts(artifact oci.Artifact) bool { return artifact.Kind == oci.KindIndex }

// Parts reads an index and looks for evidence about those of its images that asks wants, in all sources; asks gets what the index says that an
// image is for, and that of all its images. Of the others it says that they are there. The bundles of all images together may have limit bytes; those of one image are fetched
// before they are counted.
func Parts(ctx context.Context, registry Registry, sources []Source, artifact oci.Artifact, limit int64, asks func(names []string, all [][]string) bool) ([]Part, error) {
	if !HasParts(artifact) {
		return nil, nil
	}
	lister, ok := registry.(ImageLister)
	if !ok {
		return nil, errors.New("the policy asks for evidence about the images of an index, and this registry client does not list them")
	}
	images, err := lister.Images(ctx, artifact)
	if err != nil {
		return nil, err
	}
	parts := make([]Part, len(images))
	var total int64
	all := make([][]string, len(images))
	for i, image := range images {
		all[i] = image.Platforms()
	}
	for i, image := range images {
		parts[i].Image = image
		if !asks(all[i], all) {
			continue
		}
		for _, source := range sources {
			found, err := source.Bundles(ctx, image.Artifact)
			if err != nil {
				return nil, err
			}
			parts[i].Found = append(parts[i].Found, found...)
			for _, e := range found {
				total += int64(len(e.Bundle))
			}
		}
		if total > limit {
			return nil, fmt.Errorf("%w: more than %d bytes of bundles about the images of %s", ErrTooMuchEvidence, limit, artifact)
		}
	}
	return parts, nil
}

// VerifyIndex is VerifyDigest for a policy that asks for evidence about the images of an index. artifact.Kind says whether it is one; parts are
// all images that it has.
func (v *Verifier) VerifyIndex(ctx context.Context, artifact oci.Artifact, found []Evidence, parts []Part) (Decision, error) {
	return v.verify(ctx, artifact, found, parts, true)
}

// partsOf proves what was found about the images of an index, and records it in the decision. It returns nil if nobody knows what the image is.
func (v *Verifier) partsOf(ctx context.Context, d *Decision, artifact oci.Artifact, parts []Part, known bool) (*policy.Parts, error) {
	switch {
	case !v.policy.ReadsPlatforms() || artifact.Kind == "":
		return nil, nil //nolint:nilnil // unknown
	case artifact.Kind != oci.KindIndex:
		return &policy.Parts{}, nil
	case !known:
		return nil, nil //nolint:nilnil // unknown
	}
	all := &policy.Parts{Index: true}
	for _, part := range parts {
		facts, err := v.partFacts(ctx, d, part)
		if err != nil {
			return nil, err
		}
		all.Platforms = append(all.Platforms, policy.Part{Digest: string(part.Image.Digest), Names: part.Image.Platforms(), Facts: facts})
	}
	return all, nil
}

func (v *Verifier) partFacts(ctx context.Context, d *Decision, part Part) ([]policy.Fact, error) {
	blob, err := blobOf(part.Image.Digest)
	if err != nil {
		return nil, err
	}
	var about Decision
	facts, err := v.crypto.judge(ctx, &about, part.Found, func(ctx context.Context, bundle []byte) (policy.Fact, error) {
		return v.crypto.fact(ctx, blob, bundle, nil)
	})
	if err != nil {
		return nil, err
	}
	for i := range about.Evidence {
		about.Evidence[i].About = string(part.Image.Digest)
	}
	d.Evidence, d.Checks = append(d.Evidence, about.Evidence...), append(d.Checks, about.Checks...)
	read(facts, part.Image.Digest)
	return facts, nil
}

// read gives facts that are evidence their documents.
func read(facts []policy.Fact, digest attest.Digest) {
	for i := range facts {
		if d, ok := document.Of(facts[i], digest); ok {
			facts[i].Document = &d
		}
	}
}
