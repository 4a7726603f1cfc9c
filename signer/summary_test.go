// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer"
)

// looseGates are gatedPolicy's for builds of any source.
var looseGates = strings.Replace(gatedPolicy, `evidence.provenance.source.endsWith("@refs/heads/main")`, `evidence.provenance.builder != ""`, 1)

// summaries are the verification summaries in the log.
func (g *gatedWorld) summaries() []attest.Statement { return g.statements()[attest.PredicateSummary] }

func (g *gatedWorld) startSummarising() *signer.Service {
	return g.startGated(gatedPolicy, func(c *signer.Config) { c.Summaries = true })
}

// TestSummary: a gate that is passed has a summary, which names policy and
// evidence, is logged before the signature, and is the attestor's.
func TestSummary(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.startSummarising()
	receipt, err := s.Sign(t.Context(), bring("LOW"))
	if err != nil {
		t.Fatal(err)
	}
	g.check()
	if got := g.types(); got != "Document attestation/vuln/v1 provenance/v1 verification_summary/v1 cosign/sign/v1" {
		t.Fatalf("logged %s", got)
	}
	var said struct {
		Verifier          struct{ ID string }
		TimeVerified      time.Time
		ResourceURI       string
		Policy            struct{ Digest, Annotations map[string]string }
		InputAttestations []struct{ Digest, Annotations map[string]string }
		Result            string `json:"verificationResult"`
		VerifiedLevels    []string
	}
	st := g.summaries()[0]
	if err := json.Unmarshal(st.Predicate, &said); err != nil {
		t.Fatal(err)
	}
	if said.Verifier.ID != signer.AttestorSAN(origin) || said.Result != "PASSED" || said.ResourceURI != "oci://registry.example/acme/app" || time.Since(said.TimeVerified) > time.Minute ||
		"sha256:"+said.Policy.Digest["sha256"] != receipt.PolicyDigest || said.Policy.Annotations["rule"] != "acme" || !st.Binds(theImage) {
		t.Errorf("%s", st.Predicate)
	}
	if !slices.Contains(said.VerifiedLevels, "SLSA_BUILD_LEVEL_2") || !slices.Contains(said.VerifiedLevels, "https://hallmark.dev/verified/scan") {
		t.Errorf("levels %q", said.VerifiedLevels)
	}
	// The evidence, by the digests of the statements in the log.
	var logged []string
	for _, e := range g.logs[0].entries[:3] {
		logged = append(logged, attest.DigestOf(e.Payload).Hex())
	}
	slices.Sort(logged)
	var named []string
	for _, in := range said.InputAttestations {
		named = append(named, in.Digest["sha256"])
	}
	if !slices.Equal(named, logged) {
		t.Errorf("names %q, logged are %q", named, logged)
	}
	// Again: the first receipt, and no other summary.
	if again, err := s.Sign(t.Context(), bring("LOW")); err != nil || again.ID != receipt.ID || len(g.summaries()) != 1 {
		t.Errorf("again: %v, %d summaries", err, len(g.summaries()))
	}
}

// TestNoSummary of a refusal, of a dry run, or where none is wanted.
func TestNoSummary(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.startSummarising()
	if _, err := s.Sign(t.Context(), bring("CRITICAL")); err == nil || len(g.summaries()) != 0 {
		t.Errorf("%v, %d summaries of a refusal", err, len(g.summaries()))
	}
	if _, err := s.DryRun(t.Context(), bring("LOW")); err != nil || len(g.summaries()) != 0 {
		t.Errorf("%v, %d summaries of a dry run", err, len(g.summaries()))
	}
	g = &gatedWorld{world: newWorld(t)}
	if _, err := g.start(gatedPolicy).Sign(t.Context(), bring("LOW")); err != nil || len(g.summaries()) != 0 {
		t.Errorf("%v, %d summaries that nobody wants", err, len(g.summaries()))
	}
}

