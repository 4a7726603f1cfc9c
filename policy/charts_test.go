// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// chartRule is a policy with one rule for charts.
func chartRule(t *testing.T, actions, kinds, require string) (*policy.SigningPolicy, error) {
	t.Helper()
	text := "apiVersion: hallmark.dev/v1alpha1\nkind: SigningPolicy\nrules:\n- name: charts\n  identity: github\n  actions: " + actions +
		"\n  kinds: " + kinds + "\n  repositories: [acme/charts/]\n  conditions:\n  - {name: own, expression: 'claims.repository == \"acme/app\"', message: ours}\n"
	if require != "" {
		text += "  require: " + require + "\n"
	}
	return policy.ParseSigningPolicy([]byte(text))
}

func chartInput(action string) policy.Input {
	return policy.Input{
		Action: action, Identity: "github", Provider: "github", Claims: map[string]any{"repository": "acme/app"},
		Repository: "acme/charts/app", Digest: "sha256:" + strings.Repeat("a", 64), Kind: policy.KindChart, Now: time.Now(),
	}
}

func chartImages(in policy.Input, images ...policy.ChartImage) policy.Document {
	const attestor = "https://hallmark.example/attestor"
	return policy.Document{
		Kind: policy.EvidenceChartImages, PredicateType: policy.PredicateChartImages, Digest: in.Digest, Signer: attestor, Author: attestor,
		At: in.Now, ChartImages: &policy.ChartImages{
			Images: images, Renders: []policy.ChartRender{{Values: "defaults", Operation: "install", Kubernetes: "v1.37.0", APIs: "usual", Manifests: 1}},
		},
	}
}

// A rule gives provenance files only if it says so, for charts, in its
// repositories.
func TestChartProvenance(t *testing.T) {
	for _, tc := range []struct {
		name, actions, kinds string
		change               func(*policy.Input)
		allowed              bool
	}{
		{"allowed", "[chart-provenance]", "[chart]", nil, true},
		{"a rule to sign", "[sign, attest]\n  anyPredicateType: true", "[chart]", nil, false},
		{"another repository", "[chart-provenance]", "[chart]", func(in *policy.Input) { in.Repository = "other/charts/app" }, false},
		{"another identity", "[chart-provenance]", "[chart]", func(in *policy.Input) { in.Identity = "gitlab" }, false},
		{"another claim", "[chart-provenance]", "[chart]", func(in *policy.Input) { in.Claims["repository"] = "acme/fork" }, false},
		{"of an image", "[chart-provenance]", "[image, chart]", func(in *policy.Input) { in.Kind = policy.KindImage }, false},
		{"to sign with it", "[chart-provenance]", "[chart]", func(in *policy.Input) { in.Action = policy.ActionSign }, false},
	} {
		p, err := chartRule(t, tc.actions, tc.kinds, "")
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		in := chartInput(policy.ActionChartProvenance)
		if tc.change != nil {
			tc.change(&in)
		}
		if _, ok := p.Decide(in).Grant(); ok != tc.allowed {
			t.Errorf("%s: granted %v: %v", tc.name, ok, p.Decide(in).Refusal())
		}
	}
	for require, says := range map[string]string{
		"{sbom: true}":                               "can require nothing but chartImages",
		"{chartImages: {}, scan: {maxAge: 1h}}":      "can require nothing but chartImages",
		"{chartImages: {pinned: 1}}":                 "must be true or false",
		"{chartImages: {values: given}}":             "chartImages.values: must be defaults or any",
		"{chartImages: {}, signers: [somebody]}":     "is for trust policies",
		"{chartImages: {}, conditions: [{name: a}]}": "", // of some kind
	} {
		if _, err := chartRule(t, "[sign, chart-provenance]", "[chart]", require); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("require %s: %v", require, err)
		}
	}
	if _, err := chartRule(t, "[chart-provenance]", "[image]", ""); err == nil || !strings.Contains(err.Error(), "is for charts") {
		t.Errorf("provenance of images: %v", err)
	}
}

