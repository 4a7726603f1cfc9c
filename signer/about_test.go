// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestDocumentPlatforms: each document of a request is about what it says itself,
// or what the request says.
func TestDocumentPlatforms(t *testing.T) {
	image := func(platform string, others ...string) oci.PlatformImage {
		return oci.PlatformImage{Platform: platform, Others: others, Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Digest: attest.DigestOf([]byte(platform)), Kind: oci.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1,
		}}
	}
	amd64, arm64 := image("linux/amd64"), image("linux/arm64", "linux/arm64/v9")
	for name, tc := range map[string]struct {
		request   string
		documents []string // platform of each
		want      []string // "document digest"
	}{
		"its own":                 {"", []string{"linux/amd64", "linux/arm64", ""}, []string{"0 " + string(amd64.Digest), "1 " + string(arm64.Digest), "2 " + string(theImage)}},
		"in place of the request": {"all", []string{string(arm64.Digest), ""}, []string{"0 " + string(arm64.Digest), "1 " + string(amd64.Digest), "1 " + string(arm64.Digest)}},
		"another name of it":      {"", []string{"linux/arm64/v9"}, []string{"0 " + string(arm64.Digest)}},
		"a plainer name of it":    {"", []string{"linux/x86_64", "linux/arm64/v8"}, []string{"0 " + string(amd64.Digest), "1 " + string(arm64.Digest)}},
		"one that is not there":   {"", []string{"linux/amd64", "linux/s390x"}, nil},
		"a digest that is not":    {"", []string{string(attest.DigestOf([]byte("x")))}, nil},
		"the index of an image":   {"", []string{"index"}, nil}, // the world's artifact is none
	} {
		w := newDocuments(t)
		w.images = []oci.PlatformImage{amd64, arm64}
		if name != "the index of an image" {
			w.kind = oci.KindIndex
		}
		var all []signer.Document
		for i, platform := range tc.documents {
			all = append(all, signer.Document{Name: fmt.Sprint(i), Content: []byte(strings.Replace(sbomFile, `"packages"`, fmt.Sprintf(`"name": "%d", "packages"`, i), 1)), Platform: platform})
		}
		req := documents(all...)
		req.Platform = tc.request
		receipts, err := w.start().AttestDocuments(t.Context(), req)
		if (err == nil) != (tc.want != nil) || (err != nil && !errors.Is(err, signer.ErrBadRequest) && !errors.Is(err, oci.ErrNoPlatform)) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, r := range receipts {
			got = append(got, string(r.Digest))
		}
		var want []string
		for _, one := range tc.want {
			want = append(want, one[2:])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: about %q, want %q", name, got, want)
		}
		w.check()
	}
}

// TestSBOMOfSibling: what syft made of one image of an index is not about another
// one, whatever the request says.
func TestSBOMOfSibling(t *testing.T) {
	image := func(platform string) oci.PlatformImage {
		return oci.PlatformImage{Platform: platform, Artifact: oci.Artifact{
			Registry: "registry.example", Repository: "acme/app", Digest: attest.DigestOf([]byte(platform)), Kind: oci.KindImage, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1,
		}}
	}
	amd64, arm64 := image("linux/amd64"), image("linux/arm64")
	sbom := func(digest attest.Digest) []byte {
		return fmt.Appendf(nil, `{"bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"tools": {"components": [{"type": "application", "name": "syft", "version": "1.57.0"}]}, "component": {"type": "container", "name": "app", "version": %q}}, "components": [{"name": "a"}]}`, digest)
	}
	for _, tc := range []struct {
		of    attest.Digest
		about string
		says  string
	}{
		{arm64.Digest, "linux/arm64", ""}, {arm64.Digest, "linux/aarch64", ""}, {theImage, "linux/arm64", ""}, {attest.DigestOf([]byte("local")), "linux/arm64", ""},
		{arm64.Digest, "", ""}, {arm64.Digest, "index", ""},
		{arm64.Digest, "linux/amd64", "it is about linux/arm64 " + string(arm64.Digest) + ", not about " + string(amd64.Digest)},
		{arm64.Digest, "all", "it is about linux/arm64"},
		{arm64.Digest, string(amd64.Digest), "it is about linux/arm64"},
	} {
		w := newDocuments(t)
		w.images, w.kind = []oci.PlatformImage{amd64, arm64}, oci.KindIndex
		w.policy = strings.ReplaceAll(documentsPolicy, "https://spdx.dev/Document", "https://cyclonedx.org/bom")
		_, err := w.start().AttestDocuments(t.Context(), documents(signer.Document{Name: "sbom.json", Content: sbom(tc.of), Platform: tc.about}))
		if (err == nil) != (tc.says == "") || err != nil && (!errors.Is(err, signer.ErrBadRequest) || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s about %s: %v", tc.of, tc.about, err)
		}
		w.check()
	}
}
