// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// TestRelatives: an index's images, and an image's indexes, of the same repository
// and nothing else.
func TestRelatives(t *testing.T) {
	f := newFake(t, true)
	amd, arm := attest.DigestOf([]byte("amd")), attest.DigestOf([]byte("arm"))
	bodies := map[string]string{}
	push := func(body string) attest.Digest {
		digest := attest.DigestOf([]byte(body))
		bodies["/v2/acme/app/manifests/"+string(digest)] = body
		return digest
	}
	list := func(entries ...string) string {
		return `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + strings.Join(entries, ",") + `]}`
	}
	index := push(list(listed("amd", ociManifest, ""), listed("arm", ociManifest, "")))
	others := push(list(listed("other", ociManifest, "")))
	junk := push(`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":7}`)
	down := false
	f.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		body, there := bodies[r.URL.Path]
		switch {
		case !strings.Contains(r.URL.Path, "/manifests/"):
			return false
		case down:
			w.WriteHeader(http.StatusServiceUnavailable)
		case !there:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", ociIndex)
			_, _ = w.Write([]byte(body))
		}
		return true
	})
	gone := attest.DigestOf([]byte("gone"))
	subject := func(d attest.Digest, kind oci.Kind) oci.Artifact {
		return oci.Artifact{Registry: f.host, Repository: "acme/app", Digest: d, Kind: kind, MediaType: map[oci.Kind]string{oci.KindImage: ociManifest, oci.KindIndex: ociIndex}[kind], Size: 7}
	}
	for name, tc := range map[string]struct {
		subject     oci.Artifact
		named, want []attest.Digest
	}{
		"of an index":           {subject(index, oci.KindIndex), []attest.Digest{gone, arm, others}, []attest.Digest{arm}},
		"of an image":           {subject(amd, oci.KindImage), []attest.Digest{gone, junk, others, index}, []attest.Digest{index}},
		"beyond what is looked": {subject(amd, oci.KindImage), []attest.Digest{gone, junk, others, gone, index}, nil},
		"its own name":          {subject(amd, oci.KindImage), []attest.Digest{amd}, nil},
		"no digests":            {subject(amd, oci.KindImage), []attest.Digest{"latest", "../../x", "sha512:00", ""}, nil},
		"in another repository": {oci.Artifact{Registry: f.host, Repository: "acme/other", Digest: amd, Kind: oci.KindImage, MediaType: ociManifest, Size: 7}, []attest.Digest{index}, nil},
	} {
		if got, err := f.client().Relatives(t.Context(), tc.subject, tc.named); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	down = true
	for _, kind := range []oci.Kind{oci.KindImage, oci.KindIndex} {
		if _, err := f.client().Relatives(t.Context(), subject(amd, kind), []attest.Digest{index}); !errors.Is(err, oci.ErrUnavailable) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
