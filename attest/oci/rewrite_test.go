// SPDX-License-Identifier: Apache-2.0

package oci_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// TestRewrittenManifestsAreReserved: a manifest that is read, changed and
// written counts as memory until it is written, not only while it is read.
func TestRewrittenManifestsAreReserved(t *testing.T) {
	for name, tc := range map[string]struct {
		referrersAPI bool
		write        func(c *oci.Client, subject oci.Artifact, n int) error
	}{
		"legacy tag": {true, func(c *oci.Client, subject oci.Artifact, n int) error {
			_, err := c.AttachLayers(t.Context(), subject, oci.SignatureTag, []oci.TagLayer{layer(n)})
			return err
		}},
		"referrers tag": {false, func(c *oci.Client, subject oci.Artifact, n int) error {
			_, err := c.AttachBundle(t.Context(), subject, blob(n))
			return err
		}},
	} {
		f := newFake(t, tc.referrersAPI)
		c, subject := f.client(), f.subject()
		if err := tc.write(c, subject, 1); err != nil {
			t.Fatal(err)
		}
		writes, unreserved := 0, 0
		f.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256-") {
				if writes++; c.Idle() {
					unreserved++
				}
			}
			return false
		})
		if err := tc.write(c, subject, 2); err != nil {
			t.Fatal(err)
		}
		if writes != 1 || unreserved != 0 || !c.Idle() {
			t.Errorf("%s: %d of %d writes without a reservation; nothing is reserved afterwards: %v", name, unreserved, writes, c.Idle())
		}
	}
}
