// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

const (
	attestorSAN, attestorIssuer = "https://hallmark.example/attestor", "https://hallmark.example"
	releaseWorkflow             = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	securityWorkflow            = "https://github.com/acme/security/.github/workflows/vex.yml@refs/heads/main"
	teamWorkflow                = "https://github.com/acme/team-web/.github/workflows/vex.yml@refs/heads/main"
)

// chartImages is what the service says of a chart that refers to one image.
const chartImages = `{"chart": {"name": "app", "version": "1.0.0", "archive": "sha256:1111111111111111111111111111111111111111111111111111111111111111"},
	"renders": [{"values": "defaults", "operation": "install", "kubernetes": "v1.37.0", "apis": "usual", "manifests": 2}],
	"images": [{"reference": "registry.corp.example/acme/app:1", "canonical": "registry.corp.example/acme/app:1", "places": ["Deployment/app spec.template.spec.containers[0].image"],
		"digest": "sha256:2222222222222222222222222222222222222222222222222222222222222222", "pinned": false, "signed": true, "signers": ["` + releaseWorkflow + `"]}]}`

// gateSample is a file as a tool writes it, and for whom the service attests it.
type gateSample struct{ want, file, author string }

// gateSamples are, for each worked gate of the manual in its order, files that make it pass.
func gateSamples() [][]gateSample {
	low := strings.NewReplacer(`"UNKNOWN"`, `"LOW"`).Replace(trivyReport) // beside a critical one
	fine := strings.NewReplacer(`"UNKNOWN"`, `"LOW"`, `"CRITICAL"`, `"LOW"`).Replace(trivyReport)
	licensed := strings.Replace(fine, `"Class": "lang-pkgs"}`, `"Class": "lang-pkgs"}, {"Target": "OS Packages", "Class": "license", "Licenses": [{"Severity": "LOW", "Name": "MIT", "PkgName": "openssl"}]}`, 1)
	packages := strings.Replace(spdxDocument, `{"name": "a"}`, strings.TrimSuffix(strings.Repeat(`{"name": "a"}, `, 10), ", "), 1)
	tests := strings.Replace(junitFile, `<failure message="no"/>`, "", 1)
	built := strings.NewReplacer(
		`"id": "b"`, `"id": "https://github.com/acme/workflows/.github/workflows/build.yml@refs/tags/v1.2"`, "git+https://x/y@", "git+https://github.com/acme/app@",
	).Replace(provenance)
	ours := func(file string) gateSample { return gateSample{"", file, releaseWorkflow} }
	made := gateSample{"", built, attestorSAN}
	charted := gateSample{"", chartImages, attestorSAN}
	return [][]gateSample{
		{ours(packages)},
		{ours(low), {"", vexDocument, securityWorkflow}},
		{ours(fine)},
		{ours(grypeReport)},
		{ours(fine), ours(grypeReport)},
		{ours(grypeReport)},
		{ours(tests), made},
		{ours(low), {"", vexDocument, teamWorkflow}},
		{ours(licensed)},
		{{"gitleaks", `[]`, releaseWorkflow}, ours(hadolintReport)},
		{made},
		{ours(spdxDocument), ours(fine)},
		{ours(spdxDocument), ours(fine)},
		{charted},
		{ours(spdxDocument), ours(fine)},
		{ours(spdxDocument)},
	}
}

// TestWorkedGatesCanPass: each worked gate of the manual lets an artifact pass with what real tools write, read from the file as a dry run does
// it, and from the statement in the log as the service and a cluster do. Documents that a test puts together itself can have what no tool's have.
func TestWorkedGatesCanPass(t *testing.T) {
	manual, err := os.ReadFile("../docs/GATES.md")
	if err != nil {
		t.Fatal(err)
	}
	gates, samples := strings.Split(string(manual), "```yaml\n")[1:], gateSamples()
	if len(gates) != len(samples) {
		t.Fatalf("%d gates in the manual, samples of %d", len(gates), len(samples))
	}
	for i, text := range gates {
		gate, _, _ := strings.Cut(text, "```")
		for name, read := range map[string]func(*testing.T, policy.Fact, gateSample) policy.Document{"file": filled, "statement": stated} {
			var documents []policy.Document
			for _, digest := range []string{aa, bb} { // images of an index; else the first is asked about
				for _, s := range samples[i] {
					documents = append(documents, read(t, factOf("sha256:"+digest, s.author), s))
				}
			}
			if strings.HasPrefix(gate, "signers:") {
				if reasons := trustVerdict(t, gate, documents); len(reasons) > 0 {
					t.Errorf("gate %d, read from a %s: %q\n%s", i, name, reasons, gate)
				}
			} else if refusal := signingDecision(t, gate, documents).Refusal(); refusal != nil {
				t.Errorf("gate %d, read from a %s: %v\n%s", i, name, refusal, gate)
			}
		}
	}
}