// The gate: every image signed, by the service's own word alone.
func TestChartImages(t *testing.T) {
	signed := policy.ChartImage{Reference: "registry.example/acme/app@sha256:00", Pinned: true, Signed: true}
	byTag := policy.ChartImage{Reference: "registry.example/acme/app:1", Signed: true}
	unsigned := policy.ChartImage{Reference: "docker.io/library/nginx:1", Problem: "not in the central registry"}
	revoked := policy.ChartImage{Reference: "registry.example/acme/old:1", Revoked: "on 2026-01-02: a hole", Problem: "it is revoked"}
	tested := policy.ChartImage{Reference: "busybox:1", Problem: "elsewhere", Places: []string{"Pod/app-test spec.containers[0].image"}}
	twice := policy.ChartImage{Reference: "busybox:1", Places: []string{"Pod/a", "Pod/b"}}
	withoutDefaults := func(d *policy.Document) {
		d.ChartImages.Renders[0].Failed, d.ChartImages.Renders[0].Problem = true, "say who"
		d.ChartImages.Renders = append(d.ChartImages.Renders, policy.ChartRender{Values: "given", Digest: "sha256:00", Operation: "install", Manifests: 1})
	}
	guess := policy.ChartImage{Reference: "some/thing:1", Guessed: true}
	for _, tc := range []struct {
		name, require string
		images        []policy.ChartImage
		change        func(*policy.Document)
		says          string // of the refusal; "" if it is allowed
	}{
		{"all signed", "{}", []policy.ChartImage{signed, byTag}, nil, ""},
		{"no images", "{}", nil, nil, ""},
		{"one unsigned", "{}", []policy.ChartImage{signed, unsigned}, nil, "docker.io/library/nginx:1 is not signed (not in the central registry); sign the images before the chart"},
		{"by tag", "{pinned: true}", []policy.ChartImage{byTag}, nil, "registry.example/acme/app:1 is not named by its digest; name images by digest in the chart"},
		{"both", "{pinned: true}", []policy.ChartImage{byTag, unsigned}, nil, "; sign the images before the chart; name images by digest in the chart"},
		{"of a test pod", "{}", []policy.ChartImage{tested}, nil, "busybox:1 is not signed (elsewhere) at Pod/app-test spec.containers[0].image; sign"},
		{"in two places", "{}", []policy.ChartImage{twice}, nil, "busybox:1 is not signed at Pod/a and 1 other place; sign"},
		{"pinned", "{pinned: true}", []policy.ChartImage{signed}, nil, ""},
		{"a guess", "{}", []policy.ChartImage{guess}, nil, "some/thing:1 is not signed"},
		{"without guesses", "{withoutGuesses: true}", []policy.ChartImage{guess}, nil, ""},
		{"something that cannot be read", "{withoutGuesses: true}", []policy.ChartImage{signed}, func(d *policy.Document) { d.ChartImages.Renders[0].Unread = "a.yaml: not YAML" }, "images may be in that: a.yaml: not YAML"},
		{"revoked", "{}", []policy.ChartImage{signed, revoked}, nil, "registry.example/acme/old:1 is revoked (on 2026-01-02: a hole); have the chart refer to others"},
		{"no defaults", "{}", []policy.ChartImage{signed}, withoutDefaults, "it cannot be rendered with its default values: say who (hint: "},
		{"no defaults, and it says so", "{values: defaults}", []policy.ChartImage{signed}, withoutDefaults, "say who"},
		{"no defaults, but given ones", "{values: any}", []policy.ChartImage{signed}, withoutDefaults, ""},
		{"not tried", "{}", []policy.ChartImage{signed}, func(d *policy.Document) { d.ChartImages.Renders = nil }, "it was not tried"},
		{"no upgrade", "{}", []policy.ChartImage{signed}, func(d *policy.Document) {
			d.ChartImages.Renders = append(d.ChartImages.Renders, policy.ChartRender{Values: "defaults", Operation: "upgrade", Failed: true, Problem: "give the password"})
		}, ""},
		{"a flood", "{}", slices.Repeat([]policy.ChartImage{signed}, 513), nil, "it lists 513 images, more than 512"},
		{"a job's own word", "{}", []policy.ChartImage{signed}, func(d *policy.Document) { d.Author = "https://github.com/acme/app/x.yml" }, "not by the service itself"},
		{"about another chart", "{}", []policy.ChartImage{signed}, func(d *policy.Document) { d.Digest = "sha256:" + strings.Repeat("b", 64) }, "none (hint: "},
		{"unreadable", "{}", []policy.ChartImage{signed}, func(d *policy.Document) { d.ChartImages, d.Problem = nil, "$.images: missing" }, "$.images: missing"},
		{"empty", "{}", nil, func(d *policy.Document) { d.ChartImages = nil }, "holds nothing"},
		{"without a time", "{}", []policy.ChartImage{signed}, func(d *policy.Document) { d.At = time.Time{} }, "without a proven time"},
	} {
		for _, action := range []string{policy.ActionSign, policy.ActionChartProvenance} {
			p, err := chartRule(t, "[sign, chart-provenance]", "[chart, image]", "{chartImages: "+tc.require+"}")
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			in := chartInput(action)
			if n := p.Needs(in); !n.ChartImages || !n.Evidence {
				t.Errorf("%s: needs %+v", tc.name, n)
			}
			if _, ok := p.Decide(in).Grant(); ok {
				t.Errorf("%s: granted without evidence", tc.name)
			}
			d := chartImages(in, tc.images...)
			if tc.change != nil {
				tc.change(&d)
			}
			in.Evidence = []policy.Document{d}
			decision := p.Decide(in)
			_, ok := decision.Grant()
			switch {
			case ok != (tc.says == ""):
				t.Errorf("%s, %s: granted %v", action, tc.name, ok)
			case !ok && !strings.Contains(strings.Join(decision.Refusal().Reasons, "\n"), tc.says):
				t.Errorf("%s, %s: %q does not say %q", action, tc.name, decision.Refusal().Reasons, tc.says)
			}
			// An image refers to no images.
			in.Kind, in.Evidence = policy.KindImage, nil
			if _, ok := p.Decide(in).Grant(); ok != (action == policy.ActionSign) || p.Needs(in).ChartImages {
				t.Errorf("%s, %s: an image: granted %v", action, tc.name, ok)
			}
		}
	}
}

