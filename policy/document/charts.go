// SPDX-License-Identifier: Apache-2.0

package document

import (
	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

func chartImagesOf(c *attest.ChartImages) *policy.ChartImages {
	out := &policy.ChartImages{Images: make([]policy.ChartImage, len(c.Images))}
	for i, image := range c.Images {
		out.Images[i] = policy.ChartImage{
			Reference: image.Reference, Pinned: image.Pinned, Signed: image.Signed, Guessed: image.Guessed, Problem: image.Problem,
		}
	}
	for _, r := range c.Renders {
		out.Given = out.Given || r.Digest != ""
		if r.Unread != "" {
			out.Unread = append(out.Unread, r.Unread)
		}
		if r.Problem != "" {
			out.Problems = append(out.Problems, "with "+r.Values+" values: "+r.Problem)
		}
	}
	return out
}
