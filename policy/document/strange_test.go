// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// TestStrangeTools: a misspelt tool is said, and one that is known is not.
func TestStrangeTools(t *testing.T) {
	p, err := policy.ParseSigningPolicy([]byte(`apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign, attest]
  kinds: [image]
  repositories: [acme/]
  predicateTypes: [https://cyclonedx.org/bom]
  conditions:
  - {name: org, expression: claims.repository_owner_id == "1001", message: not ours}
  require:
    scan: {maxAge: 24h, tools: [trivvy, grype, gitlab, snyk, osv-scanner, house-scanner]}
    reports:
    - {kind: lint, tools: [hadolint, dokcle]}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := document.StrangeTools(p)
	if len(got) != 3 {
		t.Fatalf("%q", got)
	}
	for i, says := range []string{`rule "acme" asks for a scan report of "trivvy"`, `report of "house-scanner"`, `a lint report of "dokcle"`} {
		if !strings.Contains(got[i], says) {
			t.Errorf("%s, want %s", got[i], says)
		}
	}
	if !strings.HasSuffix(got[0], "(hint: trivy?)") || !strings.HasSuffix(got[2], "(hint: dockle?)") {
		t.Errorf("no hint: %q", got)
	}
	if got := document.StrangeTools(nil); len(got) != 0 {
		t.Errorf("no policy: %q", got)
	}
}