// TestForgedSummary: no rule lets a job make one.
func TestForgedSummary(t *testing.T) {
	w := newWorld(t)
	w.policy = strings.Replace(documentsPolicy, "predicateTypes: [", "predicateTypes: ["+attest.PredicateSummary+", https://slsa.dev/verification_summary/v0.2, ", 1)
	s := w.start()
	for _, predicateType := range []string{attest.PredicateSummary, "https://slsa.dev/verification_summary/v0.2", attest.PredicateSBOMReference} {
		req := goodRequest()
		req.PredicateType, req.Predicate = predicateType, []byte(`{"verificationResult": "PASSED"}`)
		if _, err := s.Attest(t.Context(), req); !errors.Is(err, signer.ErrBadRequest) {
			t.Errorf("%s: %v", predicateType, err)
		}
		if _, err := s.AttestDocuments(t.Context(), req); !errors.Is(err, signer.ErrBadRequest) {
			t.Errorf("%s among documents: %v", predicateType, err)
		}
	}
	if len(w.logs[0].entries) != 0 {
		t.Errorf("%d entries", len(w.logs[0].entries))
	}
}

// TestForgedDocument: nor a document that says what only the service may say, whatever its format and its size, and wherever it would be kept.
func TestForgedDocument(t *testing.T) {
	padding := `"padding": "` + strings.Repeat("x", 2000) + `", `
	digest := strings.Repeat("a", 64)
	for name, document := range map[string]string{
		"SPDX":              `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a"}], "hallmark_note": {}}`,
		"SARIF":             `{"version": "2.1.0", "hallmark_scan": {}, "runs": [{"tool": {"driver": {"name": "lint"}}, "results": []}]}`,
		"Trivy":             `{"SchemaVersion": 2, "ArtifactName": "a", "\u0068allmark_scan": {}, "Results": [{"Class": "os-pkgs"}]}`,
		"findings":          `{"scanner": {"uri": "x", "result": []}, "hallmark_scan": {"tool": "trivy", "packages": 10}}`,
		"tests":             `{"result": "PASSED", "configuration": [], "hallmark_counts": {"passed": 5}}`,
		"SBOM by reference": `{"attester": {"id": "x"}, "references": [{"digest": {"sha256": "` + digest + `"}, "mediaType": "x", "annotations": {"size": 1}}], "sbom": {"format": "SPDX", "version": "2.3", "packages": 99}}`,
	} {
		for _, size := range []string{"small", "large"} {
			w := newDocuments(t)
			w.policy = strings.Replace(documentsPolicy, "predicateTypes: [", "predicateTypes: ["+attest.PredicateSBOMReference+", https://in-toto.io/attestation/vulns/v0.2, ", 1)
			s := w.startWith(func(c *signer.Config) { c.Embed = 1000 })
			if size == "large" {
				document = strings.Replace(document, "{", "{"+padding, 1)
			}
			_, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "a", Content: []byte(document)}))
			if !errors.Is(err, signer.ErrBadRequest) || !strings.Contains(err.Error(), "service") || len(w.intents)+len(w.documents) > 0 {
				t.Errorf("%s, %s: %v", size, name, err)
			}
			if size == "large" && strings.HasPrefix(name, "SPDX") { // read as a stream
				_, err := s.AttestDocuments(t.Context(), documents(signer.Document{Name: "a", Kind: "sbom", Content: []byte(document)}))
				if !errors.Is(err, signer.ErrBadRequest) || len(w.intents) > 0 {
					t.Errorf("as a stream: %v", err)
				}
			}
		}
	}
}

// TestPowerCutWithSummary: the repeated request signs once, and there is one
// summary.
func TestPowerCutWithSummary(t *testing.T) {
	for cut := 30; ; cut++ { // before it is TestPowerCutWithEvidence's
		g := &gatedWorld{world: newWorld(t)}
		s := g.startSummarising()
		g.cutAt, g.after = cut, cut%2 == 0
		if !untilPowerFails(func() { _, _ = s.Sign(t.Context(), bring("LOW")) }) {
			break
		}
		g.check()
		s = g.startSummarising()
		if _, _, err := s.Recover(t.Context()); err != nil {
			t.Fatalf("cut at %d: recover: %v", cut, err)
		}
		if _, err := s.Sign(t.Context(), bring("LOW")); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		g.check()
		if n := len(g.summaries()); n != 1 {
			t.Fatalf("cut at %d: %d summaries, logged %s", cut, n, g.types())
		}
	}
}

