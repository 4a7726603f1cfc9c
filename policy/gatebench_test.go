// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// BenchmarkGate judges five thousand findings and five hundred VEX statements: it is to take less than 20 ms.
func BenchmarkGate(b *testing.B) {
	benchmarkGate(b, func(i int) policy.VEXProduct {
		return policy.VEXProduct{IDs: []string{"pkg:oci/app?repository_url=r.example/acme/app"}, Subcomponents: []string{fmt.Sprintf("pkg:deb/debian/package-%d", i%800)}}
	})
}

// BenchmarkGateRanges is BenchmarkGate with statements about ranges of versions.
func BenchmarkGateRanges(b *testing.B) {
	benchmarkGate(b, func(i int) policy.VEXProduct {
		return policy.VEXProduct{IDs: []string{fmt.Sprintf("pkg:deb/debian/package-%d", i%800)}, Versions: []string{"vers:deb/>=0.9|<1.0|>=1.2~rc1|<1.2.4", "vers:deb/2:1"}}
	})
}

func benchmarkGate(b *testing.B, product func(i int) policy.VEXProduct) {
	b.Helper()
	p := parse(b, gated(`
scan:
  maxAge: 24h
  vex: [{author: "`+security+`"}]
conditions:
- {name: no-critical, expression: 'evidence.scan.unexcused("critical").size() == 0', message: m}
- {name: no-fixable-high, expression: '!evidence.scan.findings.exists(f, f.atLeast("high") && f.fixable && !f.excused)', message: m}`))
	var findings []policy.Finding
	var statements []policy.VEXStatement
	for i := range 5000 {
		f := finding(fmt.Sprintf("CVE-2026-%d", i), "medium")
		f.PURL = fmt.Sprintf("pkg:deb/debian/package-%d@1.2.3-4?arch=amd64&distro=debian-12", i%800)
		f.Aliases = []string{fmt.Sprintf("DSA-%d", i), fmt.Sprintf("GHSA-%d", i)}
		if i%10 == 0 {
			f.Severity, f.Fixed, f.FixState = "critical", []string{"2"}, "fixed"
			statements = append(statements, policy.VEXStatement{
				Vulnerability: f.ID, Status: "not_affected", Justification: "component_not_present",
				Products: []policy.VEXProduct{product(i)},
			})
		}
		findings = append(findings, f)
	}
	vex := with2(vexBy(security, nil), func(d *policy.Document) { d.VEX = statements })
	documents := []policy.Document{scanOf(nil, findings...), vex}
	b.ReportAllocs()
	for b.Loop() {
		if r := decideOn(p, documents).Refusal(); r != nil {
			b.Fatal(r)
		}
	}
}
