// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"testing"

	"github.com/hallmark-dev/hallmark/signer/identity"
)

// TestSigstoreAudience: the audience that stock clients ask for is accepted
// where somebody says so, and no other default audience with it.
func TestSigstoreAudience(t *testing.T) {
	sources := []identity.Source{{Name: "github", Provider: "github", Issuer: "https://token.actions.githubusercontent.com", URL: "https://github.com"}}
	for _, tc := range []struct {
		audience string
		allow    bool
		want     bool
	}{
		{"sigstore", false, false}, {"sigstore", true, true}, {"Sigstore", true, false}, {"sigstore/x", true, false},
		{"vault", true, false}, {"", true, false}, {"https://hallmark.example", true, true}, {"https://hallmark.example", false, true},
	} {
		_, err := identity.New(identity.Config{Audience: tc.audience, AllowSigstoreAudience: tc.allow, Sources: sources})
		if (err == nil) != tc.want {
			t.Errorf("audience %q, allowed %v: %v", tc.audience, tc.allow, err)
		}
	}
}
