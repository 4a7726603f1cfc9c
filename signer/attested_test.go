// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/signer"
)

// TestWhatBecameOfDocuments: answers say of each document what it was read as, what it says and where it is logged; also of a request that
// asks for the same signature again with other documents.
func TestWhatBecameOfDocuments(t *testing.T) {
	const failed = `{"result": "FAILED", "configuration": [], "passedTests": ["a"], "failedTests": ["b", "c"]}`
	said := func(all []signer.AttestedDocument) string {
		var lines []string
		for _, d := range all {
			index := "none"
			if d.LogIndex != nil {
				index = fmt.Sprint(*d.LogIndex)
			}
			lines = append(lines, strings.Join([]string{d.Name, d.Kind, d.Summary, d.Platform, index, fmt.Sprint(d.Refused)}, "|"))
		}
		return strings.Join(lines, "\n")
	}
	w := newDocuments(t)
	s := w.start()
	tests := signer.Document{Name: "tests.json", Content: []byte(failed)}
	scan := signer.Document{Name: "trivy.json", Content: []byte(scanFile("HIGH"))}
	x, err := s.DryRun(t.Context(), documents(tests, scan))
	if want := "tests.json|test|FAILED, 1 passed, 2 failed||none|false\ntrivy.json|scan|by trivy, 1 finding||none|false"; err != nil || said(x.Documents) != want {
		t.Errorf("dry run: %s, %v", said(x.Documents), err)
	}
	receipt, err := s.Sign(t.Context(), documents(tests, scan))
	if err != nil || len(receipt.Documents) != 2 || !strings.HasPrefix(said(receipt.Documents), "tests.json|test|FAILED, 1 passed, 2 failed||") || receipt.Documents[0].Subject != receipt.Digest {
		t.Fatalf("%s, %v", said(receipt.Documents), err)
	}
	for _, d := range receipt.Documents {
		entry := string(w.logs[0].entries[*d.LogIndex].Payload)
		if !strings.Contains(entry, d.PredicateType) {
			t.Errorf("%s is said to be entry %d, which is %s", d.Name, *d.LogIndex, entry)
		}
	}
	again, err := s.Sign(t.Context(), documents(signer.Document{Name: "sbom.json", Content: []byte(sbomOf(3))}))
	if err != nil || again.ID != receipt.ID || len(again.Documents) != 1 || !strings.HasPrefix(said(again.Documents), "sbom.json|sbom|SPDX 2.3, 3 packages||") {
		t.Errorf("again: %s, %v", said(again.Documents), err)
	}
	bare, err := s.Sign(t.Context(), goodRequest())
	if err != nil || bare.Documents != nil {
		t.Errorf("without documents: %+v, %v", bare.Documents, err)
	}
	receipts, err := s.AttestDocuments(t.Context(), documents(scan, tests))
	if err != nil || len(receipts) != 2 || len(receipts[0].Documents) != 1 || receipts[0].Documents[0].Name != "trivy.json" || *receipts[0].Documents[0].LogIndex != receipts[0].LogIndex {
		t.Errorf("%+v, %v", receipts, err)
	}
	openvex := signer.Document{Name: "vex.json", Content: []byte(`{"@context": "https://openvex.dev/ns", "statements": []}`)}
	if x, err := s.DryRun(t.Context(), documents(openvex)); err != nil || said(x.Documents) != "vex.json|vex|0 statements||none|true" {
		t.Errorf("not allowed: %s, %v", said(x.Documents), err)
	}
}
