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
	"scan: {maxAge: 2h, maxDatabaseAge: 1h}",
	"scan: {maxAge: 2h, maxDatabaseAge: 1h, tools: [trivy, grype]}",
	"scan: {maxAge: 2h, maxDatabaseAge: 1h}\nconditions:\n- {name: none, expression: evidence.scan.findings.size() == 0, message: m}",
	"sbom: true\nscan: {maxAge: 2h, maxDatabaseAge: 1h}\nindex: platforms",
	"scan: {maxAge: 2h, maxDatabaseAge: 1h}\nindex: either\nconditions:\n- {name: none, expression: evidence.scan.findings.size() == 0, message: m}",
	"scan: {maxAge: 1h, vex: [{author: \"" + security + "\"}]}\nconditions:\n- {name: none, expression: 'evidence.scan.unexcused(\"high\").size() == 0', message: m}",
	"reports: [{kind: lint, maxAge: 1h}]\ntests: true",
	"scan: {maxAge: 1h}\nconditions:\n- {name: none, expression: evidence.scan.findings.size() == 0, message: m}",
}

// randomEvidence is a document of any kind, tool, age and quality.
func randomEvidence(r *rand.Rand, i int) policy.Document {
	kind := []string{policy.EvidenceSBOM, policy.EvidenceScan, policy.EvidenceScan, policy.EvidenceVEX, policy.EvidenceTest, policy.EvidenceProvenance, policy.EvidenceScan, policy.EvidenceLint}[r.IntN(8)]
	d := doc(kind, nil)
	switch kind {
	case policy.EvidenceScan:
		d = scanOf(func(d *policy.Document) { d.Scan.Tool = []string{"trivy", "grype", "other"}[r.IntN(3)] })
		if r.IntN(2) == 0 {
			d.Scan.Findings = []policy.Finding{finding("CVE-2026-1", []string{"critical", "low"}[r.IntN(2)])}
		}
	case policy.EvidenceLint:
		d.Scan = &policy.Scan{Tool: "hadolint"}
	case policy.EvidenceVEX:
		d = vexBy([]string{security, "somebody"}[r.IntN(2)], func(s *policy.VEXStatement) {
			s.Status = []string{"not_affected", "affected"}[r.IntN(2)]
			s.Products = []policy.VEXProduct{{IDs: []string{[]string{"pkg:oci/app", "urn:cdx:s/1", "urn:cdx:s/2"}[r.IntN(3)]}}}
		})
	case policy.EvidenceSBOM:
		d.SBOM.Packages, d.SBOM.Serial = r.IntN(2)*14, []string{"", "s/1", "s/2"}[r.IntN(3)]
	case policy.EvidenceTest:
		d.Test.Result = []string{"PASSED", "FAILED"}[r.IntN(2)]
	}
	d.At = judgedAt.Add(time.Duration(r.IntN(12)-10) * time.Hour / 4)
	d.Run = []string{"", "run-1", "run-2"}[r.IntN(3)]
	if d.Scan != nil {
		d.Scan.FinishedAt = d.At.Add(-time.Duration(r.IntN(6)-1) * time.Hour / 4)
		d.Scan.DatabaseAt = d.At.Add(-time.Duration(r.IntN(8)-1) * time.Hour / 4)
		switch r.IntN(10) {
		case 0:
			d.Scan.FinishedAt = time.Time{}
		case 1, 2:
			d.Scan.DatabaseAt = time.Time{}
		case 3:
			d.Scan.Nothing = "no packages"
		}
	}
	if r.IntN(6) == 0 {
		d.Problem, d.SBOM, d.Scan, d.VEX, d.Test, d.Provenance = "broken", nil, nil, nil, nil, nil
	}
	switch r.IntN(8) {
	case 0, 1:
		d.Digest = otherImage
	case 2:
		d.Digest = armDigest
	}
	d.LogIndex, d.Bundle = int64(i), fmt.Sprint("sha256:", i)
	return d
}

// sieved decides on a random world with all of its evidence, and with what a reader keeps of it, newest first, who leaves unread what the
// sieve does not want. It returns both verdicts and how many documents were not read.
func sieved(p *policy.SigningPolicy, r *rand.Rand) (all, some policy.Decision, unread int) {
	in := request()
	if r.IntN(3) == 0 {
		in.Kind, in.Platforms = policy.KindIndex, []string{otherImage, armDigest}[:r.IntN(3)]
	}
	needs := p.Needs(in)
	alike := r.IntN(2) == 0 // scans of one tool, none of a run: each may hide the others
	for i := range r.IntN(14) {
		d := randomEvidence(r, i)
		if alike && d.Scan != nil && d.Kind == policy.EvidenceScan {
			d.Run, d.Digest, d.Scan.Tool = "", digest, "trivy"
		}
		in.Evidence = append(in.Evidence, d)
	}
	all = p.Decide(in)
	newest := slices.Clone(in.Evidence)
	slices.SortFunc(newest, func(a, b policy.Document) int { return b.At.Compare(a.At) })
	sieve := policy.NewSieve(needs, in.Now)
	for _, d := range newest {
		if sieve.Wants(d.Kind, d.Digest, d.At) {
			sieve.Add(d)
		} else {
			unread++
		}
	}
	in.Evidence = sieve.Documents()
	return all, p.Decide(in), unread
}

