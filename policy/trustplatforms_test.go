// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

const workedPlatforms = `
apiVersion: hallmark.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: prod}
spec:
  images: [registry.corp.example/prod/]
  signers:
  - {name: ci, issuer: "https://gitlab.corp.example", subject: "https://gitlab.corp.example/team/app//.gitlab-ci.yml@refs/heads/main"}
  - {name: hallmark, issuer: "https://hallmark.example", subject: "` + theAttestor + `"}
  require:
    signature: {signers: [ci]}
    evidence:
      signers: [hallmark]
      sbom: true
      INDEX
`

// workedOnPlatforms is the manual's last gate.
func workedOnPlatforms(t *testing.T, gate, said string) {
	t.Helper()
	p, err := policy.ParseTrustPolicy([]byte(strings.Replace(workedPlatforms, "signers: [hallmark]\n      sbom: true\n      INDEX", strings.ReplaceAll(gate, "\n", "\n      "), 1)))
	if err != nil {
		t.Fatal(err)
	}
	sbom := func(about string) []policy.Fact {
		d := doc(policy.EvidenceSBOM, func(d *policy.Document) { d.Digest = about })
		return []policy.Fact{{PredicateType: "t", Bound: true, SignedAt: d.At, SAN: d.Signer, Issuer: d.Issuer, Bundle: d.Bundle, Document: &d}}
	}
	parts := &policy.Parts{Index: true, Platforms: []policy.Part{
		{Digest: otherImage, Names: []string{"linux/amd64"}, Facts: sbom(otherImage)}, {Digest: armDigest, Names: []string{"linux/arm64"}, Facts: sbom(armDigest)},
	}}
	judge := func() policy.Verdict {
		return p.EvaluateParts(policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: digest}, []policy.Fact{{
			PredicateType: policy.PredicateSignature, Bound: true, SignedAt: judgedAt, SAN: "https://gitlab.corp.example/team/app//.gitlab-ci.yml@refs/heads/main",
			Issuer: "https://gitlab.corp.example", Bundle: "sha256:signature",
		}}, parts, judgedAt)
	}
	if v := judge(); !v.Allowed() {
		t.Errorf("a good image: %q", v.Reasons())
	}
	parts.Platforms[1].Facts = nil
	if got := judge().Reasons(); len(got) != 1 || got[0] != said {
		t.Errorf("denial %q\nthe manual says %s", got, said)
	}
}

