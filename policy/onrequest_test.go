// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// TestOnRequest: what a client signed by itself counts only for a signer of whom
// the policy says so, for signatures and attestations alike.
func TestOnRequest(t *testing.T) {
	own := func(f policy.Fact) policy.Fact {
		return with(f, func(f *policy.Fact) { f.OnRequest, f.Bundle = true, f.Bundle+"0" })
	}
	allow := func(names ...string) policy.TrustPolicySpec {
		spec := trustSpec()
		for i, s := range spec.Signers {
			for _, name := range names {
				spec.Signers[i].AllowOnRequest = spec.Signers[i].AllowOnRequest || s.Name == name
			}
		}
		return spec
	}
	const not = "not signed by the service: with a certificate issued on request"
	for name, tc := range map[string]struct {
		spec  policy.TrustPolicySpec
		facts []policy.Fact
		want  string
	}{
		"by the service":                         {allow(), []policy.Fact{signature(), sbom()}, ""},
		"on request":                             {allow(), []policy.Fact{own(signature()), sbom()}, not},
		"on request, allowed":                    {allow("ci"), []policy.Fact{own(signature()), sbom()}, ""},
		"on request, allowed for another":        {allow("attestor"), []policy.Fact{own(signature()), sbom()}, not},
		"by the service beside it":               {allow(), []policy.Fact{own(signature()), signature(), sbom()}, ""},
		"attestation on request":                 {allow("ci"), []policy.Fact{signature(), own(sbom())}, not},
		"attestation on request, allowed":        {allow("attestor"), []policy.Fact{signature(), own(sbom())}, ""},
		"by the service, where both would do":    {allow("ci", "attestor"), []policy.Fact{signature(), sbom()}, ""},
		"on request by somebody else's workflow": {allow("ci"), []policy.Fact{with(own(signature()), func(f *policy.Fact) { f.SAN += "-mallory" }), sbom()}, "no signature"},
	} {
		verdict := trust(t, tc.spec).Evaluate(prodImage(), tc.facts, now())
		if verdict.Allowed() != (tc.want == "") || !strings.Contains(strings.Join(verdict.Reasons(), " "), tc.want) {
			t.Errorf("%s: %q", name, verdict.Reasons())
		}
	}
}
