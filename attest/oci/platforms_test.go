// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// listed is one of an index.
func listed(name, mediaType, rest string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7%s}`, mediaType, attest.DigestOf([]byte(name)), rest)
}

func TestPlatforms(t *testing.T) {
	arm := listed("arm", ociManifest, `,"platform":{"os":"linux","architecture":"arm64"}`)
	amd := listed("amd", dockerManifest, `,"platform":{"os":"linux","architecture":"amd64"}`)
	attestation := listed("attestation", ociManifest, `,"platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`)
	var many []string
	for i := range 65 {
		many = append(many, listed(fmt.Sprint(i), ociManifest, ""))
	}
	var renamed []string
	for i := range 66 {
		renamed = append(renamed, listed("arm", ociManifest, fmt.Sprintf(`,"platform":{"os":"linux","architecture":"a%d"}`, i)))
	}
	for name, tc := range map[string]struct {
		entries []string
		images  []string
		is      error
	}{
		"two":                    {[]string{arm, amd}, []string{"arm", "amd"}, nil},
		"none":                   {nil, nil, nil},
		"without a platform":     {[]string{listed("plain", ociManifest, "")}, []string{"plain"}, nil},
		"twice":                  {[]string{arm, arm}, []string{"arm"}, nil},
		"a build tool's":         {[]string{attestation, arm}, []string{"arm"}, nil},
		"only its platform":      {[]string{listed("x", ociManifest, `,"platform":{"os":"unknown"}`)}, nil, nil},
		"something else":         {[]string{listed("x", "application/x", ""), arm}, nil, oci.ErrBadManifest},
		"an image of no type":    {[]string{listed("x", "", `,"platform":{"os":"linux","architecture":"amd64"}`), amd}, nil, oci.ErrBadManifest},
		"nowhere, of any type":   {[]string{listed("x", "application/x", `,"platform":{"os":"unknown","architecture":"unknown"}`), arm}, []string{"arm"}, nil},
		"no words":               {[]string{listed("x", ociManifest, `,"platform":{"os":"linux","architecture":"\u001b[2J\n::error::"}`)}, nil, oci.ErrBadManifest},
		"words with a path":      {[]string{listed("x", ociManifest, `,"platform":{"os":"linux","architecture":"../amd64"}`)}, nil, oci.ErrBadManifest},
		"long words":             {[]string{listed("x", ociManifest, `,"platform":{"os":"linux","architecture":"amd64","variant":"`+strings.Repeat("v", 65)+`"}`)}, nil, oci.ErrBadManifest},
		"called an attestation":  {[]string{listed("x", ociManifest, `,"platform":{"os":"linux","architecture":"amd64"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`), amd}, []string{"x", "amd"}, nil},
		"an index in it":         {[]string{arm, listed("x", ociIndex, "")}, nil, oci.ErrBadManifest},
		"no digest":              {[]string{`{"mediaType":"` + ociManifest + `","digest":"md5:1","size":1}`}, nil, oci.ErrBadManifest},
		"a platform of no shape": {[]string{listed("x", ociManifest, `,"platform":[]`)}, nil, oci.ErrBadManifest},
		"too many":               {many, nil, oci.ErrTooMany},
		"too many names":         {renamed, nil, oci.ErrTooMany},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, true)
			body := `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + strings.Join(tc.entries, ",") + `]}`
			f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				w.Header().Set("Content-Type", ociIndex)
				_, _ = w.Write([]byte(body))
				return true
			})
			c := f.client()
			index, err := c.Resolve(t.Context(), f.host+"/acme/app@"+string(attest.DigestOf([]byte(body))))
			if err != nil {
				t.Fatal(err)
			}
			images, err := c.Images(t.Context(), index)
			if !errors.Is(err, tc.is) || (err == nil) != (tc.is == nil) || len(images) != len(tc.images) {
				t.Fatalf("images %v, %v", images, err)
			}
			for i, want := range tc.images {
				if got := images[i]; got.Digest != attest.DigestOf([]byte(want)) || got.Kind != oci.KindImage || got.Repository != "acme/app" || got.Size != 7 {
					t.Errorf("image %d is %+v, want %s", i, got, want)
				}
			}
		})
	}
	if images, err := newFake(t, true).client().Images(t.Context(), oci.Artifact{Kind: oci.KindImage}); images != nil || err != nil {
		t.Errorf("an image has platforms %v, %v", images, err)
	}
}

// TestPlatformNames: an image has every name that the index gives it, so that
// none of them hides another.
func TestPlatformNames(t *testing.T) {
	f := newFake(t, true)
	body := `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + strings.Join([]string{
		listed("a", ociManifest, `,"platform":{"os":"plan9","architecture":"mips"}`), listed("a", ociManifest, `,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`),
		listed("a", ociManifest, `,"platform":{"os":"plan9","architecture":"mips"}`), listed("b", ociManifest, `,"platform":{"os":"linux","architecture":"amd64","os.features":["x","y"]}`),
	}, ",") + `]}`
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", ociIndex)
		_, _ = w.Write([]byte(body))
		return strings.Contains(r.URL.Path, "/manifests/")
	})
	c := f.client()
	index, err := c.Resolve(t.Context(), f.host+"/acme/app@"+string(attest.DigestOf([]byte(body))))
	if err != nil {
		t.Fatal(err)
	}
	images, err := c.Images(t.Context(), index)
	if err != nil || len(images) != 2 {
		t.Fatalf("%v, %v", images, err)
	}
	if got := strings.Join(images[0].Platforms(), " "); got != "plan9/mips linux/arm/v7" {
		t.Errorf("names %q", got)
	}
	if got := strings.Join(images[1].Platforms(), " "); got != "linux(+x+y)/amd64" {
		t.Errorf("names %q", got)
	}
	for named, want := range map[string]string{
		"plan9/mips": "plan9/mips", "linux/arm/v7": "plan9/mips", "linux/arm": "plan9/mips", "linux/armhf": "plan9/mips", "linux/arm/v6": "", "linux": "", "": "",
		string(images[0].Digest): "plan9/mips", string(images[1].Digest): "linux(+x+y)/amd64", "linux/amd64": "linux(+x+y)/amd64",
	} {
		got, err := oci.Pick(index, images, named)
		if (want == "") != errors.Is(err, oci.ErrNoPlatform) || err == nil && (len(got) != 1 || got[0].Platform != want) {
			t.Errorf("%s: %v, %v", named, got, err)
		}
	}
}
