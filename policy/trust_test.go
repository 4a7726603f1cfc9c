// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

const (
	ciIssuer = "https://gitlab.corp.example"
	ciSAN    = "https://gitlab.corp.example/team/app//.gitlab-ci.yml@refs/heads/main"
	attestor = "https://hallmark.corp.example/attestor"
	origin   = "https://hallmark.corp.example"
)

// now is when tests decide; evidence is older.
func now() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC) }

func trustSpec() policy.TrustPolicySpec {
	return policy.TrustPolicySpec{
		Images: []string{"registry.corp.example/prod/"},
		Signers: []policy.Signer{
			{Name: "ci", Issuer: ciIssuer, SubjectRegexp: `https://gitlab\.corp\.example/[a-z0-9-]+/[a-z0-9-]+//\.gitlab-ci\.yml@refs/heads/main`},
			{Name: "attestor", Issuer: origin, Subject: attestor},
		},
		Require: policy.Requirements{
			Signature:    policy.SignatureRequirement{Signers: []string{"ci"}},
			Attestations: []policy.AttestationRequirement{{Name: "sbom", PredicateTypes: []string{sbomType}, Signers: []string{"attestor"}}},
		},
	}
}

func trust(tb testing.TB, spec policy.TrustPolicySpec) *policy.TrustPolicy {
	tb.Helper()
	p, err := policy.NewTrustPolicy("prod", spec)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func prodImage() policy.Image {
	return policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Tag: "v1", Digest: digest}
}

func signature() policy.Fact {
	return policy.Fact{
		PredicateType: policy.PredicateSignature, Bound: true, SAN: ciSAN, Issuer: ciIssuer, SignedAt: now().Add(-time.Hour), LogIndex: 7,
		LogID: "aa", Bundle: "sha256:51", Predicate: json.RawMessage("{}"),
	}
}

func sbom() policy.Fact {
	f := signature()
	f.PredicateType, f.SAN, f.Issuer, f.LogIndex, f.Bundle = sbomType, attestor, origin, 8, "sha256:52"
	return f
}

// with changes a fact.
func with(f policy.Fact, change func(*policy.Fact)) policy.Fact {
	change(&f)
	return f
}

