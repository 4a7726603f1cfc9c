// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// largeIndex has images for two platforms, and as many bytes of bundles about each.
type largeIndex struct {
	largeRegistry
	during func() // the look at its images
}

func (l largeIndex) Resolve(ctx context.Context, ref string) (oci.Artifact, error) {
	a, err := l.largeRegistry.Resolve(ctx, ref)
	a.Kind = oci.KindIndex
	return a, err
}

func (l largeIndex) Images(context.Context, oci.Artifact) ([]oci.PlatformImage, error) {
	l.during()
	return []oci.PlatformImage{
		{Platform: "linux/amd64", Artifact: oci.Artifact{Digest: attest.Digest(digest(2))}}, {Platform: "linux/arm64", Artifact: oci.Artifact{Digest: attest.Digest(digest(3))}},
		{Platform: "linux/s390x", Artifact: oci.Artifact{Digest: attest.Digest(digest(4))}},
	}, nil
}

// TestMemoryOfAnIndex: what is said about an index and its images has the bound of one image together, there is room for what is fetched before it is
// counted, and images that no policy asks about are not looked at.
func TestMemoryOfAnIndex(t *testing.T) {
	platforms := func(names ...string) *policy.TrustPolicy {
		p, err := policy.NewTrustPolicy("p", policy.TrustPolicySpec{
			Images: []string{"reg.example/"}, Signers: []policy.Signer{{Name: "ci", Issuer: "https://i", Subject: "https://s"}},
			Require: policy.Requirements{
				Signature: policy.SignatureRequirement{Signers: []string{"ci"}}, Evidence: &policy.EvidenceRequirement{Signers: []string{"ci"}, SBOM: true, Platforms: names},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	image := policy.Image{Registry: "reg.example", Repository: "app", Digest: digest(1)}
	for name, tc := range map[string]struct {
		size     int
		policies []*policy.TrustPolicy
		fetches  int64
		err      error
	}{
		"two platforms":           {MaxImageBytes / 4, []*policy.TrustPolicy{platforms("linux/amd64", "linux/arm64")}, 3, errVerified},
		"of two policies":         {MaxImageBytes / 4, []*policy.TrustPolicy{platforms("linux/amd64"), platforms("linux/arm64")}, 3, errVerified},
		"one":                     {MaxImageBytes / 2, []*policy.TrustPolicy{platforms("linux/amd64")}, 2, errVerified},
		"more than one image may": {MaxImageBytes / 2, []*policy.TrustPolicy{platforms("linux/amd64", "linux/arm64")}, 3, verifier.ErrTooMuchEvidence},
		"no policy asks":          {MaxImageBytes, []*policy.TrustPolicy{nil}, 1, errVerified},
	} {
		var fetches atomic.Int64
		var d *Decider
		d, err := NewDecider(largeIndex{largeRegistry{tc.size, &fetches, nil}, func() {
			if d.memory.TryAcquire(maxBytesInTotal - 2*MaxImageBytes + 1) {
				t.Errorf("%s: no memory is held for what is fetched", name)
			}
		}}, func(*policy.TrustPolicy) (*verifier.Verifier, error) {
			if held := int64(tc.size) * tc.fetches; d.memory.TryAcquire(maxBytesInTotal - held + 1) {
				t.Errorf("%s: less than %d bytes are held", name, held)
			}
			return nil, errVerified
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Decide(t.Context(), image, tc.policies); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v, want %v", name, err, tc.err)
		}
		if fetches.Load() != tc.fetches {
			t.Errorf("%s: %d fetches, want %d", name, fetches.Load(), tc.fetches)
		}
		if !d.memory.TryAcquire(maxBytesInTotal) {
			t.Errorf("%s: not all memory was given back", name)
		}
	}
}
