// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/policy"
)

// sieveGates differ in what of several documents decides.
var sieveGates = []string{
	fullGate,
	"sbom: true",
	"scan: {maxAge: 1h}",
	"scan: {maxAge: 1h, tools: [trivy, grype]}",
	"tests: true",
	"scan: {maxAge: 1h}\nconditions:\n- {name: none, expression: evidence.scan.findings.size() == 0, message: m}",
}

// randomEvidence is a document of any kind, tool, age and quality.
func randomEvidence(r *rand.Rand, i int) policy.Document {
	kind := []string{policy.EvidenceSBOM, policy.EvidenceScan, policy.EvidenceScan, policy.EvidenceVEX, policy.EvidenceTest, policy.EvidenceProvenance}[r.IntN(6)]
	d := doc(kind, nil)
	switch kind {
	case policy.EvidenceScan:
		d = scanOf(func(d *policy.Document) { d.Scan.Tool = []string{"trivy", "grype", "other"}[r.IntN(3)] })
		if r.IntN(2) == 0 {
			d.Scan.Findings = []policy.Finding{finding("CVE-2026-1", []string{"critical", "low"}[r.IntN(2)])}
		}
	case policy.EvidenceVEX:
		d = vexBy([]string{security, "somebody"}[r.IntN(2)], nil)
	case policy.EvidenceSBOM:
		d.SBOM.Packages = r.IntN(2) * 14
	case policy.EvidenceTest:
		d.Test.Result = []string{"PASSED", "FAILED"}[r.IntN(2)]
	}
	d.At = judgedAt.Add(time.Duration(r.IntN(12)-10) * time.Hour / 4)
	d.Run = []string{"", "run-1", "run-2"}[r.IntN(3)]
	if d.Scan != nil {
		d.Scan.FinishedAt = d.At.Add(-time.Duration(r.IntN(4)) * time.Hour / 4)
	}
	if r.IntN(6) == 0 {
		d.Problem, d.SBOM, d.Scan, d.VEX, d.Test, d.Provenance = "broken", nil, nil, nil, nil, nil
	}
	if r.IntN(5) == 0 {
		d.Digest = otherImage
	}
	d.LogIndex, d.Bundle = int64(i), fmt.Sprint("sha256:", i)
	return d
}

// What a sieve leaves out decides nothing, nor does what a reader, newest first, leaves unread because the sieve does not want it.
func TestSieveChangesNoDecision(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	verdicts, unread := map[bool]int{}, 0
	for range 4 * rounds {
		p := parse(t, gated(sieveGates[r.IntN(len(sieveGates))]))
		in := request()
		needs := p.Needs(in)
		for i := range r.IntN(14) {
			in.Evidence = append(in.Evidence, randomEvidence(r, i))
		}
		want := p.Decide(in)
		all := slices.Clone(in.Evidence)
		slices.SortFunc(all, func(a, b policy.Document) int { return b.At.Compare(a.At) })
		sieve := policy.NewSieve(needs, in.Now)
		for _, d := range all {
			if sieve.Wants(d.Kind, d.Digest, d.At) {
				sieve.Add(d)
			} else {
				unread++
			}
		}
		in.Evidence = sieve.Documents()
		got := p.Decide(in)
		_, wanted := want.Grant()
		if _, granted := got.Grant(); granted != wanted {
			t.Fatalf("with all %v, with %d of %d: %v", want.Refusal(), len(in.Evidence), len(all), got.Refusal())
		}
		verdicts[wanted]++
	}
	if verdicts[true] < rounds/4 || verdicts[false] < rounds/4 || unread < rounds {
		t.Errorf("the cases are one-sided: %v, %d documents were not read", verdicts, unread)
	}
}

func TestSieveIsSmall(t *testing.T) {
	p := parse(t, gated("scan: {maxAge: 24h, tools: [trivy]}"))
	sieve := policy.NewSieve(p.Needs(request()), judgedAt)
	if got := p.Needs(request()); !slices.Equal(got.Kinds, []string{policy.EvidenceScan, policy.EvidenceVEX}) || got.Ages[policy.EvidenceScan] != 24*time.Hour {
		t.Errorf("needs %+v", got)
	}
	for i := range 5000 {
		sieve.Add(scanOf(func(d *policy.Document) { d.At = d.At.Add(time.Duration(i) * time.Millisecond) }, finding("CVE-1", "high")))
		sieve.Add(doc(policy.EvidenceScan, func(d *policy.Document) { d.Problem, d.Scan = "broken", nil }))
		sieve.Add(doc(policy.EvidenceSBOM, nil))
	}
	if n := len(sieve.Documents()); n != 9 {
		t.Errorf("%d documents are kept", n)
	}
	if small := sieve.Size(); small > 16<<10 {
		t.Errorf("they take %d bytes", small)
	}
	if sieve.Wants(policy.EvidenceSBOM, digest, judgedAt) || sieve.Wants(policy.EvidenceScan, digest, judgedAt.Add(-25*time.Hour)) {
		t.Error("it wants what decides nothing")
	}
	if !sieve.Wants(policy.EvidenceScan, otherImage, judgedAt.Add(-25*time.Hour)) || !sieve.Wants(policy.EvidenceScan, digest, judgedAt) || !sieve.Wants(policy.EvidenceVEX, digest, time.Time{}) {
		t.Error("it does not want what may decide")
	}
	var none *policy.SigningPolicy
	if policy.NewSieve(none.Needs(request()), judgedAt).Wants(policy.EvidenceSBOM, digest, judgedAt) {
		t.Error("without needs it wants something")
	}
}
