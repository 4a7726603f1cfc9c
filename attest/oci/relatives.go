// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
)

// maxRelatives bounds the digests that are looked up for one document. Scanners
// name an image once for every repository that it was pulled from.
const maxRelatives = 4

// Relatives returns which of the digests are the subject's next of kin: of an
// index its images, of an image the indexes of its repository that hold it. What
// is not in the repository, or is no index, is no relative. Errors are those of
// Images, and mean that nobody can say.
func (c *Client) Relatives(ctx context.Context, subject Artifact, named []attest.Digest) ([]attest.Digest, error) {
	if subject.Kind == KindIndex {
		images, err := c.Images(ctx, subject)
		if err != nil {
			return nil, err
		}
		var kin []attest.Digest
		for _, i := range images {
			if slices.Contains(named, i.Digest) {
				kin = append(kin, i.Digest)
			}
		}
		return kin, nil
	}
	t, err := c.subjectTarget(subject, pull)
	if err != nil {
		return nil, fmt.Errorf("relatives: %w", err)
	}
	var kin []attest.Digest
	for _, digest := range named[:min(len(named), maxRelatives)] {
		if _, err := attest.ParseDigest(string(digest)); err != nil || digest == subject.Digest {
			continue
		}
		images, err := c.images(ctx, t, Artifact{Registry: subject.Registry, Repository: subject.Repository, Digest: digest})
		if noIndex(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(images, func(i PlatformImage) bool { return i.Digest == subject.Digest }) {
			kin = append(kin, digest)
		}
	}
	return kin, nil
}

// noIndex tells an answer about what there is from none.
func noIndex(err error) bool {
	for _, no := range []error{ErrNotFound, ErrBadManifest, ErrDigestMismatch, ErrTooLarge, ErrTooMany} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
