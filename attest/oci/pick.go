// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest/platform"
)

// ErrNoPlatform says that an index has no image for a platform that was asked
// for.
var ErrNoPlatform = errors.New("no such image")

// ErrAmbiguous says that a platform's name fits several images of an index.
var ErrAmbiguous = errors.New("images match")

// AllImages stands for every image of an index where a platform is named.
const AllImages = "all"

// Pick returns the images of an index that a name is for: AllImages, the digest of
// one, or a platform. A platform is the image that the index calls so, or else the
// one whose platform is the same by another word (linux/aarch64 is linux/arm64/v8);
// without a variant it is any variant, but one image. Errors are ErrNoPlatform and
// ErrAmbiguous; both say what the index has, and begin with the index or the name.
func Pick(index Artifact, images []PlatformImage, name string) ([]PlatformImage, error) {
	if name == AllImages && len(images) > 0 {
		return images, nil
	}
	var names []string
	var called, same []PlatformImage
	wanted := platform.Want(name)
	for _, i := range images {
		names = append(names, i.Platform)
		if string(i.Digest) == name {
			return []PlatformImage{i}, nil
		}
		if slices.Contains(i.Platforms(), name) {
			called = append(called, i)
		}
		if !wanted.IsNowhere() && slices.ContainsFunc(i.Platforms(), func(n string) bool { return wanted.Covers(platform.Read(n)) }) {
			same = append(same, i)
		}
	}
	if len(called) == 0 {
		called = same
	}
	switch {
	case len(called) == 0 && len(images) == 0:
		return nil, fmt.Errorf("%s has %w (hint: it has no images)", index, ErrNoPlatform)
	case len(called) == 0:
		slices.Sort(names)
		return nil, fmt.Errorf("%s has %w (hint: it has %s)", index, ErrNoPlatform, strings.Join(slices.Compact(names), ", "))
	case len(called) > 1:
		return nil, ambiguous(called)
	}
	return called, nil
}

// small are numbers as words.
var small = []string{2: "two", 3: "three", 4: "four"}

// ambiguous names the images by what tells them apart.
func ambiguous(images []PlatformImage) error {
	var names []string
	for _, i := range images {
		names = append(names, i.Platform)
	}
	slices.Sort(names)
	name := "name one"
	if len(slices.Compact(slices.Clone(names))) < len(images) {
		names, name = nil, "name one by its digest"
		for _, i := range images {
			names = append(names, i.Platform+" "+string(i.Digest))
		}
	}
	count := fmt.Sprint(len(images))
	if len(images) < len(small) {
		count = small[len(images)]
	}
	last := len(names) - 1
	return fmt.Errorf("%s %w, %s and %s; %s", count, ErrAmbiguous, strings.Join(names[:last], ", "), names[last], name)
}