func TestEvaluate(t *testing.T) {
	for _, test := range []struct {
		name  string
		facts []policy.Fact
		want  string // part of the reasons; "" if allowed
	}{
		{"all there", []policy.Fact{signature(), sbom()}, ""},
		{"the other way round", []policy.Fact{sbom(), signature()}, ""},
		{"nothing", nil, `policy "prod": signature: no signature by an accepted signer; found none; expected one of "ci" (matching "https://gitlab`},
		{"signature only", []policy.Fact{signature()}, `sbom: no attestation of type "https://spdx.dev/Document" by an accepted signer; found none; expected one of "attestor" ("https://hallmark.corp.example/attestor" of issuer "https://hallmark.corp.example"); types found: "https://sigstore.dev/cosign/sign/v1"`},
		{"attestation only", []policy.Fact{sbom()}, `signature: no signature`},
		{"T01 another type instead", []policy.Fact{signature(), with(sbom(), func(f *policy.Fact) { f.PredicateType = "https://cyclonedx.org/bom" })}, `types found: "https://cyclonedx.org/bom", "https://sigstore.dev/cosign/sign/v1"`},
		{"longer type", []policy.Fact{signature(), with(sbom(), func(f *policy.Fact) { f.PredicateType += "/v2.3" })}, `sbom: no attestation`},
		{"case variant of the type", []policy.Fact{with(signature(), func(f *policy.Fact) { f.PredicateType = strings.ToUpper(f.PredicateType) }), sbom()}, `signature: no signature`},
		{"T06 signed SBOM by the signing identity", []policy.Fact{signature(), with(sbom(), func(f *policy.Fact) { f.SAN, f.Issuer = ciSAN, ciIssuer })}, `sbom: no attestation of type "https://spdx.dev/Document" by an accepted signer; found "https://gitlab.corp.example/team/app//.gitlab-ci.yml@refs/heads/main" of issuer "https://gitlab.corp.example", 2026-09-01T11:00:00Z, log index 8`},
		{"signature by the attestor", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SAN, f.Issuer = attestor, origin }), sbom()}, `signature: no signature by an accepted signer; found "https://hallmark`},
		{"P65 other branch", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SAN += "-hotfix-by-mallory" }), sbom()}, `main-hotfix-by-mallory" of issuer`},
		{"prefix before the identity", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SAN = "https://evil.example/?" + f.SAN }), sbom()}, `signature: no signature`},
		{"second line", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SAN += "\nx" }), sbom()}, `signature: no signature`},
		{"right subject, wrong issuer", []policy.Fact{with(signature(), func(f *policy.Fact) { f.Issuer += "." }), sbom()}, `of issuer "https://gitlab.corp.example."`},
		{"T30 no SAN", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SAN = "" }), sbom()}, `found "" of issuer`},
		{"no issuer", []policy.Fact{with(signature(), func(f *policy.Fact) { f.Issuer = "" }), sbom()}, `of issuer ""`},
		{"about another digest", []policy.Fact{with(signature(), func(f *policy.Fact) { f.Bound = false }), sbom()}, `(about another digest)`},
		{"without time", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SignedAt = time.Time{} }), sbom()}, `(without a proven time)`},
		{"slow clock", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SignedAt = now().Add(10 * time.Minute) }), sbom()}, ""},
		{"from the future", []policy.Fact{with(signature(), func(f *policy.Fact) { f.SignedAt = now().Add(time.Hour) }), sbom()}, `(dated in the future of this verifier's clock, which says 2026-09-01T12:00:00Z; check the clock)`},
		{"a signature from the future beside one", []policy.Fact{signature(), with(signature(), func(f *policy.Fact) { f.SignedAt = now().Add(time.Hour) }), sbom()}, ""},
		{"the newest attestation is from the future", []policy.Fact{signature(), sbom(), with(sbom(), func(f *policy.Fact) { f.SignedAt = now().Add(time.Hour) })}, `sbom: attestation of type "https://spdx.dev/Document" by "attestor": "https://hallmark.corp.example/attestor" of issuer "https://hallmark.corp.example", 2026-09-01T13:00:00Z, log index 8 (dated in the future`},
		{"a stranger's attestation from the future", []policy.Fact{signature(), sbom(), with(sbom(), func(f *policy.Fact) { f.SAN, f.SignedAt = "mallory", now().Add(time.Hour) })}, ""},
		{"too many", slices.Repeat([]policy.Fact{signature(), sbom()}, 513), `evidence: 1026 verified bundles are more than 1024`},
	} {
		verdict := trust(t, trustSpec()).Evaluate(prodImage(), test.facts, now())
		if test.want == "" {
			if !verdict.Allowed() || verdict.Reasons() != nil {
				t.Errorf("%s: %q", test.name, verdict.Reasons())
			}
			continue
		}
		if reasons := strings.Join(verdict.Reasons(), "\n"); verdict.Allowed() || !strings.Contains(reasons, test.want) {
			t.Errorf("%s:\n got %s\nwant %s", test.name, reasons, test.want)
		}
	}
}

// Even a pattern that takes everything takes no certificate without a subject or an issuer.
func TestEmptyIdentitiesMatchNobody(t *testing.T) {
	spec := trustSpec()
	spec.Require.Attestations = nil
	for _, signer := range []policy.Signer{{Name: "ci", Issuer: ciIssuer, SubjectRegexp: ".*"}, {Name: "ci", IssuerRegexp: ".*", Subject: ciSAN}} {
		spec.Signers[0] = signer
		for _, change := range []func(*policy.Fact){func(f *policy.Fact) { f.SAN = "" }, func(f *policy.Fact) { f.Issuer = "" }} {
			if trust(t, spec).Evaluate(prodImage(), []policy.Fact{with(signature(), change)}, now()).Allowed() {
				t.Errorf("%+v takes an empty identity", signer)
			}
		}
	}
}

