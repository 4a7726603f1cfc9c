// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// BenchmarkDecide decides by the shipped policy, allowing and refusing.
func BenchmarkDecide(b *testing.B) {
	p, err := policy.ParseSigningPolicy(shippedFile(b, "signing-policy.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	in := request()
	for name, value := range map[string]string{
		"event_name": "push", "base_ref": "", "head_ref": "", "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
		"runner_environment": "github-hosted",
	} {
		in.Claims[name] = value
	}
	for name, event := range map[string]string{"allow": "push", "refuse": "pull_request_target"} {
		b.Run(name, func(b *testing.B) {
			in.Claims["event_name"] = event
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := p.Decide(in).Grant(); ok != (name == "allow") {
					b.Fatal("wrong decision")
				}
			}
		})
	}
}

// BenchmarkEvaluate judges 64 bundles, the most that one registry source hands over.
func BenchmarkEvaluate(b *testing.B) {
	p := trust(b, trustSpec())
	var facts []policy.Fact
	for range 32 {
		facts = append(facts, signature(), sbom())
	}
	b.ReportAllocs()
	for b.Loop() {
		if !p.Evaluate(prodImage(), facts, now()).Allowed() {
			b.Fatal("wrong verdict")
		}
	}
}
