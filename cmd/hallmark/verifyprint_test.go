// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// TestPrintDecision: the signature is first, and what rests on one revocation is one line.
func TestPrintDecision(t *testing.T) {
	revoked := verifier.EvidenceRef{Reason: verifier.ReasonRevoked, Detail: "digest sha256:00 was revoked"}
	d := verifier.Decision{Artifact: "r/a@sha256:00", Evidence: []verifier.EvidenceRef{
		revoked, {Verified: true, PredicateType: "https://spdx.dev/Document", Signer: "attestor"}, revoked,
		{Origin: "junk", Detail: "not a bundle"}, {Verified: true, PredicateType: attest.PredicateSignature, Signer: "ci", Issuer: "i"},
	}}
	var out bytes.Buffer
	printDecision(&out, d)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[1], attest.PredicateSignature) || !strings.HasPrefix(lines[2], "https://spdx.dev/Document") ||
		lines[3] != "ignored\t2 bundles: digest sha256:00 was revoked" || lines[4] != "ignored\tjunk: not a bundle" {
		t.Errorf("%q", lines)
	}
}

// TestScanOfNothing has no findings, and none were looked for.
func TestScanOfNothing(t *testing.T) {
	predicate := []byte(`{"SchemaVersion": 2, "CreatedAt": "2026-11-30T10:00:00Z", "ArtifactName": "a"}`)
	d, err := attest.ReadDocument("trivy.json", predicate)
	if err != nil {
		t.Fatal(err)
	}
	a := attached{Verified: true}
	digest := attest.DigestOf([]byte("image"))
	a.read(policy.Fact{PredicateType: d.PredicateType, Bound: true, SAN: "attestor", SignedAt: time.Now(), Predicate: d.Predicate}, digest, nil)
	if head := a.lines(time.Now())[0]; strings.Contains(head, "0 findings") || !strings.Contains(head, "NOTHING WAS SCANNED") {
		t.Errorf("%s (%s)", head, a.Problem)
	}
}