func TestVerdictRecordsEveryRequirement(t *testing.T) {
	older := with(sbom(), func(f *policy.Fact) { f.SignedAt, f.Bundle = f.SignedAt.Add(-time.Minute), "sha256:old" })
	sameTime := with(sbom(), func(f *policy.Fact) { f.LogIndex, f.Bundle = 3, "sha256:sooner" })
	verdict := trust(t, trustSpec()).Evaluate(prodImage(), []policy.Fact{older, signature(), sbom(), sameTime}, now())
	want := []policy.Check{
		{Rule: "prod", Name: "image", Passed: true, Detail: `"registry.corp.example/prod/app"`},
		{Rule: "prod", Name: "signature", Passed: true, Detail: `signature by "ci": "` + ciSAN + `" of issuer "` + ciIssuer + `", 2026-09-01T11:00:00Z, log index 7`},
		{Rule: "prod", Name: "sbom", Passed: true, Detail: `attestation of type "https://spdx.dev/Document" by "attestor": "` + attestor + `" of issuer "` + origin + `", 2026-09-01T11:00:00Z, log index 8`},
	}
	if !slices.Equal(verdict.Checks, want) {
		t.Errorf("got  %+v\nwant %+v", verdict.Checks, want)
	}
	if !slices.Equal(verdict.Evidence, []string{"sha256:51", "sha256:52"}) {
		t.Errorf("evidence %q", verdict.Evidence)
	}
	denied := trust(t, trustSpec()).Evaluate(prodImage(), []policy.Fact{sbom()}, now())
	if len(denied.Checks) != 3 || denied.Checks[1].Passed || !denied.Checks[2].Passed || len(denied.Reasons()) != 1 {
		t.Errorf("denied: %+v", denied.Checks)
	}
}

func TestMatches(t *testing.T) {
	spec := trustSpec()
	spec.Images = []string{"registry.corp.example/prod/", "localhost:5000/"}
	p := trust(t, spec)
	facts := []policy.Fact{signature(), sbom()}
	for _, test := range []struct {
		image policy.Image
		want  bool
	}{
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: digest}, true},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/a/b/c", Digest: digest}, true},
		{policy.Image{Registry: "localhost:5000", Repository: "x", Digest: digest}, true},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example", Repository: "production/x", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/../other", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/App", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example/prod", Repository: "x", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example:443", Repository: "prod/app", Digest: digest}, false},
		{policy.Image{Registry: "REGISTRY.corp.example", Repository: "prod/app", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example.evil", Repository: "prod/app", Digest: digest}, false},
		{policy.Image{Registry: "localhost", Repository: "x", Digest: digest}, false},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/app"}, false},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: strings.ToUpper(digest)}, false},
		{policy.Image{Registry: "registry.corp.example", Repository: "prod/app", Digest: "sha256:aa"}, false},
		{policy.Image{}, false},
	} {
		if got := p.Matches(test.image); got != test.want {
			t.Errorf("matches %+v: %t", test.image, got)
		}
		if got := p.Evaluate(test.image, facts, now()); got.Allowed() != test.want || !test.want && len(got.Reasons()) != 1 {
			t.Errorf("evaluate %+v: %q", test.image, got.Reasons())
		}
	}
}

func TestDenyIsTheZeroValue(t *testing.T) {
	facts := []policy.Fact{signature(), sbom()}
	var none *policy.TrustPolicy
	for name, verdict := range map[string]policy.Verdict{
		"zero verdict": {},
		"nil policy":   none.Evaluate(prodImage(), facts, now()),
		"zero policy":  new(policy.TrustPolicy).Evaluate(prodImage(), facts, now()),
		"no time":      trust(t, trustSpec()).Evaluate(prodImage(), facts, time.Time{}),
		"zero facts":   trust(t, trustSpec()).Evaluate(prodImage(), make([]policy.Fact, 2), now()),
		"only passed":  {Checks: []policy.Check{{Passed: true}}},
	} {
		if verdict.Allowed() || len(verdict.Reasons()) == 0 {
			t.Errorf("%s: allowed is %t, reasons %q", name, verdict.Allowed(), verdict.Reasons())
		}
	}
	if reasons := trust(t, trustSpec()).Evaluate(prodImage(), facts, time.Time{}).Reasons(); !strings.Contains(reasons[0], "the time of the decision is unknown") {
		t.Errorf("no time: %q", reasons)
	}
	if none.Matches(prodImage()) || none.ModeFor("x", now()) != policy.ModeEnforce || none.Name() != "" || none.Spec().Images != nil {
		t.Error("a nil policy says something")
	}
}