// factOf is a statement that was logged half an hour after the samples were made.
func factOf(digest, author string) policy.Fact {
	return policy.Fact{
		Bound: true, SAN: attestorSAN, Issuer: attestorIssuer, SignedAt: at.Add(30 * time.Minute), LogID: "aa", Bundle: digest,
		Extensions: map[string]string{"buildSignerURI": author},
	}
}

func readSample(t *testing.T, s gateSample) attest.Document {
	t.Helper()
	d, err := attest.ReadDocumentAs(s.want, "file", []byte(s.file))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// filled reads a file as somebody who tries a policy.
func filled(t *testing.T, f policy.Fact, s gateSample) policy.Document {
	t.Helper()
	d := readSample(t, s)
	out := policy.Document{
		PredicateType: d.PredicateType, Digest: f.Bundle, Signer: f.SAN, Issuer: f.Issuer, Author: s.author, At: f.SignedAt, LogID: f.LogID, Bundle: f.Bundle,
	}
	document.Fill(&out, d.Evidence)
	return out
}

// stated reads the statement that the service has made of the file.
func stated(t *testing.T, f policy.Fact, s gateSample) policy.Document {
	t.Helper()
	d := readSample(t, s)
	f.PredicateType, f.Predicate = d.PredicateType, d.Predicate
	out, ok := document.Of(f, attest.Digest(f.Bundle))
	if !ok {
		t.Fatalf("%s is no evidence", d.PredicateType)
	}
	return out
}

func signingDecision(t *testing.T, gate string, documents []policy.Document) policy.Decision {
	t.Helper()
	p, err := policy.ParseSigningPolicy([]byte(`
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign]
  kinds: [image, index, chart]
  repositories: [acme/]
  conditions:
  - {name: own, expression: 'claims.repository_owner_id == "1001"', message: m}
  require:
    ` + strings.ReplaceAll(strings.TrimSpace(gate), "\n", "\n    ")))
	if err != nil {
		t.Fatal(err)
	}
	in := policy.Input{
		Action: policy.ActionSign, Identity: "github", Provider: "github", Issuer: "https://token.actions.githubusercontent.com", SAN: releaseWorkflow,
		Claims:     map[string]any{"ref_protected": "true", "repository_owner_id": "1001"},
		Repository: "acme/app", Digest: "sha256:" + aa, Kind: policy.KindImage, Now: at.Add(time.Hour), Evidence: documents,
	}
	if strings.Contains(gate, "platforms") {
		in.Kind, in.Digest, in.Platforms = policy.KindIndex, "sha256:"+strings.Repeat("c", 64), []string{"sha256:" + aa, "sha256:" + bb}
		in.PlatformNames = map[string][]string{"sha256:" + aa: {"linux/amd64"}, "sha256:" + bb: {"linux/arm64"}}
	}
	if strings.Contains(gate, "chartImages") {
		in.Kind = policy.KindChart
	}
	return p.Decide(in)
}

func trustVerdict(t *testing.T, gate string, documents []policy.Document) []string {
	t.Helper()
	p, err := policy.ParseTrustPolicy([]byte(`
apiVersion: hallmark.dev/v1alpha1
kind: ImageTrustPolicy
metadata: {name: prod}
spec:
  images: [registry.corp.example/prod/]
  signers:
  - {name: ci, issuer: "https://gitlab.corp.example", subject: "` + releaseWorkflow + `"}
  - {name: hallmark, issuer: "` + attestorIssuer + `", subject: "` + attestorSAN + `"}
  require:
    signature: {signers: [ci]}
    evidence:
      ` + strings.ReplaceAll(strings.TrimSpace(gate), "\n", "\n      ")))
	if err != nil {
		t.Fatal(err)
	}
	about := map[string][]policy.Fact{}
	for _, d := range documents {
		about[d.Digest] = append(about[d.Digest], policy.Fact{
			PredicateType: d.PredicateType, Bound: true, SignedAt: d.At, SAN: d.Signer, Issuer: d.Issuer, Bundle: d.Bundle, Document: &d,
		})
	}
	signature := policy.Fact{PredicateType: policy.PredicateSignature, Bound: true, SignedAt: at, SAN: releaseWorkflow, Issuer: "https://gitlab.corp.example", Bundle: "sha256:s"}
	image := policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: "sha256:" + aa}
	if !p.ReadsPlatforms() {
		return p.Evaluate(image, append(about[image.Digest], signature), at.Add(time.Hour)).Reasons()
	}
	image.Digest = "sha256:" + strings.Repeat("c", 64)
	return p.EvaluateParts(image, []policy.Fact{signature}, &policy.Parts{Index: true, Platforms: []policy.Part{
		{Digest: "sha256:" + aa, Names: []string{"linux/amd64"}, Facts: about["sha256:"+aa]}, {Digest: "sha256:" + bb, Names: []string{"linux/arm64"}, Facts: about["sha256:"+bb]},
	}}, at.Add(time.Hour)).Reasons()
}