// TestTrustPlatforms: a trust policy asks about the images of an index as a signing policy does, and denies what nobody has looked at.
func TestTrustPlatforms(t *testing.T) {
	image := policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: digest}
	signature := policy.Fact{
		PredicateType: policy.PredicateSignature, Bound: true, SignedAt: judgedAt, SAN: "https://gitlab.corp.example/team/app//.gitlab-ci.yml@refs/heads/main",
		Issuer: "https://gitlab.corp.example", Bundle: "sha256:signature",
	}
	sbom := func(about string) policy.Fact {
		d := doc(policy.EvidenceSBOM, func(d *policy.Document) { d.Digest = about })
		return policy.Fact{PredicateType: "t", Bound: true, SignedAt: d.At, SAN: d.Signer, Issuer: d.Issuer, Bundle: d.Bundle, Document: &d}
	}
	part := func(about, name string, facts ...policy.Fact) policy.Part {
		return policy.Part{Digest: about, Names: []string{name}, Facts: facts}
	}
	index := func(parts ...policy.Part) *policy.Parts { return &policy.Parts{Index: true, Platforms: parts} }
	one, two := part(otherImage, "linux/amd64", sbom(otherImage)), part(armDigest, "linux/arm64", sbom(armDigest))
	foreign := sbom(armDigest)
	foreign.SAN = "https://elsewhere.example"
	many := index()
	for range 65 {
		many.Platforms = append(many.Platforms, part("sha256:"+strings.Repeat("0", 62)+string("0123456789abcdef"[len(many.Platforms)/16])+string("0123456789abcdef"[len(many.Platforms)%16]), "linux/amd64"))
	}
	for name, tc := range map[string]struct {
		asks  string
		facts []policy.Fact // besides the signature
		parts *policy.Parts
		says  string
	}{
		"every platform":                 {"index: platforms", nil, index(one, two), ""},
		"one lacks it":                   {"index: platforms", nil, index(one, part(armDigest, "linux/arm64")), "platform linux/arm64"},
		"said of another":                {"index: platforms", nil, index(one, part(armDigest, "linux/arm64", sbom(otherImage))), "platform linux/arm64"},
		"said of one, found at another":  {"index: platforms", nil, index(part(otherImage, "linux/amd64"), part(armDigest, "linux/arm64", sbom(armDigest), sbom(otherImage))), "platform linux/amd64"},
		"by somebody else":               {"index: platforms", nil, index(one, part(armDigest, "linux/arm64", foreign)), "platform linux/arm64"},
		"the index only":                 {"index: platforms", []policy.Fact{sbom(digest)}, index(part(otherImage, "linux/amd64")), "platform linux/amd64"},
		"either, the index":              {"index: either", []policy.Fact{sbom(digest)}, index(part(otherImage, "linux/amd64")), ""},
		"either, the images":             {"index: either", nil, index(one, two), ""},
		"named":                          {"platforms: [linux/amd64]", nil, index(one, part(armDigest, "linux/arm64")), ""},
		"named, and lacks it":            {"platforms: [linux/arm64]", nil, index(one, part(armDigest, "linux/arm64")), "platform linux/arm64"},
		"none of the named":              {"platforms: [linux/s390x]", nil, index(one, two), "has none of the platforms"},
		"nobody has looked":              {"index: platforms", []policy.Fact{sbom(digest)}, nil, "not known here"},
		"an image":                       {"index: platforms", []policy.Fact{sbom(digest)}, &policy.Parts{}, ""},
		"an image without":               {"index: platforms", nil, &policy.Parts{}, "evidence.sbom"},
		"an image with images":           {"index: platforms", []policy.Fact{sbom(digest)}, &policy.Parts{Platforms: []policy.Part{one}}, "is no image"},
		"an image twice":                 {"index: platforms", nil, index(one, one), "there twice"},
		"no digest":                      {"index: platforms", nil, index(part("sha256:x", "linux/amd64")), "is no image"},
		"too many":                       {"index: platforms", nil, many, "more than 64 images"},
		"the index itself, as ever":      {"index: index", []policy.Fact{sbom(digest)}, nil, ""},
		"the index itself, of platforms": {"index: index", nil, index(one, two), "evidence.sbom"},
	} {
		p, err := policy.ParseTrustPolicy([]byte(strings.Replace(workedPlatforms, "INDEX", tc.asks, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if p.ReadsPlatforms() != (tc.asks != "index: index") || p.AsksAbout([]string{"linux/arm64"}, [][]string{{"linux/arm64"}}) != (tc.asks == "index: platforms" || tc.asks == "index: either" || strings.Contains(tc.asks, "arm64")) {
			t.Errorf("%s: the policy does not say what it reads", name)
		}
		verdict := p.EvaluateParts(image, append([]policy.Fact{signature}, tc.facts...), tc.parts, judgedAt)
		if verdict.Allowed() != (tc.says == "") || !strings.Contains(strings.Join(verdict.Reasons(), "\n"), tc.says) {
			t.Errorf("%s: allowed %t, %q, want %q", name, verdict.Allowed(), verdict.Reasons(), tc.says)
		}
		// Evidence about an image of the index is no signature of the index.
		if v := p.EvaluateParts(image, tc.facts, tc.parts, judgedAt); v.Allowed() {
			t.Errorf("%s: allowed without a signature", name)
		}
	}
	var none *policy.TrustPolicy
	if none.ReadsPlatforms() || none.AsksAbout(nil, nil) || none.EvaluateParts(image, nil, index(one), judgedAt).Allowed() {
		t.Error("no policy reads, or allows, something")
	}
	p, err := policy.ParseTrustPolicy([]byte(strings.Replace(workedPlatforms, "INDEX", "platforms: [linux/amd64]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	p.Spec().Require.Evidence.Platforms[0] = "x"
	if p.Spec().Require.Evidence.Platforms[0] != "linux/amd64" {
		t.Error("the policy's spec can be changed from outside")
	}
}
