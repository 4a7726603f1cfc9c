// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

var hex64 = strings.Repeat("0123456789abcdef", 4)

func TestParseReference(t *testing.T) {
	for s, want := range map[string]oci.Reference{
		"registry.example/app:v1":             {Registry: "registry.example", Repository: "app", Tag: "v1"},
		"registry.example/a/b-c/d__e/f.g:V_1": {Registry: "registry.example", Repository: "a/b-c/d__e/f.g", Tag: "V_1"},
		"localhost/a@sha256:" + hex64:         {Registry: "localhost", Repository: "a", Digest: attest.Digest("sha256:" + hex64)},
		"127.0.0.1:5000/a:t@sha256:" + hex64:  {Registry: "127.0.0.1:5000", Repository: "a", Tag: "t", Digest: attest.Digest("sha256:" + hex64)},
		"registry:5000/a---b:sha256-" + hex64: {Registry: "registry:5000", Repository: "a---b", Tag: "sha256-" + hex64},
		"docker.io/library/nginx:latest":      {Registry: "docker.io", Repository: "library/nginx", Tag: "latest"},
		"xn--bcher-kva.example/a:t":           {Registry: "xn--bcher-kva.example", Repository: "a", Tag: "t"},
		"r.example:65535/sha256:abc":          {Registry: "r.example:65535", Repository: "sha256", Tag: "abc"},
	} {
		got, err := oci.ParseReference(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("%s: %+v (%s), %v", s, got, got, err)
		}
	}
}

// TestParseReferenceRefuses has every odd string that an API server lets
// through, and more.
func TestParseReferenceRefuses(t *testing.T) {
	for _, s := range []string{
		"", "nginx", "auto", "nginx:latest", "library/nginx:1", "docker://nginx", "https://h.example/x", "docker://h.example/x:1",
		"user:pw@h.example/x", "user@h.example/x:1", "/x", "/x:1", "h.example//x:1", "h.example/../x:1", "h.example/./x:1", "h.example/%2e%2e/x:1",
		"h.example/X/Y:1", "a:b:c", "h.example/a:b:c", "UPPER.HOST/x:1", "Localhost:1/x:1", "host./x:1", "h.example./x:1", ".h.example/x:1", "h..example/x:1",
		"h.example:443/x:1", "h.example:0/x:1", "h.example:080/x:1", "h.example:+80/x:1", "h.example:65536/x:1", "h.example:/x:1", "h.example:a/x:1", "h.example:1:2/x:1",
		"[::1]:5000/x:1", "[::1]/x:1", "::1/x:1", "bücher.example/x:1", "h\u0435.example/x:1", "h.example/\u0430:1", "h.example/x\u200b:1", "h.exam\u200bple/x:1",
		"h.example/x\n:1", "h.example/x:1\n", "\th.example/x:1", "h.example/x :1", " h.example/x:1", "h.example/x:1 ", "h.example/x\x00:1", "h.example/" + strings.Repeat("x", 5000) + ":1",
		"h.example/x@sha256:" + strings.ToUpper(hex64), "h.example/x@sha256:" + hex64[1:], "h.example/x@sha256:" + hex64 + "0", "h.example/x@sha256:" + hex64 + "@sha256:" + hex64,
		"h.example/x@md5:" + hex64[:32], "h.example/x@sha512:" + hex64 + hex64, "h.example/x@SHA256:" + hex64, "h.example/x@sha256:", "h.example/x@", "h.example/x:@sha256:" + hex64,
		"sha256:" + hex64, hex64[:12], "h.example@sha256:" + hex64, "h.example", "h.example/", "h.example/:1", "h.example/x", "h.example/x/", "h.example/x/:1", "h.example/x:",
		"h.example/x:-a", "h.example/x:.a", "h.example/x:" + strings.Repeat("a", 129), "h.example/-x:1", "h.example/x-:1", "h.example/x..y:1", "h.example/x___y:1", "h.example/_x:1",
		"-h.example/x:1", "h-.example/x:1", "h_h.example/x:1", strings.Repeat("a", 64) + ".example/x:1", "h.example/" + strings.Repeat("x", 250) + ":1",
		"127.1/x:1", "2130706433:5000/x:1", "0x7f.1/x:1", "127.0.0.01:5000/x:1", "1.2.3.4.5/x:1", "256.0.0.1/x:1", "h.example/x?y:1", "h.example/x#y:1", `h.example\x:1`, "h.example/x*:1",
		"docker.io/nginx:1", "index.docker.io/library/nginx:1", "registry-1.docker.io/library/nginx:1", "registry.hub.docker.com/library/nginx:1",
	} {
		ref, err := oci.ParseReference(s)
		if !errors.Is(err, oci.ErrBadReference) || ref != (oci.Reference{}) {
			t.Errorf("%q: %+v, %v", s, ref, err)
			continue
		}
		if msg := err.Error(); strings.ContainsAny(msg, "\n\t\x00\u200b") || len(msg) > 600 {
			t.Errorf("%q: message %q is not one short line", s, msg)
		}
	}
}

func TestParseReferenceHints(t *testing.T) {
	for s, want := range map[string]string{
		"nginx:1":           "registry.example/nginx:1",
		"h.example/x":       "h.example/x@sha256:",
		"docker.io/nginx:1": "docker.io/library/nginx",
		"https://h.example": "leave the scheme out",
		"h.example:443/x:1": "leave it out",
	} {
		if _, err := oci.ParseReference(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", s, err, want)
		}
	}
}

// FuzzParseReference: what is accepted is written as it was read, in parts
// that cannot be taken for anything else, and go-containerregistry's strict
// parser, an independent one, reads the same from it.
func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"registry.example/app:v1", "localhost/a@sha256:" + hex64, "127.0.0.1:5000/a/b:t@sha256:" + hex64, "docker.io/library/nginx:1",
		"h.example:443/x:1", "[::1]:5000/x:1", "a:b:c", "h.example/x@sha256:", "nginx", "UPPER.example/x:1", "1.2.3.4/x:1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := oci.ParseReference(s)
		if err != nil {
			if !errors.Is(err, oci.ErrBadReference) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if ref.String() != s {
			t.Fatalf("%q is written %q", s, ref)
		}
		again, err := oci.ParseReference(ref.String())
		if err != nil || again != ref {
			t.Fatalf("%q parses to %+v, then to %+v (%v)", s, ref, again, err)
		}
		if ref.Tag == "" && ref.Digest == "" || strings.ContainsAny(ref.Registry, "/@") || strings.ContainsAny(ref.Repository, ":@") || s != strings.ToValidUTF8(s, "") {
			t.Fatalf("parts of %q: %+v", s, ref)
		}
		theirs, err := name.ParseReference(s, name.StrictValidation)
		if err != nil {
			if len(ref.Repository) < 2 {
				return // they want two characters at least
			}
			t.Fatalf("%q: go-containerregistry says %v", s, err)
		}
		registry := ref.Registry
		if registry == "docker.io" {
			registry = "index.docker.io"
		}
		identifier := ref.Tag
		if ref.Digest != "" {
			identifier = string(ref.Digest)
		}
		if theirs.Context().RegistryStr() != registry || theirs.Context().RepositoryStr() != ref.Repository || theirs.Identifier() != identifier {
			t.Fatalf("%q: ours %+v, theirs %s %s", s, ref, theirs.Context(), theirs.Identifier())
		}
	})
}