// The service may state what it found about a chart that the rule signs; a job
// may not, unless a rule lists the type.
func TestOwnChartImages(t *testing.T) {
	p, err := chartRule(t, "[sign]", "[chart]", "")
	if err != nil {
		t.Fatal(err)
	}
	in := chartInput(policy.ActionAttest)
	in.PredicateType = policy.PredicateChartImages
	if _, ok := p.Decide(in).Grant(); ok {
		t.Error("a job attests the images of a chart")
	}
	in.Own = true
	if _, ok := p.Decide(in).Grant(); !ok {
		t.Errorf("the service may not: %v", p.Decide(in).Refusal())
	}
	in.Repository = "other/charts/app"
	if _, ok := p.Decide(in).Grant(); ok {
		t.Error("about a chart that nobody may sign")
	}
	in = chartInput(policy.ActionAttest)
	in.PredicateType, in.Own, in.Kind = policy.PredicateChartImages, true, policy.KindImage
	if reasons := fmt.Sprint(p.Decide(in).Refusal()); !strings.Contains(reasons, "is about Helm charts only") {
		t.Errorf("about an image: %s", reasons)
	}
}

func TestTrustPolicyHasNoChartImages(t *testing.T) {
	_, err := policy.NewTrustPolicy("p", policy.TrustPolicySpec{
		Images: []string{"registry.example/"}, Signers: []policy.Signer{{Name: "ci", Issuer: "https://i", Subject: "https://s"}},
		Require: policy.Requirements{
			Signature: policy.SignatureRequirement{Signers: []string{"ci"}},
			Evidence:  &policy.EvidenceRequirement{Signers: []string{"ci"}, ChartImages: &policy.ChartImagesRequirement{}},
		},
	})
	if err == nil || !strings.Contains(err.Error(), "is for signing policies") {
		t.Errorf("%v", err)
	}
}

