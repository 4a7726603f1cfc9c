// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestLimitsManual: the manual's table of limits says what the code says.
func TestLimitsManual(t *testing.T) {
	manual, err := os.ReadFile("../docs/EVIDENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(manual), "## How large\n")
	table, _, _ = strings.Cut(table, "\n## ")
	mib := func(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
	for row, wants := range map[string][]string{
		"| an SBOM,":                      {mib(attest.MaxStreamBytes), mib(MaxDocument)},
		"| any other document |":          {mib(attest.MaxEvidenceBytes), fmt.Sprintf("%d levels", attest.MaxDepth)},
		"| a document that is embedded":   {mib(DefaultEmbed), mib(HighestEmbed)},
		"| the documents of one request":  {fmt.Sprintf("| %d,", maxDocuments), mib(attest.MaxStatementBytes)},
		"| the statements that one":       {mib(maxStatements)},
		"| a predicate of somebody's own": {mib(attest.MaxStatementBytes)},
	} {
		_, line, found := strings.Cut(table, row)
		line, _, _ = strings.Cut(line, "\n")
		for _, want := range wants {
			if !found || !strings.Contains(line, want) {
				t.Errorf("row %q does not say %q:%s", row, want, line)
			}
		}
	}
}
