// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// ofSibling refuses an SBOM about one image of an index that is of another one. What
// syft writes names a manifest that no registry may have, and says nothing for or
// against then; but the manifest of another image of the same index is that image.
// a is what the request names, of which subject is a platform.
func (s *Service) ofSibling(ctx context.Context, a, subject oci.Artifact, ev attest.Evidence) error {
	if a.Kind != oci.KindIndex || ev.SBOM == nil {
		return nil
	}
	switch named := attest.Digest(ev.SBOM.Digest); named {
	case "", a.Digest, subject.Digest:
		return nil
	default:
		if subject.Digest == a.Digest { // an SBOM of one platform may stand for the index
			return nil
		}
		images, err := s.cfg.Registry.Images(ctx, a)
		if err != nil {
			return err
		}
		for _, i := range images {
			if i.Digest == named {
				return fmt.Errorf("%w: it is about %s %s, not about %s", ErrBadRequest, i.Platform, named, subject.Digest)
			}
		}
	}
	return nil
}
