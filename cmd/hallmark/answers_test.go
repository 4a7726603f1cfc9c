// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// TestDocumentsOfAnswers: a signature and a statement say which file became what, and where it is logged.
func TestDocumentsOfAnswers(t *testing.T) {
	index := int64(20)
	scan := signer.AttestedDocument{Name: "gitlab.json", Kind: "scan", Summary: "by trivy, 5 findings", Platform: "linux/amd64", Subject: "sha256:a", LogIndex: &index}
	predicate := signer.AttestedDocument{Name: "predi\x1bcate", PredicateType: "https://x.example/t", Subject: "sha256:b", Refused: true}
	var signed, attested strings.Builder
	printReceipt(&signed, signer.Receipt{Action: signer.ActionSign, Documents: []signer.AttestedDocument{scan, predicate}})
	printReceipt(&attested, signer.Receipt{Action: signer.ActionAttest, Documents: []signer.AttestedDocument{scan}})
	if want := "attested\tgitlab.json\tscan by trivy, 5 findings\tabout linux/amd64\tlog entry 20\n"; !strings.Contains(signed.String(), want) {
		t.Errorf("%q is not in %s", want, signed.String())
	}
	if want := "\thttps://x.example/t\tabout sha256:b\n"; !strings.HasSuffix(signed.String(), want) || strings.Contains(signed.String(), "\x1b") || !strings.Contains(signed.String(), "would not attest\t") {
		t.Errorf("%q is not the end of %q", want, signed.String())
	}
	if want := "document\tgitlab.json\tscan by trivy, 5 findings\tabout linux/amd64\tlog entry 20\n"; strings.Count(attested.String(), want) != 1 {
		t.Errorf("%q is not in %s", want, attested.String())
	}
}

// TestNothingTwice: below the reasons, checks do not repeat them.
func TestNothingTwice(t *testing.T) {
	checks := []policy.Check{
		{Rule: "acme", Name: "evidence.scan", Detail: "none (hint: attest a scan)"}, {Rule: "acme", Name: "evidence.test", Passed: true, Detail: "PASSED"},
		{Rule: "acme", Name: "no-critical", Detail: "not evaluated: evidence.scan, which it reads, is missing or does not do"}, {Rule: "acme", Name: "none"},
	}
	got := checkLines(checks, []string{`rule "acme": evidence.scan: none (hint: attest a scan)`})
	want := []string{
		"failed evidence.scan: see above", "passed evidence.test: PASSED", "failed no-critical: not evaluated: evidence.scan, which it reads, is missing or does not do", "failed none",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
