// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// about is what the statements of a request are about, by the platform that
// their documents name; "" is that of the request. The index is read once,
// however many platforms are named; images are those that were read.
func (s *Service) about(ctx context.Context, a oci.Artifact, req Request) (about map[string][]oci.Artifact, images []oci.PlatformImage, err error) {
	named := map[string]string{"": req.Platform} // what is named, by who names it
	for _, d := range req.Documents {
		if d.Platform != "" {
			named[d.Platform] = d.Platform
		}
	}
	about = make(map[string][]oci.Artifact)
	for by, platform := range named {
		switch {
		case platform == platformIndex && a.Kind != oci.KindIndex:
			return nil, nil, noIndex(a, platform)
		case platform == "" || platform == platformIndex:
			about[by] = []oci.Artifact{a}
			continue
		}
		if images == nil {
			if images, err = s.cfg.Registry.Images(ctx, a); err != nil {
				return nil, nil, err
			}
		}
		if a.Kind != oci.KindIndex {
			return nil, nil, noIndex(a, platform)
		}
		if about[by], err = subjects(a, images, platform); err != nil {
			return nil, nil, err
		}
	}
	return about, images, nil
}

func noIndex(a oci.Artifact, platform string) error {
	return fmt.Errorf("%w: platform %q: %s is no index (hint: leave the platform out)", ErrBadRequest, clip(platform), a)
}

// kindAbout is the kind of what a document is about, before the index is read.
func kindAbout(a oci.Artifact, platform string) string {
	if platform == "" || platform == platformIndex {
		return string(a.Kind)
	}
	return string(oci.KindImage)
}
