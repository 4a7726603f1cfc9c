// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/signer"
)

const gatedPolicy = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign, attest]
  kinds: [image]
  repositories: [acme/]
  predicateTypes: [https://spdx.dev/Document, https://cosign.sigstore.dev/attestation/vuln/v1]
  conditions:
  - {name: own-repository, expression: claims.repository == "acme/app", message: sign your own repository}
  require:
    sbom: true
    scan: {maxAge: 24h}
    provenance: true
    conditions:
    - {name: no-critical, expression: 'evidence.scan.unexcused("critical").size() == 0', message: update the packages}
    - {name: main, expression: 'evidence.provenance.source.endsWith("@refs/heads/main")', message: build from main}
`

const sbomFile = `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "openssl"}]}`

// scannedAt is when all of the scans were made: a job that asks again brings the
// same bytes, however long the first time took.
var scannedAt = time.Now().UTC().Format(time.RFC3339)

// scanFile is a fresh Trivy report.
func scanFile(severity string) string {
	return `{"SchemaVersion": 2, "ArtifactName": "app", "CreatedAt": "` + scannedAt + `", "Results": [{"Class": "os-pkgs",
		"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "Severity": "` + severity + `"}]}]}`
}

// gatedWorld is a world whose service has gates. It gathers what is attached,
// as a registry would.
type gatedWorld struct {
	*world
	down     error
	gathered int
}

func (g *gatedWorld) Gather(_ context.Context, subject oci.Artifact, needs policy.Needs) (signer.Gathered, error) {
	g.gathered++
	if g.down != nil {
		return signer.Gathered{}, g.down
	}
	if needs.Platforms {
		return signer.Gathered{}, errors.New("nobody asks for platforms here")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var out signer.Gathered
	for digest, raw := range g.attached {
		b, err := attest.ParseBundle(raw)
		if err != nil {
			return out, err
		}
		st, err := attest.ParseStatement(b.Payload)
		if err != nil {
			return out, err
		}
		fact := policy.Fact{
			PredicateType: st.PredicateType, Bound: true, SAN: signer.AttestorSAN(origin), Issuer: origin, SignedAt: time.Now(), LogIndex: b.Entry.LogIndex,
			Bundle: string(digest), Statement: string(attest.DigestOf(b.Payload)), Predicate: st.Predicate, Extensions: map[string]string{"buildSignerURI": workflow},
		}
		if d, ok := document.Of(fact, subject.Digest); ok {
			out.Documents = append(out.Documents, d)
		}
	}
	return out, nil
}

func (g *gatedWorld) start(text string) *signer.Service {
	return g.startGated(text, func(*signer.Config) {})
}

// startGated is start with another configuration, as a new process.
func (g *gatedWorld) startGated(text string, change func(*signer.Config)) *signer.Service {
	g.t.Helper()
	g.calls, g.cutAt = 0, 0
	p, err := policy.ParseSigningPolicy([]byte(text))
	if err != nil {
		g.t.Fatal(err)
	}
	cfg := signer.Config{
		Origin: origin, Authenticator: g, Registry: g.world, Policy: p, Evidence: g, Certificates: g, Timestamper: g, Logs: []signer.Log{g.logs[0]},
		Verifier: g, Journal: g, Audit: g,
	}
	change(&cfg)
	s, err := signer.New(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// Authenticate is the world's, with a source repository to speak of.
func (g *gatedWorld) Authenticate(ctx context.Context, token string) (signer.Principal, error) {
	p, err := g.world.Authenticate(ctx, token)
	p.Extensions = certificate.Extensions{
		Issuer: ciIssuer, SourceRepositoryURI: "https://github.com/acme/app", SourceRepositoryRef: "refs/heads/main",
		SourceRepositoryDigest: strings.Repeat("a", 40), BuildSignerURI: workflow, BuildConfigURI: workflow,
		RunInvocationURI: "https://github.com/acme/app/actions/runs/1/attempts/1", BuildTrigger: "push", RunnerEnvironment: "github-hosted",
	}
	if g.principal != nil {
		g.principal(&p)
	}
	return p, err
}

func bring(severity string) signer.Request {
	req := goodRequest()
	req.Documents = []signer.Document{
		{Name: "sbom.json", Kind: attest.EvidenceSBOM, Content: []byte(sbomFile)},
		{Name: "scan.json", Kind: attest.EvidenceScan, Content: []byte(scanFile(severity))},
	}
	return req
}

// types are the predicate types in the log, in order; documents of one request
// come in any, and are sorted.
func (g *gatedWorld) types() string {
	var types []string
	for _, e := range g.logs[0].entries {
		st, err := attest.ParseStatement(e.Payload)
		if err != nil {
			g.t.Fatal(err)
		}
		parts := strings.Split(st.PredicateType, "/")
		types = append(types, strings.Join(parts[3:], "/"))
	}
	documents := types
	if i := slices.IndexFunc(types, func(t string) bool { return t == "provenance/v1" || t == "cosign/sign/v1" }); i >= 0 {
		documents = types[:i]
	}
	slices.Sort(documents)
	return strings.Join(types, " ")
}

const allTypes = "Document attestation/vuln/v1 provenance/v1 cosign/sign/v1"

// One call: evidence is attested, judged, and the signature made.
func TestEvidenceInOneCall(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.start(gatedPolicy)
	brought := bring("LOW") // its report says when it was made
	receipt, err := s.Sign(t.Context(), brought)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Action != signer.ActionSign || receipt.Identity != workflow || g.types() != allTypes {
		t.Errorf("receipt of %s by %s; logged %s", receipt.Action, receipt.Identity, g.types())
	}
	g.check()
	var granted []signer.AuditEvent
	for _, ev := range g.audit {
		if ev.Decision == signer.DecisionGranted && ev.Action == signer.ActionSign {
			granted = append(granted, ev)
		}
	}
	if len(granted) != 1 || len(granted[0].Evidence) != 3 {
		t.Errorf("the grant's record names %+v", granted)
	}
	// Again, the same receipt and nothing new in the log; and without documents,
	// since what is attested stays.
	for _, req := range []signer.Request{brought, goodRequest()} {
		again, err := s.Sign(t.Context(), req)
		if err != nil || again.ID != receipt.ID || g.types() != allTypes {
			t.Errorf("again: %s (%v), logged %s", again.ID, err, g.types())
		}
	}
}

func TestGateRefuses(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.start(gatedPolicy)
	_, err := s.Sign(t.Context(), goodRequest())
	var refused *signer.Refused
	if !errors.As(err, &refused) || len(refused.Reasons) != 2 {
		t.Fatalf("without evidence: %v", err)
	}
	var names []string
	for _, c := range refused.Checks {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, " "); got != "identity action kind repository own-repository evidence.sbom evidence.scan evidence.provenance no-critical main" {
		t.Errorf("checks %s", got)
	}
	if last := g.audit[len(g.audit)-1]; last.Decision != signer.DecisionRefused || len(last.Checks) != len(refused.Checks) {
		t.Errorf("recorded %+v", last)
	}
	if g.types() != "" {
		t.Errorf("logged %s", g.types())
	}
	// A bad scan is attested and stays, and nothing is signed: no provenance
	// either.
	if _, err := s.Sign(t.Context(), bring("CRITICAL")); !errors.As(err, &refused) || !strings.Contains(err.Error(), "CVE-2026-1 in openssl") {
		t.Fatalf("critical: %v", err)
	}
	if g.types() != "Document attestation/vuln/v1" {
		t.Errorf("logged %s", g.types())
	}
	for _, raw := range g.attached {
		b, err := attest.ParseBundle(raw)
		if err != nil {
			t.Fatal(err)
		}
		if cert := certificateOf(t, b); cert != signer.AttestorSAN(origin) {
			t.Errorf("evidence of a refused image is signed by %s", cert)
		}
	}
	g.check()
}

// What no rule would sign anyway is not attested, however good the documents.
func TestNothingAttestedForStrangers(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	req := bring("LOW")
	req.Image = strings.Replace(req.Image, "acme/", "globex/", 1)
	var refused *signer.Refused
	if _, err := g.start(gatedPolicy).Sign(t.Context(), req); !errors.As(err, &refused) || g.types() != "" || g.gathered != 0 {
		t.Errorf("%v; logged %q", err, g.types())
	}
}

func TestBadDocuments(t *testing.T) {
	down := errors.New("the database is down")
	for name, tc := range map[string]struct {
		change func(*gatedWorld, *signer.Request)
		is     error
		says   string
	}{
		"not readable": {func(_ *gatedWorld, r *signer.Request) { r.Documents[1].Content = []byte(`{"matches": 1}`) }, attest.ErrEvidence, "scan.json: $: not a document that is known here"},
		"another kind": {func(_ *gatedWorld, r *signer.Request) { r.Documents[0].Kind = attest.EvidenceScan }, signer.ErrBadRequest, "sbom.json: spdx: is a document of kind sbom, not \"scan\""},
		"too large":    {func(_ *gatedWorld, r *signer.Request) { r.Documents[0].Content = make([]byte, 17<<20) }, attest.ErrEvidence, "sbom.json: "},
		"too many": {func(_ *gatedWorld, r *signer.Request) {
			for range 16 {
				r.Documents = append(r.Documents, r.Documents[0])
			}
		}, signer.ErrBadRequest, "at most 16"},
		"no place to gather": {func(g *gatedWorld, _ *signer.Request) { g.down = down }, down, "gather evidence"},
	} {
		g := &gatedWorld{world: newWorld(t)}
		s := g.start(gatedPolicy)
		req := bring("LOW")
		tc.change(g, &req)
		_, err := s.Sign(t.Context(), req)
		if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q", name, err, tc.says)
		}
		if strings.Contains(g.types(), "sign/v1") {
			t.Errorf("%s: signed", name)
		}
		if last := g.audit[len(g.audit)-1]; last.Stage != "evidence" || len(last.Reasons) == 0 {
			t.Errorf("%s: recorded %+v", name, last)
		}
	}
}

// A document whose type the rule does not let the job attest refuses all, and
// says which it was.
func TestDocumentThatMayNotBeAttested(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	req := bring("LOW")
	req.Documents = append(req.Documents, signer.Document{Name: "vex.json", Content: []byte(`{"@context": "https://openvex.dev/ns/v0.2.0", "statements": []}`)})
	_, err := g.start(gatedPolicy).Sign(t.Context(), req)
	var refused *signer.Refused
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), `vex.json: rule "acme": predicate-type is "https://openvex.dev/ns/v0.2.0"`) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(g.types(), "sign/v1") {
		t.Error("signed")
	}
}

// The service's provenance says what the token says, and cannot be had by a
// job that asks for its type.
func TestOwnProvenance(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.start(gatedPolicy)
	if _, err := s.Sign(t.Context(), bring("LOW")); err != nil {
		t.Fatal(err)
	}
	var predicate map[string]any
	for _, e := range g.logs[0].entries {
		st, err := attest.ParseStatement(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if st.PredicateType == attest.PredicateProvenance {
			if err := json.Unmarshal(st.Predicate, &predicate); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := json.Marshal(predicate)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"workflow":{"path":".github/workflows/release.yml","ref":"refs/heads/main","repository":"https://github.com/acme/app"}},` +
		`"internalParameters":{"github":{"event_name":"push","runner_environment":"github-hosted"},"hallmark_issuer":"` + ciIssuer + `","hallmark_runnerEnvironment":"github-hosted","hallmark_trigger":"push"},` +
		`"resolvedDependencies":[{"digest":{"gitCommit":"` + strings.Repeat("a", 40) + `"},"uri":"git+https://github.com/acme/app@refs/heads/main"}]},` +
		`"runDetails":{"builder":{"id":"` + workflow + `"},"metadata":{"invocationId":"https://github.com/acme/app/actions/runs/1/attempts/1"}}}`
	if string(got) != want {
		t.Errorf("provenance %s\nwant       %s", got, want)
	}
	req := goodRequest()
	req.PredicateType, req.Predicate = attest.PredicateProvenance, got
	var refused *signer.Refused
	if _, err := s.Attest(t.Context(), req); !errors.As(err, &refused) {
		t.Errorf("a job told its own story: %v", err)
	}
}

// A job's statement in the very words of the service's own is another one.
func TestForgedProvenanceIsAnother(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.start(strings.Replace(gatedPolicy, "predicateTypes: [", "predicateTypes: [https://slsa.dev/provenance/v1, ", 1))
	if _, err := s.Sign(t.Context(), bring("LOW")); err != nil {
		t.Fatal(err)
	}
	var own []byte
	for _, e := range g.logs[0].entries {
		if st, err := attest.ParseStatement(e.Payload); err == nil && st.PredicateType == attest.PredicateProvenance {
			own = st.Predicate
		}
	}
	before := len(g.logs[0].entries)
	req := goodRequest()
	req.PredicateType, req.Predicate = attest.PredicateProvenance, own
	if _, err := s.Attest(t.Context(), req); err != nil || len(g.logs[0].entries) != before+1 {
		t.Errorf("a job got the service's own receipt: %v, %d entries", err, len(g.logs[0].entries))
	}
}

// A dry run says the same and does nothing.
func TestDryRun(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	s := g.start(gatedPolicy)
	for severity, allowed := range map[string]bool{"LOW": true, "CRITICAL": false} {
		x, err := s.DryRun(t.Context(), bring(severity))
		if err != nil {
			t.Fatal(err)
		}
		if x.Allowed != allowed || (x.Rule != "") != allowed || (len(x.Reasons) == 0) != allowed || len(x.Checks) != 10 || x.Identity != workflow || x.Digest != theImage {
			t.Errorf("%s: %+v", severity, x)
		}
		last := g.audit[len(g.audit)-1]
		if last.Decision != signer.DecisionDryRun || last.Rule != x.Rule || len(last.Checks) != 10 || last.Requester.SAN != workflow {
			t.Errorf("%s: recorded %+v", severity, last)
		}
	}
	if len(g.audit) != 2 || len(g.intents) != 0 || len(g.attached) != 0 || len(g.logs[0].entries) != 0 {
		t.Errorf("a dry run left %d records, %d intents, %d bundles, %d entries", len(g.audit), len(g.intents), len(g.attached), len(g.logs[0].entries))
	}
	// What may not be attested is said, too.
	req := bring("LOW")
	req.Documents = append(req.Documents, signer.Document{Name: "vex.json", Content: []byte(`{"@context": "https://openvex.dev/ns", "statements": []}`)})
	if x, err := s.DryRun(t.Context(), req); err != nil || x.Allowed || !strings.Contains(x.Reasons[0], "vex.json: rule") {
		t.Errorf("%+v, %v", x, err)
	}
	// A token that is no good is refused as ever.
	req.Token = "bad"
	var unauthenticated *signer.Unauthenticated
	if _, err := s.DryRun(t.Context(), req); !errors.As(err, &unauthenticated) {
		t.Errorf("got %v", err)
	}
	// An answer that cannot be recorded is none.
	g.world.down["audit"] = errors.New("the disk is full")
	if x, err := s.DryRun(t.Context(), goodRequest()); err == nil || x.Checks != nil {
		t.Errorf("unrecorded: %+v, %v", x, err)
	}
}

// A dry run names the rule that signs, and says what the others lack: behind a
// rule that needs no evidence the documents of the request open no gate.
func TestDryRunIsTheDecision(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	_, rule, _ := strings.Cut(gatedPolicy, "rules:\n")
	rule, _, _ = strings.Cut(strings.Replace(rule, "name: acme\n", "name: free\n", 1), "  require:")
	s := g.start(strings.Replace(gatedPolicy, "rules:\n", "rules:\n"+strings.TrimRight(rule, "\n")+"\n", 1))
	x, err := s.DryRun(t.Context(), bring("LOW"))
	if err != nil || !x.Allowed || x.Rule != "free" {
		t.Fatalf("dry run: %+v, %v", x, err)
	}
	unread := slices.IndexFunc(x.Checks, func(c policy.Check) bool { return c.Rule == "acme" && c.Name == "evidence" })
	if unread < 0 || x.Checks[unread].Passed {
		t.Errorf("of the gate it says %v", x.Checks)
	}
	receipt, err := s.Sign(t.Context(), bring("LOW"))
	if err != nil || receipt.Rule != x.Rule {
		t.Errorf("signed by rule %q, explained by %q, %v", receipt.Rule, x.Rule, err)
	}
	// A gate before such a rule decides, and the rules behind it are there, too.
	x, err = g.start(gatedPolicy+rule).DryRun(t.Context(), bring("LOW"))
	if err != nil || x.Rule != "acme" || x.Checks[len(x.Checks)-1].Rule != "free" {
		t.Errorf("dry run: %+v, %v", x, err)
	}
	// The record has what decided.
	for _, c := range g.audit[len(g.audit)-1].Checks {
		if c.Rule != x.Rule {
			t.Errorf("recorded %+v", c)
		}
	}
}

// The power fails at every call of a request with evidence: the repeated one
// signs once, and every statement is there once.
func TestPowerCutWithEvidence(t *testing.T) {
	for _, after := range []bool{false, true} {
		for cut := 1; ; cut++ {
			g := &gatedWorld{world: newWorld(t)}
			req := bring("LOW")
			s := g.start(gatedPolicy)
			g.cutAt, g.after = cut, after
			if !untilPowerFails(func() { _, _ = s.Sign(t.Context(), req) }) {
				if cut < 30 {
					t.Errorf("only %d places where the power can fail", cut)
				}
				break
			}
			g.check()
			g.calls, g.cutAt = 0, 0
			s = g.start(gatedPolicy)
			if _, _, err := s.Recover(t.Context()); err != nil {
				t.Fatalf("cut at %d: recover: %v", cut, err)
			}
			if _, err := s.Sign(t.Context(), req); err != nil {
				t.Fatalf("cut at %d (after: %v): %v", cut, after, err)
			}
			g.check()
			if g.types() != allTypes {
				t.Fatalf("cut at %d (after: %v): logged %s", cut, after, g.types())
			}
		}
	}
}

func TestGatesNeedEvidence(t *testing.T) {
	p, err := policy.ParseSigningPolicy([]byte(gatedPolicy))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	_, err = signer.New(signer.Config{
		Origin: origin, Authenticator: w, Registry: w, Policy: p, Certificates: w, Timestamper: w, Logs: []signer.Log{w.logs[0]}, Verifier: w, Journal: w, Audit: w,
	})
	if err == nil || !strings.Contains(err.Error(), "requires evidence") {
		t.Errorf("got %v", err)
	}
}

// certificateOf is the identity in a bundle's certificate.
func certificateOf(t *testing.T, b attest.Bundle) string {
	t.Helper()
	cert, err := x509.ParseCertificate(b.Certificate)
	if err != nil || len(cert.URIs) != 1 {
		t.Fatalf("certificate names %v, %v", cert, err)
	}
	return cert.URIs[0].String()
}
