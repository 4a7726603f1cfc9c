// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// ofSibling refuses an SBOM about one image of an index that is of another one. What
// syft writes names a manifest that no registry may have, and says nothing for or
// against then; but the manifest of another image of the same index is that image.
// a is what the request names, of whose images subject is one.
func ofSibling(a, subject oci.Artifact, images []oci.PlatformImage, ev attest.Evidence) error {
	if ev.SBOM == nil || subject.Digest == a.Digest { // an SBOM of one platform may stand for the index
		return nil
	}
	for _, i := range images {
		if named := attest.Digest(ev.SBOM.Digest); i.Digest == named && named != subject.Digest {
			return fmt.Errorf("%w: it is about %s %s, not about %s", ErrBadRequest, i.Platform, named, subject.Digest)
		}
	}
	return nil
}
