// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// blocks returns the fenced blocks of a language in docs/POLICY.md.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	manual, err := os.ReadFile("../docs/POLICY.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, part := range strings.Split(string(manual), "```"+language+"\n")[1:] {
		block, _, ok := strings.Cut(part, "```")
		if !ok {
			t.Fatalf("a block of %s does not end", language)
		}
		found = append(found, block)
	}
	return found
}

// The manual's policies parse, and its refusals are what these policies say.
func TestManualIsTrue(t *testing.T) {
	policies, said := blocks(t, "yaml"), blocks(t, "text")
	if len(policies) != 2 || len(said) != 3 {
		t.Fatalf("%d policies and %d refusals in the manual; this test knows 2 and 3", len(policies), len(said))
	}
	signing := parse(t, policies[0])
	claims := map[string]any{"repository_owner_id": "1001", "event_name": "push", "ref_protected": "true"}
	in := request()
	in.Claims = claims
	if refusal := signing.Decide(in).Refusal(); refusal != nil {
		t.Errorf("a good job: %v", refusal)
	}
	elsewhere := in
	elsewhere.Repository = "globex/app"
	claims["ref_protected"] = "false"
	for i, in := range []policy.Input{in, elsewhere} {
		if got := signing.Decide(in).Refusal().Reasons; !slices.Equal(got, []string{strings.TrimSpace(said[i])}) {
			t.Errorf("refusal %d: %q, the manual says %q", i, got, said[i])
		}
	}
	trusted, err := policy.ParseTrustPolicy([]byte(policies[1]))
	if err != nil {
		t.Fatal(err)
	}
	if verdict := trusted.Evaluate(prodImage(), []policy.Fact{signature(), sbom()}, now()); !verdict.Allowed() {
		t.Errorf("a good image: %q", verdict.Reasons())
	}
	feature := with(signature(), func(f *policy.Fact) { f.SAN = strings.Replace(f.SAN, "heads/main", "heads/feature", 1) })
	if got := trusted.Evaluate(prodImage(), []policy.Fact{feature, sbom()}, now()).Reasons(); !slices.Equal(got, []string{strings.TrimSpace(said[2])}) {
		t.Errorf("denial: %q, the manual says %q", got, said[2])
	}
}
