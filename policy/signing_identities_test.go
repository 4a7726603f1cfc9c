// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"testing"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/policy"
)

func TestIdentities(t *testing.T) {
	p, err := policy.ParseSigningPolicy(policyfiles.SigningPolicy)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Identities(), []string{"buildkite", "circleci", "github", "gitlab", "jenkins", "kubernetes", "spiffe"}; !slices.Equal(got, want) {
		t.Errorf("identities %q, want %q", got, want)
	}
	if got := (*policy.SigningPolicy)(nil).Identities(); got != nil {
		t.Errorf("no policy has identities %q", got)
	}
}