// TestClaimed: what a job claims stands behind what its token proves, marked, and
// nothing of it is taken for the source.
func TestClaimed(t *testing.T) {
	claims := signer.Claimed{
		Dependencies: []signer.ClaimedResource{{URI: "git+https://github.com/globex/good@refs/heads/main", Digest: map[string]string{"gitCommit": strings.Repeat("f", 40)}}},
		Byproducts:   []signer.ClaimedResource{{Name: "build.log", Digest: map[string]string{"sha256": strings.Repeat("e", 64)}}},
	}
	for name, withSource := range map[string]bool{"with a source": true, "without": false} {
		g := &gatedWorld{world: newWorld(t)}
		g.principal = func(p *signer.Principal) {
			if !withSource {
				p.Extensions.SourceRepositoryURI = ""
			}
		}
		req := bring("LOW")
		req.Claimed = claims
		if _, err := g.start(looseGates).Sign(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		for _, st := range g.statements()[attest.PredicateProvenance] {
			var said struct {
				BuildDefinition struct {
					ResolvedDependencies []struct {
						URI         string
						Annotations map[string]bool
					}
				}
				RunDetails struct {
					Byproducts []struct {
						Name        string
						Annotations map[string]bool
					}
				}
			}
			if err := json.Unmarshal(st.Predicate, &said); err != nil {
				t.Fatal(err)
			}
			dependencies := said.BuildDefinition.ResolvedDependencies
			last := dependencies[len(dependencies)-1]
			if !last.Annotations["hallmark_claimed"] || last.URI != claims.Dependencies[0].URI || (withSource && dependencies[0].Annotations != nil) ||
				len(said.RunDetails.Byproducts) != 1 || !said.RunDetails.Byproducts[0].Annotations["hallmark_claimed"] {
				t.Errorf("%s: %s", name, st.Predicate)
			}
			ev, err := attest.ReadEvidence(st.PredicateType, st.Predicate)
			if err != nil || strings.Contains(ev.Provenance.Source, "globex") || ev.Provenance.Commit == strings.Repeat("f", 40) {
				t.Errorf("%s: the claim is taken for the source: %+v, %v", name, ev.Provenance, err)
			}
		}
	}
	// Where no provenance is made, a claim would be lost.
	w := newDocuments(t)
	req := goodRequest()
	req.Claimed = claims
	if _, err := w.start().Sign(t.Context(), req); !errors.Is(err, signer.ErrBadRequest) || !strings.Contains(err.Error(), "provenance") {
		t.Errorf("claims without provenance: %v", err)
	}
	for name, bad := range map[string]signer.ClaimedResource{
		"nothing": {}, "no digest": {URI: "https://x.example/a"}, "no scheme": {URI: "x", Digest: map[string]string{"sha256": strings.Repeat("a", 64)}},
		"bad digest": {URI: "https://x.example/a", Digest: map[string]string{"sha256": "a"}}, "user": {URI: "https://me:secret@x.example/a", Digest: map[string]string{"sha256": strings.Repeat("a", 64)}},
		"long": {Name: strings.Repeat("x", 300), Digest: map[string]string{"sha256": strings.Repeat("a", 64)}},
	} {
		if err := (signer.Claimed{Dependencies: []signer.ClaimedResource{bad}}).Check(); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
}

// TestProvenanceOf: each CI system's runs in the members that the field has for
// them, and nothing that no claim proves.
func TestProvenanceOf(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*signer.Principal)
		want   string
	}{
		"github, self-hosted": {func(p *signer.Principal) { p.Extensions.RunnerEnvironment = "self-hosted" }, `"builder":{"id":"` + workflow + `#self-hosted"}`},
		"github, a workflow of another repository": {
			func(p *signer.Principal) {
				p.Extensions.BuildConfigURI = "https://github.com/acme/shared/.github/workflows/a@b.yml@refs/heads/x@y"
			},
			`"externalParameters":{"workflow":{"path":".github/workflows/a@b.yml","ref":"refs/heads/x@y","repository":"https://github.com/acme/shared"}}`,
		},
		"gitlab": {
			func(p *signer.Principal) {
				p.Provider, p.Issuer = "gitlab", "https://gitlab.example"
				p.Extensions = certificate.Extensions{RunnerEnvironment: "gitlab-hosted", BuildConfigURI: "https://gitlab.example/acme/app//.gitlab-ci.yml@refs/heads/main", SourceRepositoryURI: "https://gitlab.example/acme/app",
					SourceRepositoryRef: "refs/heads/main", SourceRepositoryDigest: strings.Repeat("a", 40), RunInvocationURI: "https://gitlab.example/acme/app/-/jobs/7"}
				p.Claims = map[string]any{"repository": "acme/app", "project_id": "1", "namespace_id": "2", "pipeline_source": "push", "job_id": "7"}
			},
			`{"buildDefinition":{"buildType":"` + origin + `/buildtypes/gitlab/v1","externalParameters":{"entryPoint":"https://gitlab.example/acme/app//.gitlab-ci.yml@refs/heads/main","ref":"refs/heads/main","source":"https://gitlab.example/acme/app"},` +
				`"internalParameters":{"gitlab":{"job_id":"7","namespace_id":"2","pipeline_source":"push","project_id":"1"},"hallmark_issuer":"https://gitlab.example","hallmark_runnerEnvironment":"gitlab-hosted"},` +
				`"resolvedDependencies":[{"uri":"git+https://gitlab.example/acme/app@refs/heads/main","digest":{"gitCommit":"` + strings.Repeat("a", 40) + `"}}]},` +
				`"runDetails":{"builder":{"id":"https://gitlab.example#gitlab-hosted"},"metadata":{"invocationId":"https://gitlab.example/acme/app/-/jobs/7"}}}`,
		},
		"buildkite": {
			func(p *signer.Principal) {
				p.Provider, p.SAN = "buildkite", "https://buildkite.com/acme/app"
				p.Extensions = certificate.Extensions{RunnerEnvironment: "self-hosted", SourceRepositoryDigest: strings.Repeat("a", 40), RunInvocationURI: "https://buildkite.com/acme/app/builds/3#j"}
				p.Claims = map[string]any{"repository": "acme/app", "build_branch": "main", "build_tag": nil, "build_number": json.Number("3"), "job_id": "j"}
			},
			`"externalParameters":{"branch":"main","pipeline":"https://buildkite.com/acme/app"},"internalParameters":{"buildkite":{"build_number":"3","job_id":"j"},`,
		},
		"circleci": {
			func(p *signer.Principal) {
				p.Provider, p.SAN = "circleci", "https://circleci.com/api/v2/projects/p/pipeline-definitions/d"
				p.Extensions = certificate.Extensions{RunnerEnvironment: "ssh-rerun", SourceRepositoryURI: "https://github.com/acme/app", RunInvocationURI: "https://app.circleci.com/workflow/w/job/j"}
				p.Claims = map[string]any{"repository": "acme/app", "oidc.circleci.com/org-id": "o", "oidc.circleci.com/ssh-rerun": true, "oidc.circleci.com/context-ids": []any{"c"}}
			},
			`"internalParameters":{"circleci":{"context-ids":["c"],"org-id":"o","ssh-rerun":"true"},`,
		},
		"kubernetes": {
			func(p *signer.Principal) {
				p.Provider, p.SAN, p.Issuer, p.Run = "kubernetes", "https://kubernetes.io/namespaces/ci/serviceaccounts/builder", "https://cluster.example", "pod:u"
				p.Extensions = certificate.Extensions{}
				p.Claims = map[string]any{"repository": "acme/app", "kubernetes.io": map[string]any{"namespace": "ci", "pod": map[string]any{"name": "build", "uid": "u"}}}
			},
			`{"buildDefinition":{"buildType":"` + origin + `/buildtypes/kubernetes/v1","externalParameters":{"serviceAccount":"https://kubernetes.io/namespaces/ci/serviceaccounts/builder"},` +
				`"internalParameters":{"hallmark_issuer":"https://cluster.example","kubernetes":{"namespace":"ci","pod_name":"build","pod_uid":"u"}}},` +
				`"runDetails":{"builder":{"id":"https://cluster.example/ci"},"metadata":{"invocationId":"pod:u"}}}`,
		},
	} {
		g := &gatedWorld{world: newWorld(t)}
		g.principal = tc.change
		if _, err := g.start(looseGates).Sign(t.Context(), bring("LOW")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		st := g.statements()[attest.PredicateProvenance]
		if len(st) != 1 || !strings.Contains(string(st[0].Predicate), tc.want) {
			t.Errorf("%s: %s\nwant %s", name, st, tc.want)
		}
	}
}
