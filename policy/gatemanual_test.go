// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// manualBlocks returns the fenced blocks of a language in docs/GATES.md.
func manualBlocks(t *testing.T, language string) []string {
	t.Helper()
	manual, err := os.ReadFile("../docs/GATES.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, part := range strings.Split(string(manual), "```"+language+"\n")[1:] {
		block, _, ok := strings.Cut(part, "```")
		if !ok {
			t.Fatalf("a block of %s does not end", language)
		}
		found = append(found, strings.TrimSpace(block))
	}
	return found
}

// The worked gates of the manual let good evidence pass, and say of bad evidence what the manual says.
func TestWorkedGates(t *testing.T) {
	gates, said := manualBlocks(t, "yaml"), manualBlocks(t, "text")
	openssl, zlib := finding("CVE-2026-1", "critical"), finding("CVE-2026-2", "low")
	openssl.Fixed, openssl.FixState = []string{"3.0.2"}, "fixed"
	zlib.Package, zlib.Version = "zlib", "1.2"
	logged := func(d policy.Document) policy.Document {
		if d.Scan != nil {
			d.Scan.FinishedAt = d.At
		}
		return d
	}
	bad := logged(scanOf(nil, openssl, zlib))
	fresh := func(tool string) policy.Document {
		return logged(scanOf(func(d *policy.Document) { d.Scan.Tool, d.Scan.DatabaseAt = tool, d.At }))
	}
	clean := []policy.Document{fresh("trivy")}
	stale := with2(fresh("grype"), func(d *policy.Document) {
		scan := *d.Scan
		scan.DatabaseAt = d.At.AddDate(0, 0, -6)
		d.Scan = &scan
	})
	team := "https://github.com/acme/team-web/.github/workflows/vex.yml@refs/heads/main"
	dated := func(d policy.Document, days int) policy.Document {
		return with2(d, func(d *policy.Document) { d.VEX[0].At = judgedAt.AddDate(0, 0, -days) })
	}
	license := finding("AGPL-3.0-only", "high")
	license.Kind, license.Package, license.Version = "license", "reader", "2.1"
	secret := finding("aws-access-token", "unknown") // gitleaks says nothing of severity
	secret.Kind, secret.Package, secret.Version, secret.Place = "secret", "", "", "app/.env:3"
	timeless := func(kind, tool string, findings ...policy.Finding) policy.Document { // as these tools' reports are
		return with2(report(kind, tool, findings...), func(d *policy.Document) { d.Scan.FinishedAt = time.Time{} })
	}
	ignored := finding("CIS-DI-0001", "unknown") // as dockle writes a check that it was told to ignore
	ignored.Suppressed = true
	lint := func(severity string) policy.Document {
		return timeless(policy.EvidenceLint, "dockle", finding("CIS-DI-0005", severity), ignored)
	}
	built := func(builder, ref string) policy.Document {
		return doc(policy.EvidenceProvenance, func(d *policy.Document) {
			d.Provenance = &policy.Provenance{Builder: "https://github.com/acme/" + builder, Source: "git+https://github.com/acme/app@refs/heads/" + ref}
		})
	}
	onEach := func(documents ...policy.Document) []policy.Document {
		var all []policy.Document
		for _, platform := range []string{otherImage, armDigest} {
			for _, d := range documents {
				d.Digest = platform
				all = append(all, d)
			}
		}
		return all
	}
	ownImage := policy.ChartImage{
		Reference: "registry.corp.example/acme/app:1", Canonical: "registry.corp.example/acme/app:1", Signed: true,
		Signers: []string{"https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"},
	}
	refersTo := func(images ...policy.ChartImage) policy.Document {
		return chartImages(policy.Input{Digest: digest, Now: judgedAt}, images...)
	}
	cases := []struct{ good, bad []policy.Document }{
		{[]policy.Document{doc(policy.EvidenceSBOM, nil)}, []policy.Document{doc(policy.EvidenceSBOM, func(d *policy.Document) { d.SBOM.Packages = 1 })}},
		{[]policy.Document{logged(scanOf(nil, openssl, zlib)), vexBy(security, nil)}, []policy.Document{bad}},
		{clean, []policy.Document{bad}},
		{clean, []policy.Document{bad}},
		{[]policy.Document{fresh("trivy"), fresh("grype")}, []policy.Document{bad}},
		{[]policy.Document{fresh("grype")}, []policy.Document{stale}},
		{
			[]policy.Document{doc(policy.EvidenceTest, nil), doc(policy.EvidenceProvenance, nil)},
			[]policy.Document{doc(policy.EvidenceTest, func(d *policy.Document) { *d.Test = policy.TestResult{Result: "FAILED", Failed: 1} }), doc(policy.EvidenceProvenance, nil)},
		},
		{[]policy.Document{bad, dated(vexBy(team, nil), 80)}, []policy.Document{bad, dated(vexBy(team, nil), 100)}},
		{[]policy.Document{report(policy.EvidenceLicense, "trivy")}, []policy.Document{report(policy.EvidenceLicense, "trivy", license)}},
		{[]policy.Document{timeless(policy.EvidenceSecret, "gitleaks"), lint("medium")}, []policy.Document{timeless(policy.EvidenceSecret, "gitleaks", secret), lint("medium")}},
		{
			[]policy.Document{built("workflows/.github/workflows/build.yml@refs/tags/v1.2", "main")},
			[]policy.Document{built("app/.github/workflows/build.yml@refs/heads/main", "main")},
		},
		{onEach(doc(policy.EvidenceSBOM, nil), fresh("trivy")), onEach(doc(policy.EvidenceSBOM, nil), fresh("trivy"))[:3]},
		{onEach(doc(policy.EvidenceSBOM, nil), fresh("trivy")), onEach(doc(policy.EvidenceSBOM, nil), fresh("trivy"))[:3]},
		{[]policy.Document{refersTo(ownImage)}, []policy.Document{refersTo(ownImage, policy.ChartImage{
			Reference: "registry.corp.example/mirror/redis:7", Canonical: "registry.corp.example/mirror/redis:7", Signed: true, Signers: []string{"key mirror"},
		})}},
	}
	if len(gates) != len(cases)+2 || len(said) != len(gates) {
		t.Fatalf("%d gates and %d refusals in the manual; this test knows %d", len(gates), len(said), len(cases)+2)
	}
	for i, tc := range cases {
		p := parse(t, strings.NewReplacer("name: acme-github", "name: acme", "kinds: [image, index]", "kinds: [image, index, chart]").Replace(gated(gates[i])))
		asked := func(in *policy.Input) {
			if strings.Contains(gates[i], "index: platforms") {
				in.Kind, in.Platforms = policy.KindIndex, []string{otherImage, armDigest}
			}
			if strings.Contains(gates[i], "platforms: [") {
				third := "sha256:" + strings.Repeat("d", 64)
				in.Kind, in.Platforms = policy.KindIndex, []string{otherImage, armDigest, third}
				in.PlatformNames = map[string][]string{otherImage: {"linux/amd64"}, armDigest: {"linux/arm64"}, third: {"linux/s390x"}}
			}
			if strings.Contains(gates[i], "chartImages") {
				in.Kind = policy.KindChart
			}
		}
		if r := decideOn(p, tc.good, asked).Refusal(); r != nil {
			t.Errorf("gate %d: good evidence: %v", i, r)
		}
		r := decideOn(p, tc.bad, asked).Refusal()
		if r == nil || !slices.Equal(r.Reasons, []string{said[i]}) {
			t.Errorf("gate %d: %v\nthe manual says %s", i, r, said[i])
		}
	}
	worked(t, gates[len(cases)], said[len(cases)])
	workedOnPlatforms(t, gates[len(cases)+1], said[len(cases)+1])
}

