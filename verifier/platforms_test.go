// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// indexRegistry has an index with an image for each of some platforms.
type indexRegistry struct {
	kind      oci.Kind
	bundles   map[attest.Digest][][]byte
	images    []oci.PlatformImage
	imagesErr error
	asked     *[]attest.Digest // for bundles
}

func (r indexRegistry) Resolve(context.Context, string) (oci.Artifact, error) {
	a := artifact
	a.Kind = r.kind
	return a, nil
}

func (r indexRegistry) Bundles(_ context.Context, about oci.Artifact) ([]oci.StoredBundle, error) {
	*r.asked = append(*r.asked, about.Digest)
	var all []oci.StoredBundle
	for _, b := range r.bundles[about.Digest] {
		all = append(all, oci.StoredBundle{Manifest: attest.DigestOf(b), Blob: attest.DigestOf(b), Bytes: b})
	}
	return all, nil
}

func (r indexRegistry) Images(context.Context, oci.Artifact) ([]oci.PlatformImage, error) {
	return r.images, r.imagesErr
}

// listless cannot list images.
type listless struct{ r indexRegistry }

func (l listless) Resolve(ctx context.Context, ref string) (oci.Artifact, error) {
	return l.r.Resolve(ctx, ref)
}

func (l listless) Bundles(ctx context.Context, a oci.Artifact) ([]oci.StoredBundle, error) {
	return l.r.Bundles(ctx, a)
}

