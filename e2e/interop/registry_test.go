// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hallmark-dev/hallmark/attest"
)

// newRegistry starts a registry with the referrers API on loopback and returns
// its host and port. The stock registry of package stock has none.
func newRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// image is a pushed image.
type image struct {
	ref    string // registry/repository@digest
	digest attest.Digest
	pushed v1.Descriptor
}

// push puts a small random image into the registry.
func push(t *testing.T, host string) image {
	t.Helper()
	img, err := random.Image(64, 1)
	check(t, err)
	tag, err := name.NewTag(host + "/acme/app:1")
	check(t, err)
	check(t, remote.Write(tag, img, remote.WithContext(t.Context())))
	pushed, err := remote.Head(tag, remote.WithContext(t.Context()))
	check(t, err)
	digest, err := attest.ParseDigest(pushed.Digest.String())
	check(t, err)
	return image{ref: tag.Context().Digest(string(digest)).String(), digest: digest, pushed: *pushed}
}

// emptyConfig is the config of an artifact that has none (OCI image-spec 1.1).
const (
	emptyConfig     = "{}"
	emptyConfigType = "application/vnd.oci.empty.v1+json"
)

// attach writes bundles as referrers of the image, as cosign 3 does.
func attach(t *testing.T, img image, bundles ...attest.Bundle) {
	t.Helper()
	ref, err := name.NewDigest(img.ref)
	check(t, err)
	ctx := remote.WithContext(t.Context())
	check(t, remote.WriteLayer(ref.Context(), static.NewLayer([]byte(emptyConfig), emptyConfigType), ctx))
	for _, b := range bundles {
		blob, err := b.Encode()
		check(t, err)
		check(t, remote.WriteLayer(ref.Context(), static.NewLayer(blob, attest.BundleMediaType), ctx))
		m := referrer(t, img, blob)
		check(t, remote.Put(ref.Context().Digest(string(attest.DigestOf(m))), m, ctx, remote.WithReferrersTagFallback(true)))
	}
}

// manifest is an OCI image manifest as bytes.
type manifest []byte

// RawManifest implements remote.Taggable.
func (m manifest) RawManifest() ([]byte, error) { return m, nil }

// MediaType lets the registry client set the content type.
func (m manifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func referrer(t *testing.T, img image, blob []byte) manifest {
	t.Helper()
	type object = map[string]any
	m, err := json.Marshal(object{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "artifactType": attest.BundleMediaType,
		"config":  object{"mediaType": emptyConfigType, "size": len(emptyConfig), "digest": attest.DigestOf([]byte(emptyConfig))},
		"layers":  []object{{"mediaType": attest.BundleMediaType, "size": len(blob), "digest": attest.DigestOf(blob)}},
		"subject": object{"mediaType": img.pushed.MediaType, "size": img.pushed.Size, "digest": img.digest},
	})
	check(t, err)
	return m
}