// worked is the last one: the same in a trust policy.
func worked(t *testing.T, gate, said string) {
	t.Helper()
	text := `
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
      ` + strings.ReplaceAll(gate, "\n", "\n      ")
	p, err := policy.ParseTrustPolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !p.ReadsEvidence() {
		t.Error("the policy does not say that it reads evidence")
	}
	facts := func(documents ...policy.Document) []policy.Fact {
		all := []policy.Fact{{
			PredicateType: policy.PredicateSignature, Bound: true, SignedAt: judgedAt, SAN: "https://gitlab.corp.example/team/app//.gitlab-ci.yml@refs/heads/main",
			Issuer: "https://gitlab.corp.example", Bundle: "sha256:signature",
		}}
		for _, d := range documents {
			all = append(all, policy.Fact{PredicateType: "t", Bound: true, SignedAt: d.At, SAN: d.Signer, Issuer: d.Issuer, Bundle: d.Bundle, Document: &d})
		}
		return all
	}
	image := policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: digest}
	sbom := doc(policy.EvidenceSBOM, nil)
	verdict := p.Evaluate(image, facts(sbom, scanOf(nil)), judgedAt)
	if !verdict.Allowed() || !slices.Contains(verdict.Evidence, "sha256:scan") {
		t.Errorf("a good image: %q, evidence %q", verdict.Reasons(), verdict.Evidence)
	}
	old := scanOf(func(d *policy.Document) { d.At = judgedAt.Add(-31 * 24 * time.Hour); d.Scan.FinishedAt = d.At })
	if got := p.Evaluate(image, facts(sbom, old), judgedAt).Reasons(); len(got) != 2 || got[0] != said {
		t.Errorf("denial %q\nthe manual says %s", got, said)
	}
	// Somebody else's word counts for nothing, and neither does a fact nobody has read.
	for name, change := range map[string]func(*policy.Fact){
		"another signer": func(f *policy.Fact) { f.SAN = "https://elsewhere.example" }, "not bound": func(f *policy.Fact) { f.Bound = false },
		"not read": func(f *policy.Fact) { f.Document = nil }, "no time": func(f *policy.Fact) { f.SignedAt = time.Time{} },
	} {
		all := facts(sbom, scanOf(nil))
		change(&all[2])
		if p.Evaluate(image, all, judgedAt).Allowed() {
			t.Errorf("%s: allowed", name)
		}
	}
	for edit, says := range map[string]string{
		"signers: [hallmark]\n": "signers", "sbom: true": "chartImages: {}\n      sbom: true",
	} {
		changed := strings.Replace(text, edit, "", 1)
		if edit == "sbom: true" {
			changed = strings.Replace(text, edit, says, 1)
		}
		if _, err := policy.ParseTrustPolicy([]byte(changed)); err == nil {
			t.Errorf("without %q it parses", edit)
		}
	}
	copied := p.Spec()
	copied.Require.Evidence.Signers[0], copied.Require.Evidence.Scan.MaxAge = "x", "x"
	if p.Spec().Require.Evidence.Signers[0] != "hallmark" || p.Spec().Require.Evidence.Scan.MaxAge != "30d" {
		t.Error("the policy's spec can be changed from outside")
	}
}