// TestVerifyPlatforms: a policy that asks for evidence about platforms reads the index and what is said about those images, and only an accepted
// signer's statement about the very image counts.
func TestVerifyPlatforms(t *testing.T) {
	l := newLab(t)
	part := func(platform string) oci.PlatformImage {
		return oci.PlatformImage{Platform: platform, Artifact: oci.Artifact{Registry: artifact.Registry, Repository: artifact.Repository, Digest: attest.DigestOf([]byte(platform)), Kind: oci.KindImage}}
	}
	amd64, arm64, s390x := part("linux/amd64"), part("linux/arm64"), part("linux/s390x")
	const listing = `{"spdxVersion":"SPDX-2.3","packages":[{"name":"a"}]}`
	sbom := func(d attest.Digest, san string) []byte {
		issuer := attestorIssuer
		return l.sign(t, signing{payload: statement(t, d, "https://spdx.dev/Document", listing), sans: sans(san), issuer: &issuer}).encode(t)
	}
	signature := l.signature(t, image)
	spec := testPolicy(t, false).Spec()
	spec.Require.Evidence = &policy.EvidenceRequirement{Signers: []string{"attestor"}, SBOM: true, Platforms: []string{"linux/amd64", "linux/arm64"}}
	named, err := policy.NewTrustPolicy("named", spec)
	must(t, err)
	images := []oci.PlatformImage{amd64, arm64, s390x}
	both := map[attest.Digest][][]byte{image: {signature}, amd64.Digest: {sbom(amd64.Digest, attestorSAN)}, arm64.Digest: {sbom(arm64.Digest, attestorSAN)}}
	with := func(d attest.Digest, bundles ...[]byte) map[attest.Digest][][]byte {
		changed := map[attest.Digest][][]byte{}
		for k, v := range both {
			changed[k] = v
		}
		changed[d] = bundles
		return changed
	}
	for name, tc := range map[string]struct {
		registry indexRegistry
		says     string // of a denial
		err      string
	}{
		"both":                       {indexRegistry{kind: oci.KindIndex, bundles: both, images: images}, "", ""},
		"one lacks it":               {indexRegistry{kind: oci.KindIndex, bundles: with(arm64.Digest), images: images}, "platform linux/arm64", ""},
		"about the index":            {indexRegistry{kind: oci.KindIndex, bundles: map[attest.Digest][][]byte{image: {signature, sbom(image, attestorSAN)}}, images: images}, "platform linux/amd64", ""},
		"about another, moved here":  {indexRegistry{kind: oci.KindIndex, bundles: with(arm64.Digest, sbom(amd64.Digest, attestorSAN)), images: images}, "platform linux/arm64", ""},
		"by somebody else":           {indexRegistry{kind: oci.KindIndex, bundles: with(arm64.Digest, sbom(arm64.Digest, "https://evil.example")), images: images}, "platform linux/arm64", ""},
		"a signature of the image":   {indexRegistry{kind: oci.KindIndex, bundles: map[attest.Digest][][]byte{amd64.Digest: {l.signature(t, amd64.Digest), sbom(amd64.Digest, attestorSAN)}, arm64.Digest: both[arm64.Digest]}, images: images}, "signature", ""},
		"only what is not asked for": {indexRegistry{kind: oci.KindIndex, bundles: both, images: []oci.PlatformImage{s390x}}, "has none of the platforms", ""},
		"no images":                  {indexRegistry{kind: oci.KindIndex, bundles: both}, "names no platform", ""},
		"an image":                   {indexRegistry{kind: oci.KindImage, bundles: with(image, signature, sbom(image, attestorSAN))}, "", ""},
		"an image without":           {indexRegistry{kind: oci.KindImage, bundles: both}, "evidence.sbom", ""},
		"nobody knows what it is":    {indexRegistry{bundles: both, images: images}, "not known here", ""},
		"the index cannot be read":   {indexRegistry{kind: oci.KindIndex, bundles: both, imagesErr: oci.ErrUnavailable}, "", "unavailable"},
		"too much":                   {indexRegistry{kind: oci.KindIndex, bundles: with(arm64.Digest, make([]byte, 70<<20), make([]byte, 70<<20)), images: images}, "", "too much evidence"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			var asked []attest.Digest
			tc.registry.asked = &asked
			v, err := verifier.New(newRoot(t, l), named, verifier.WithClock(clockAtNow), verifier.WithRegistry(tc.registry))
			must(t, err)
			d, err := v.Verify(t.Context(), "registry.example/acme/app:v1")
			if (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Fatalf("error %v, want %q", err, tc.err)
			}
			if err != nil {
				return
			}
			if d.Allowed() != (tc.says == "") || !strings.Contains(strings.Join(d.Reasons(), "\n"), tc.says) {
				t.Errorf("allowed %t: %q, want %q", d.Allowed(), d.Reasons(), tc.says)
			}
			for _, digest := range asked {
				if digest == s390x.Digest {
					t.Error("the registry is asked about an image that the policy does not ask about")
				}
			}
			for _, e := range d.Evidence {
				if e.About == string(image) {
					t.Errorf("%+v", e)
				}
			}
			if name == "both" && (len(d.Evidence) != 3 || d.Evidence[1].About != string(amd64.Digest)) {
				t.Errorf("evidence %+v", d.Evidence)
			}
		})
	}

	// Without the index nothing is known of its images.
	v, err := verifier.New(newRoot(t, l), named, verifier.WithClock(clockAtNow))
	must(t, err)
	index := artifact
	index.Kind = oci.KindIndex
	if d, err := v.VerifyDigest(t.Context(), index, evidence(signature, sbom(image, attestorSAN))); err != nil || d.Allowed() {
		t.Errorf("allowed without the index: %v", err)
	}
	var asked []attest.Digest
	v, err = verifier.New(newRoot(t, l), named, verifier.WithClock(clockAtNow), verifier.WithRegistry(listless{indexRegistry{kind: oci.KindIndex, bundles: both, asked: &asked}}))
	must(t, err)
	if _, err := v.Verify(t.Context(), "registry.example/acme/app:v1"); err == nil || !strings.Contains(err.Error(), "does not list them") {
		t.Errorf("a registry that cannot list: %v", err)
	}
	if _, err := verifier.Parts(t.Context(), indexRegistry{images: images, asked: &asked, bundles: map[attest.Digest][][]byte{amd64.Digest: {make([]byte, 11)}}}, []verifier.Source{verifier.Referrers(indexRegistry{asked: &asked, bundles: map[attest.Digest][][]byte{amd64.Digest: {make([]byte, 11)}}})},
		index, 10, func([]string, [][]string) bool { return true }); !errors.Is(err, verifier.ErrTooMuchEvidence) {
		t.Errorf("more than the limit: %v", err)
	}
}
