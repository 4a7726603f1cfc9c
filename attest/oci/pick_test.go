// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// indexOf is an index with images for platforms; names joined by "+" are of one
// image.
func indexOf(platforms ...string) (images []oci.PlatformImage) {
	for i, name := range platforms {
		names := strings.Split(name, "+")
		images = append(images, oci.PlatformImage{Platform: names[0], Others: names[1:], Artifact: oci.Artifact{Digest: attest.DigestOf([]byte{byte(i)})}})
	}
	return images
}

// TestPick: one name is one image, by whatever word, and nobody guesses.
func TestPick(t *testing.T) {
	for _, tc := range []struct {
		has, name, want string // want are platforms, or what an error says
		is              error
	}{
		{"linux/amd64 linux/arm64/v8", "linux/arm64", "linux/arm64/v8", nil},
		{"linux/amd64 linux/arm64/v8", "linux/aarch64", "linux/arm64/v8", nil},
		{"linux/amd64 linux/arm64/v8", "Linux/x86_64", "linux/amd64", nil},
		{"linux/amd64 linux/arm64", "linux/arm64/v8", "linux/arm64", nil},
		{"linux/arm/v6 linux/arm/v7", "linux/arm/7", "linux/arm/v7", nil},
		{"linux/arm/v6 linux/arm/v7", "linux/arm", "two images match, linux/arm/v6 and linux/arm/v7; name one", oci.ErrAmbiguous},
		{"linux/arm64/v9 linux/arm64/v8", "linux/arm64", "two images match, linux/arm64/v8 and linux/arm64/v9; name one", oci.ErrAmbiguous},
		{"linux/arm64 linux/arm64/v9", "linux/arm64", "linux/arm64", nil}, // that is what the index calls it
		{"linux/arm64 linux/arm64/v9", "linux/aarch64", "two images match", oci.ErrAmbiguous},
		{"plan9/mips+linux/amd64 linux/arm64", "linux/amd64", "plan9/mips", nil},
		{"windows/amd64 windows/amd64 windows/amd64", "windows/amd64", "three images match, windows/amd64 sha256:", oci.ErrAmbiguous},
		{"linux/amd64 linux/arm64", "all", "linux/amd64 linux/arm64", nil},
		{"linux/amd64 linux/arm64", string(attest.DigestOf([]byte{1})), "linux/arm64", nil},
		{"linux/arm64 linux/amd64", "linux/arm/v7", "has no such image (hint: it has linux/amd64, linux/arm64)", oci.ErrNoPlatform},
		{"linux/amd64", "linux/amd46", "has no such image", oci.ErrNoPlatform},
		{"linux/amd64", "linux/amd64/v3", "has no such image", oci.ErrNoPlatform},
		{"/ linux/unknown", "linux", "has no such image", oci.ErrNoPlatform},
		{"/", "", "has no such image", oci.ErrNoPlatform},
		{"", "all", "it has no images", oci.ErrNoPlatform},
	} {
		got, err := oci.Pick(oci.Artifact{}, indexOf(strings.Fields(tc.has)...), tc.name)
		var platforms []string
		for _, image := range got {
			platforms = append(platforms, image.Platform)
		}
		switch said := strings.Join(platforms, " "); {
		case !errors.Is(err, tc.is), err == nil && said != tc.want, err != nil && !strings.Contains(err.Error(), tc.want):
			t.Errorf("%s of %s: %s, %v, want %s", tc.name, tc.has, said, err, tc.want)
		}
	}
}
