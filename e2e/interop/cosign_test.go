// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
)

// cosign is a stock binary of one major version.
type cosign struct {
	version string
	// flags that this version needs to read timestamps: cosign 2.6 takes a
	// Rekor v2 entry for undated otherwise.
	flags []string
}

func cosigns() []cosign {
	return []cosign{
		{version: stock.CosignV2, flags: []string{"--use-signed-timestamps"}},
		{version: stock.CosignV3},
	}
}

// verify runs `cosign verify` or another subcommand with a trusted root and
// one identity, and returns what it printed and whether it accepted.
func (c cosign) verify(t *testing.T, command, rootDoc string, who identity, ref string, flags ...string) (output string, accepted bool) {
	t.Helper()
	args := []string{command, "--trusted-root", rootDoc, "--certificate-identity", who.san, "--certificate-oidc-issuer", who.issuer}
	args = append(append(append(args, c.flags...), flags...), ref)
	result := stock.Cosign(t, c.version, args...)
	return result.Stdout + result.Stderr, result.Code == 0
}

// expect fails the test unless cosign decides as wanted, for the reason given.
func (c cosign) expect(t *testing.T, accept bool, says []string, output string, accepted bool) {
	t.Helper()
	if accepted != accept {
		t.Errorf("%s: accepted %v, want %v:\n%s", c.version, accepted, accept, output)
		return
	}
	if !containsAny(output, says) {
		t.Errorf("%s: accepted %v as wanted, but none of %q is in:\n%s", c.version, accepted, says, output)
	}
}