func TestModeFor(t *testing.T) {
	spec := trustSpec()
	spec.Namespaces = []policy.NamespaceMode{
		{Namespace: "sandbox", Mode: policy.ModeWarn, Until: "2026-09-01T12:00:01Z"},
		{Namespace: "ended", Mode: policy.ModeWarn, Until: "2026-09-01T12:00:00Z"},
	}
	for namespace, want := range map[string]policy.Mode{"": "Enforce", "other": "Enforce", "sandbox": "Warn", "ended": "Enforce", "sandbox-2": "Enforce"} {
		if got := trust(t, spec).ModeFor(namespace, now()); got != want {
			t.Errorf("%q: %s", namespace, got)
		}
	}
	if got := trust(t, spec).ModeFor("sandbox", time.Time{}); got != policy.ModeEnforce {
		t.Errorf("without a time: %s", got)
	}
	spec.Mode = policy.ModeWarn
	spec.Namespaces = []policy.NamespaceMode{{Namespace: "payments", Mode: policy.ModeEnforce}}
	p := trust(t, spec)
	if p.ModeFor("payments", now()) != policy.ModeEnforce || p.ModeFor("other", now()) != policy.ModeWarn {
		t.Error("an enforcing override of a warning policy does not hold")
	}
}

func TestSpecIsCopied(t *testing.T) {
	spec := trustSpec()
	p := trust(t, spec)
	for _, alias := range []policy.TrustPolicySpec{spec, p.Spec()} {
		alias.Images[0] = "evil.example/"
		alias.Signers[1].Subject = "mallory"
		alias.Require.Signature.Signers[0] = "attestor"
		alias.Require.Attestations[0].PredicateTypes[0] = "x"
		alias.Require.Attestations[0].Signers[0] = "ci"
	}
	if !reflect.DeepEqual(p.Spec(), trustSpec()) {
		t.Errorf("the policy changed with its spec: %+v", p.Spec())
	}
	if !p.Evaluate(prodImage(), []policy.Fact{signature(), sbom()}, now()).Allowed() {
		t.Error("the verdict changed with the spec")
	}
	// The copy is complete as long as it equals what JSON, the other way out, makes of the spec.
	var viaJSON policy.TrustPolicySpec
	full := trustSpec()
	full.Mode, full.Namespaces = policy.ModeWarn, []policy.NamespaceMode{{Namespace: "a", Mode: policy.ModeWarn, Until: "x"}}
	if b, err := json.Marshal(full); err != nil || json.Unmarshal(b, &viaJSON) != nil || !reflect.DeepEqual(viaJSON, *full.DeepCopy()) {
		t.Errorf("copy differs: %+v", full.DeepCopy())
	}
}

func TestTrustPolicyErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*policy.TrustPolicySpec)
		want   string
	}{
		{"nothing", func(s *policy.TrustPolicySpec) { *s = policy.TrustPolicySpec{} }, "images: must not be missing or empty"},
		{"prefix without boundary", func(s *policy.TrustPolicySpec) { s.Images[0] = "registry.corp.example/prod" }, `images[0]: "registry.corp.example/prod": must be a lower-case prefix`},
		{"glob", func(s *policy.TrustPolicySpec) { s.Images[0] = "registry.corp.example/*/" }, `images[0]`},
		{"upper case", func(s *policy.TrustPolicySpec) { s.Images[0] = "Registry.corp.example/" }, `images[0]`},
		{"no host", func(s *policy.TrustPolicySpec) { s.Images[0] = "/" }, `images[0]`},
		{"dots", func(s *policy.TrustPolicySpec) { s.Images[0] = "registry.corp.example/../" }, `images[0]`},
		{"scheme", func(s *policy.TrustPolicySpec) { s.Images[0] = "https://registry.corp.example/" }, `images[0]`},
		{"no signers", func(s *policy.TrustPolicySpec) { s.Signers = nil }, "signers: must not be missing or empty"},
		{"no issuer", func(s *policy.TrustPolicySpec) { s.Signers[0].Issuer = "" }, "signers[0]: needs exactly one of issuer and issuerRegexp"},
		{"two issuers", func(s *policy.TrustPolicySpec) { s.Signers[0].IssuerRegexp = "x" }, "signers[0]: needs exactly one of issuer"},
		{"no subject", func(s *policy.TrustPolicySpec) { s.Signers[1].Subject = "" }, "signers[1]: needs exactly one of subject"},
		{"two subjects", func(s *policy.TrustPolicySpec) { s.Signers[0].Subject = "x" }, "signers[0]: needs exactly one of subject"},
		{"subject with space", func(s *policy.TrustPolicySpec) { s.Signers[1].Subject = " x" }, "signers[1].subject: must be printable"},
		{"broken pattern", func(s *policy.TrustPolicySpec) { s.Signers[0].SubjectRegexp = "(" }, "signers[0].subjectRegexp: error parsing regexp"},
		{"pattern that leaves its brackets", func(s *policy.TrustPolicySpec) { s.Signers[0].SubjectRegexp = "a)|(?:b" }, "signers[0].subjectRegexp: error parsing"},
		{"everybody", func(s *policy.TrustPolicySpec) {
			s.Signers[0] = policy.Signer{Name: "ci", IssuerRegexp: ".*", SubjectRegexp: ".+"}
		}, "signers[0]: stands for everybody"},
		{"no name", func(s *policy.TrustPolicySpec) { s.Signers[0].Name = "" }, "signers[0].name"},
		{"same name", func(s *policy.TrustPolicySpec) { s.Signers[1].Name = "ci" }, `signers[1].name: "ci" is taken`},
		{"no signature", func(s *policy.TrustPolicySpec) { s.Require.Signature.Signers = nil }, "require.signature.signers: must not be missing or empty"},
		{"unknown signer", func(s *policy.TrustPolicySpec) { s.Require.Signature.Signers = []string{"ci", "psirt"} }, `require.signature.signers[1]: "psirt": must be the name of one`},
		{"T31 attestation without signer", func(s *policy.TrustPolicySpec) { s.Require.Attestations[0].Signers = nil }, "require.attestations[0].signers: must not be missing"},
		{"attestation by unknown signer", func(s *policy.TrustPolicySpec) { s.Require.Attestations[0].Signers[0] = "x" }, "require.attestations[0].signers[0]"},
		{"attestation without type", func(s *policy.TrustPolicySpec) { s.Require.Attestations[0].PredicateTypes = nil }, "require.attestations[0].predicateTypes"},
		{"attestation with short type", func(s *policy.TrustPolicySpec) { s.Require.Attestations[0].PredicateTypes[0] = "spdxjson" }, "must be an exact URI"},
		{"attestation that is a signature", func(s *policy.TrustPolicySpec) {
			s.Require.Attestations[0].PredicateTypes[0] = policy.PredicateSignature
		}, "require.signature asks for it"},
		{"reserved name", func(s *policy.TrustPolicySpec) { s.Require.Attestations[0].Name = "signature" }, "require.attestations[0].name"},
		{"unknown mode", func(s *policy.TrustPolicySpec) { s.Mode = "warn" }, "mode: must be Enforce or Warn"},
		{"glob of namespaces", func(s *policy.TrustPolicySpec) {
			s.Namespaces = []policy.NamespaceMode{{Namespace: "dev-*", Mode: "Enforce"}}
		}, "namespaces[0].namespace"},
		{"namespace twice", func(s *policy.TrustPolicySpec) {
			s.Namespaces = slices.Repeat([]policy.NamespaceMode{{Namespace: "a", Mode: "Enforce"}}, 2)
		}, "namespaces[1].namespace"},
		{"override without mode", func(s *policy.TrustPolicySpec) { s.Namespaces = []policy.NamespaceMode{{Namespace: "a"}} }, "namespaces[0].mode"},
		{"warning without end", func(s *policy.TrustPolicySpec) {
			s.Namespaces = []policy.NamespaceMode{{Namespace: "a", Mode: "Warn"}}
		}, "namespaces[0].until: a namespace that only warns needs an end"},
		{"strange end", func(s *policy.TrustPolicySpec) {
			s.Namespaces = []policy.NamespaceMode{{Namespace: "a", Mode: "Warn", Until: "tomorrow"}}
		}, "namespaces[0].until: must be a time"},
	} {
		spec := trustSpec()
		test.change(&spec)
		p, err := policy.NewTrustPolicy("prod", spec)
		if err == nil || p != nil || !strings.HasPrefix(err.Error(), `trust policy "prod": `) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.name, err, test.want)
		}
	}
	if _, err := policy.NewTrustPolicy("Prod", trustSpec()); err == nil || !strings.Contains(err.Error(), "name: must be an object name") {
		t.Errorf("upper-case name: %v", err)
	}
}

