// SPDX-License-Identifier: Apache-2.0

package document

import (
	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

func chartImagesOf(c *attest.ChartImages) *policy.ChartImages {
	out := &policy.ChartImages{Images: make([]policy.ChartImage, len(c.Images)), Renders: make([]policy.ChartRender, len(c.Renders))}
	for i, image := range c.Images {
		out.Images[i] = policy.ChartImage{
			Reference: image.Reference, Canonical: image.Canonical, Places: image.Places, Digest: string(image.Digest), Pinned: image.Pinned,
			Signed: image.Signed, Signers: image.Signers, Guessed: image.Guessed, Revoked: image.Revoked, Problem: image.Problem,
		}
	}
	for i, r := range c.Renders {
		out.Renders[i] = policy.ChartRender{
			Values: r.Values, Digest: string(r.Digest), Operation: r.Operation, Kubernetes: r.Kubernetes, APIs: r.APIs,
			Manifests: r.Manifests, Failed: r.Failed, Problem: r.Problem, Unread: r.Unread,
		}
	}
	return out
}
