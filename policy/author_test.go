// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

// TestVEXAuthorScheme: an author that nobody can be excuses nothing for ever,
// and is refused where it is written.
func TestVEXAuthorScheme(t *testing.T) {
	for author, says := range map[string]string{
		"author: github.com/acme/security":             `vex[0].author: "github.com/acme/security" can be nobody: an identity is a URI with its scheme (hint: https://github.com/acme/security)`,
		"author: //github.com/acme":                    "(hint: https://github.com/acme)",
		"author: security@acme.example":                "can be nobody",
		`authorRegexp: 'github\.com/acme/.*'`:          `(hint: https://github\.com/acme/.*)`,
		`authorRegexp: '^github\.com/acme/.*'`:         "can match nobody",
		"authorRegexp: acme":                           "can match nobody",
		"author: https://github.com/acme/security":     "",
		"author: spiffe://acme.example/security":       "",
		`authorRegexp: 'https://github\.com/acme/.*'`:  "",
		`authorRegexp: '^https://github\.com/acme/.*'`: "",
		`authorRegexp: 'https?://github\.com/acme/.*'`: "",
		`authorRegexp: '.*/acme/security'`:             "",
	} {
		_, err := policy.ParseSigningPolicy([]byte(gated("scan:\n  maxAge: 24h\n  vex:\n  - {" + author + "}")))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", author, err, says)
		}
	}
}