// Conditions read a chart's images, and nothing of them that is not there.
func TestChartImagesConditions(t *testing.T) {
	const ci = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	images := []policy.ChartImage{{
		Reference: "registry.example/acme/app:1", Canonical: "registry.example/acme/app:1", Digest: "sha256:01", Signed: true, Signers: []string{ci, "https://other"},
		Places: []string{"Deployment/app spec.template.spec.containers[0].image"},
	}}
	for expression, holds := range map[string]bool{
		`evidence.chartImages.images.size() == 1 && evidence.chartImages.renders[0].manifests == 1`:                             true,
		`evidence.chartImages.images.all(i, i.signers.exists(s, s.startsWith("https://github.com/acme/")))`:                     true,
		`evidence.chartImages.images.all(i, "https://nobody" in i.signers)`:                                                     false,
		`evidence.chartImages.images.all(i, i.canonical.startsWith("registry.example/acme/") && !i.guessed && i.digest != "")`:  true,
		`evidence.chartImages.images.all(i, i.pinned)`:                                                                          false,
		`evidence.chartImages.images.exists(i, i.revoked || !i.signed || i.reference == "")`:                                    false,
		`evidence.chartImages.images.all(i, i.places.all(p, p.startsWith("Deployment/")))`:                                      true,
		`evidence.chartImages.renders.exists(r, r.operation == "upgrade" || r.values == "given" || r.digest != "" || r.failed)`: false,
		`evidence.chartImages.renders.all(r, r.kubernetes == "v1.37.0" && r.apis == "usual")`:                                   true,
	} {
		p, err := chartRule(t, "[sign]", "[chart, image]", "\n    chartImages: {}\n    conditions:\n    - {name: asked, message: no, expression: '"+expression+"'}")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		in := chartInput(policy.ActionSign)
		in.Evidence = []policy.Document{chartImages(in, images...)}
		decision := p.Decide(in)
		if _, ok := decision.Grant(); ok != holds {
			t.Errorf("%s: granted %v: %v", expression, ok, decision.Refusal())
		}
		if !holds && !strings.Contains(decision.Refusal().Reasons[0], "the chart refers to 1 image: registry.example/acme/app:1 (by "+ci) {
			t.Errorf("%s: %q", expression, decision.Refusal().Reasons)
		}
	}
	for expression, says := range map[string]string{
		`evidence.chartImages.images.all(i, i.sighed)`: "undefined field",
		`evidence.chartImages.size() == 0`:             "no matching overload",
		`evidence.scan.age < duration("1h")`:           "hint: an expression reads only evidence",
		`evidence.chartImages.images.all(i, evidence.chartImages.images.all(j, evidence.chartImages.images.all(k, i.signed)))`: "nesting limit",
	} {
		if _, err := chartRule(t, "[sign]", "[chart]", "\n    chartImages: {}\n    conditions:\n    - {name: asked, message: no, expression: '"+expression+"'}"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", expression, err, says)
		}
	}
	// Of an image nothing is asked.
	p, err := chartRule(t, "[sign]", "[image]", "\n    chartImages: {}\n    conditions:\n    - {name: asked, message: no, expression: 'evidence.chartImages.images.all(i, i.pinned)'}")
	if err != nil {
		t.Fatal(err)
	}
	in := chartInput(policy.ActionSign)
	in.Kind = policy.KindImage
	if _, ok := p.Decide(in).Grant(); !ok {
		t.Errorf("an image: %v", p.Decide(in).Refusal())
	}
}