const goodTrust = `apiVersion: hallmark.dev/v1alpha1
kind: ImageTrustPolicy
metadata:
  name: prod
  labels: {app.kubernetes.io/name: x}
  generation: 3
spec:
  images: [registry.corp.example/prod/]
  signers:
  - name: ci
    issuer: https://gitlab.corp.example
    subjectRegexp: https://gitlab\.corp\.example/team/app//\.gitlab-ci\.yml@refs/heads/main
  require:
    signature: {signers: [ci]}
  namespaces: [{namespace: a, mode: Warn, until: 2026-12-31T00:00:00Z}]
status: {conditions: [], observedGeneration: 3}
`

func TestParseTrustPolicy(t *testing.T) {
	p, err := policy.ParseTrustPolicy([]byte(goodTrust))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != "prod" || !p.Evaluate(prodImage(), []policy.Fact{signature()}, now()).Allowed() || p.ModeFor("a", now()) != policy.ModeWarn {
		t.Errorf("parsed as %+v", p.Spec())
	}
	asJSON := fmt.Sprintf(`{"apiVersion":"hallmark.dev/v1alpha1","kind":"ImageTrustPolicy","metadata":{"name":"prod"},"spec":%s}`, mustJSON(t, p.Spec()))
	again, err := policy.ParseTrustPolicy([]byte(asJSON))
	if err != nil || !reflect.DeepEqual(again.Spec(), p.Spec()) {
		t.Errorf("as JSON: %v", err)
	}
	for old, by := range map[string][2]string{
		"name: prod":            {"Name: prod", "line 4: metadata.Name: unknown key"},
		"  name: prod\n":        {"", "line 3: metadata.name: must be an object name"},
		"generation: 3":         {"generation: 3\n  generation: 4", "line 7: metadata.generation: duplicate key"},
		"images: [":             {"images: [*x, ", "unknown anchor"},
		"spec:":                 {"Spec:", "line 7: Spec: unknown key"},
		"issuer:":               {"issuer: x\n    Issuer:", "line 12: spec.signers[0].Issuer: unknown key"},
		"signers: [ci]":         {"signers: []", "line 14: spec.require.signature.signers: must not be missing"},
		"until: 2026-12-31T00":  {"until: 2026-12-31 00", "line 15: spec.namespaces[0].until: must be a time"},
		"mode: Warn, until":     {"mode: Audit, until", "line 15: spec.namespaces[0].mode"},
		"ImageTrustPolicy":      {"SigningPolicy", "line 2: kind: is a SigningPolicy; hallmark policy test reads it"},
		"observedGeneration: 3": {"a: 1, a: 2", "line 16: status.a: duplicate key"},
	} {
		_, err := policy.ParseTrustPolicy([]byte(strings.Replace(goodTrust, old, by[0], 1)))
		if err == nil || !strings.HasPrefix(err.Error(), "trust policy: ") || !strings.Contains(err.Error(), by[1]) {
			t.Errorf("%s: %v, want %s", by[0], err, by[1])
		}
	}
}

func mustJSON(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
