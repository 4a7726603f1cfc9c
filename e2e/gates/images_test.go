// SPDX-License-Identifier: Apache-2.0

package gates

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

func client(t *testing.T, image string) (*oci.Client, oci.Artifact) {
	t.Helper()
	host, _, _ := strings.Cut(image, "/")
	c, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: host, Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Resolve(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

// platforms are the digests of an index's images.
func platforms(t *testing.T, image string) []string {
	t.Helper()
	c, index := client(t, image)
	images, err := c.Images(t.Context(), index)
	if err != nil || len(images) != 2 {
		t.Fatalf("platforms %v, %v", images, err)
	}
	var digests []string
	for _, i := range images {
		digests = append(digests, string(i.Digest))
	}
	return digests
}

// attached are the bundles of an image.
func attached(t *testing.T, image string) [][]byte {
	t.Helper()
	c, a := client(t, image)
	found, err := c.Bundles(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	var bundles [][]byte
	for _, b := range found {
		bundles = append(bundles, b.Bytes)
	}
	return bundles
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