// What a sieve leaves out decides nothing.
func TestSieveChangesNoDecision(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	verdicts, unread := map[bool]int{}, 0
	gates := make([]*policy.SigningPolicy, len(sieveGates))
	for i, gate := range sieveGates {
		gates[i] = parse(t, gated(gate))
	}
	for i := range 8 * rounds {
		want, got, left := sieved(gates[i%len(gates)], r)
		_, wanted := want.Grant()
		if _, granted := got.Grant(); granted != wanted {
			t.Fatalf("%s\nwith all %v, sieved: %v", sieveGates[i%len(gates)], want.Refusal(), got.Refusal())
		}
		verdicts[wanted]++
		unread += left
	}
	if verdicts[true] < rounds/4 || verdicts[false] < rounds/4 || unread < rounds {
		t.Errorf("the cases are one-sided: %v, %d documents were not read", verdicts, unread)
	}
}

// FuzzSieve looks for worlds beyond those of TestSieveChangesNoDecision.
func FuzzSieve(f *testing.F) {
	var gates []*policy.SigningPolicy
	for i, gate := range sieveGates {
		p, err := policy.ParseSigningPolicy([]byte(gated(gate)))
		if err != nil {
			f.Fatal(err)
		}
		gates = append(gates, p)
		f.Add(uint64(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, seed, gate uint64) {
		n := gate % uint64(len(gates))
		want, got, _ := sieved(gates[n], rand.New(rand.NewPCG(seed, gate)))
		_, wanted := want.Grant()
		if _, granted := got.Grant(); granted != wanted {
			t.Fatalf("%s\nwith all %v, sieved: %v", sieveGates[n], want.Refusal(), got.Refusal())
		}
	})
}

// Reports of a tool whose newest will not do, here for its old database, count down to the first that does: none of those between may be left
// out, and those behind it may.
func TestSieveKeepsWhatStillCounts(t *testing.T) {
	p := parse(t, gated("scan: {maxAge: 24h, maxDatabaseAge: 12h}\nconditions:\n- {name: none, expression: evidence.scan.findings.size() == 0, message: m}"))
	const tool = "trivy"
	report := func(hours int, tool string, databaseHours int, findings ...policy.Finding) policy.Document {
		return scanOf(func(d *policy.Document) {
			d.At = judgedAt.Add(-time.Duration(hours) * time.Hour)
			d.Scan.Tool, d.Scan.FinishedAt, d.Scan.DatabaseAt = tool, d.At, judgedAt.Add(-time.Duration(databaseHours)*time.Hour)
			d.LogIndex, d.Bundle = int64(100-hours), fmt.Sprint("sha256:", tool, hours)
		}, findings...)
	}
	bad := finding("CVE-2026-1", "critical")
	other := report(1, "grype", 2)
	for name, tc := range map[string]struct {
		reports []policy.Document
		allowed bool
		kept    int
	}{
		"the second says it":        {[]policy.Document{report(1, tool, 20), report(2, tool, 20, bad), report(3, tool, 20), report(4, tool, 5), report(5, tool, 5, bad)}, false, 5},
		"only one that is behind":   {[]policy.Document{report(1, tool, 20), report(2, tool, 20), report(4, tool, 5), report(5, tool, 5, bad), report(6, tool, 20, bad)}, true, 4},
		"the one that does says it": {[]policy.Document{report(1, tool, 20), report(4, tool, 5, bad), report(5, tool, 5)}, false, 3},
		"the newest does":           {[]policy.Document{report(1, tool, 5), report(2, tool, 20, bad), report(3, tool, 5, bad)}, true, 2},
		"from the future":           {[]policy.Document{report(1, tool, 20), report(6, tool, 1, bad), report(7, tool, 8)}, false, 4}, // a database newer than its report
	} {
		in := request()
		in.Evidence = append(slices.Clone(tc.reports), other)
		_, whole := p.Decide(in).Grant()
		if whole != tc.allowed {
			t.Errorf("%s: all together, allowed %t", name, whole)
		}
		for _, reverse := range []bool{false, true} {
			all := slices.Clone(in.Evidence)
			if reverse {
				slices.Reverse(all)
			}
			sieve := policy.NewSieve(p.Needs(in), in.Now)
			for _, d := range all {
				sieve.Add(d)
			}
			kept := in
			kept.Evidence = sieve.Documents()
			if _, allowed := p.Decide(kept).Grant(); allowed != tc.allowed || len(kept.Evidence) != tc.kept {
				t.Errorf("%s (oldest first: %t): allowed %t, %d kept", name, reverse, allowed, len(kept.Evidence))
			}
		}
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
