// SPDX-License-Identifier: Apache-2.0

package document_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
)

// TestCleanReportsByTool: a report without findings is of the kind that its program makes, in the words of policies.
func TestCleanReportsByTool(t *testing.T) {
	for tool, want := range map[string]string{
		"ggshield": policy.EvidenceSecret, "Nosey Parker": policy.EvidenceSecret, "Snyk IaC": policy.EvidenceConfig, "SnykCode": policy.EvidenceCode,
		"kube-linter": policy.EvidenceLint, "CodeQL": policy.EvidenceCode, "trivy": policy.EvidenceConfig,
	} {
		read, err := attest.ReadDocumentAs("check", "f", fmt.Appendf(nil, `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": %q}}, "results": []}]}`, tool))
		if err != nil {
			t.Fatal(err)
		}
		var d policy.Document
		document.Fill(&d, read.Evidence)
		if d.Kind != want || len(d.Also) > 0 || !slices.Contains(policy.ReportKinds(), d.Kind) {
			t.Errorf("%s: %s, %v, want %s", tool, d.Kind, d.Also, want)
		}
	}
}
