// SPDX-License-Identifier: Apache-2.0

package policyfiles_test

import (
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/policy"
)

// The shipped gates let good evidence pass and each bad one fail; e2e/gates
// runs them whole.
func TestShippedGates(t *testing.T) {
	p, err := policy.ParseSigningPolicy(policyfiles.Gates)
	if err != nil {
		t.Fatal(err)
	}
	j := newJobs(t)
	now := time.Unix(1_800_000_000, 0)
	digest := "sha256:" + strings.Repeat("0", 64)
	const attestor = "https://hallmark.example/attestor"
	good := func() map[string]policy.Document {
		all := map[string]policy.Document{
			policy.EvidenceSBOM:       {SBOM: &policy.SBOM{Packages: 1}},
			policy.EvidenceScan:       {Scan: &policy.Scan{Tool: "trivy", FinishedAt: now, Findings: []policy.Finding{{ID: "CVE-1", Severity: "medium", Fixed: []string{"2"}, FixState: "fixed"}}}},
			policy.EvidenceTest:       {Test: &policy.TestResult{Result: "PASSED", Passed: 1}},
			policy.EvidenceProvenance: {Provenance: &policy.Provenance{Source: "git+https://github.com/acme/app@refs/heads/main"}},
		}
		for kind, d := range all {
			d.Kind, d.Digest, d.At, d.Signer, d.Author = kind, digest, now, attestor, attestor
			all[kind] = d
		}
		return all
	}
	for name, tc := range map[string]struct {
		change func(map[string]policy.Document)
		says   string
	}{
		"good":              {func(map[string]policy.Document) {}, ""},
		"no SBOM":           {func(d map[string]policy.Document) { delete(d, policy.EvidenceSBOM) }, "evidence.sbom: none"},
		"no tests":          {func(d map[string]policy.Document) { delete(d, policy.EvidenceTest) }, "evidence.test: none"},
		"no provenance":     {func(d map[string]policy.Document) { delete(d, policy.EvidenceProvenance) }, "evidence.provenance: none"},
		"tests did not run": {func(d map[string]policy.Document) { d[policy.EvidenceTest].Test.Passed = 0 }, `condition "tests-ran" failed`},
		"critical":          {func(d map[string]policy.Document) { d[policy.EvidenceScan].Scan.Findings[0].Severity = "critical" }, `condition "no-critical" failed`},
		"high, with a fix":  {func(d map[string]policy.Document) { d[policy.EvidenceScan].Scan.Findings[0].Severity = "high" }, `condition "no-fixable-high" failed`},
		"old":               {func(d map[string]policy.Document) { d[policy.EvidenceScan].Scan.FinishedAt = now.Add(-25 * time.Hour) }, "older than 24h"},
		"other source": {func(d map[string]policy.Document) {
			d[policy.EvidenceProvenance].Provenance.Source = "git+https://github.com/mallory/app"
		}, `condition "source" failed`},
	} {
		documents := good()
		tc.change(documents)
		in := policy.Input{
			Action: policy.ActionSign, Identity: "github", Provider: "github", Claims: j.claims(t, "github", ""), Repository: "acme/app", Kind: policy.KindImage,
			Digest: digest, Now: now,
		}
		for _, d := range documents {
			in.Evidence = append(in.Evidence, d)
		}
		refusal := p.Decide(in).Refusal()
		if (refusal == nil) != (tc.says == "") || (refusal != nil && !strings.Contains(refusal.Error(), tc.says)) {
			t.Errorf("%s: %v, want %q", name, refusal, tc.says)
		}
	}
	// VEX is for the security team's workflow.
	for claims, allowed := range map[string]bool{"": false, "repository=acme/security": true, "repository=mallory/security": false} {
		d := p.Decide(policy.Input{
			Action: policy.ActionAttest, Identity: "github", Claims: j.claims(t, "github", claims), Repository: "acme/app", Kind: policy.KindImage,
			Digest: digest, PredicateType: "https://openvex.dev/ns/v0.2.0", Now: now,
		})
		if _, ok := d.Grant(); ok != allowed {
			t.Errorf("VEX by %q: allowed is %t: %v", claims, ok, d.Refusal())
		}
	}
}
