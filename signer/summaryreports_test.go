// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// sifted is a world whose evidence comes through a sieve, as a service's does.
type sifted struct{ *gatedWorld }

func (s sifted) Gather(ctx context.Context, subject oci.Artifact, needs policy.Needs) (signer.Gathered, error) {
	found, err := s.gatedWorld.Gather(ctx, subject, needs)
	sieve := policy.NewSieve(needs, time.Now())
	for _, d := range found.Documents {
		sieve.Add(d)
	}
	found.Documents = sieve.Documents()
	return found, err
}

// TestSummaryOfReports: a report of several kinds is named once, and shows each
// of them.
func TestSummaryOfReports(t *testing.T) {
	g := &gatedWorld{world: newWorld(t)}
	text := strings.NewReplacer("sbom: true", "reports: [{kind: secrets}, {kind: config}]", "cosign.sigstore.dev/attestation/vuln/v1]", "cosign.sigstore.dev/attestation/vuln/v1, https://in-toto.io/attestation/test-result/v0.1]").Replace(gatedPolicy)
	s := g.startGated(text, func(c *signer.Config) { c.Summaries, c.Evidence = true, sifted{g} })
	req := bring("LOW")
	req.Documents[0] = signer.Document{Name: "trivy.json", Kind: attest.EvidenceCheck, Content: []byte(`{"SchemaVersion": 2, "ArtifactName": "app", "Results": [
		{"Class": "config", "Misconfigurations": [{"ID": "DS002", "Severity": "LOW", "Status": "FAIL"}]}, {"Class": "secret", "Secrets": [{"RuleID": "x", "Severity": "LOW"}]}]}`)}
	if _, err := s.Sign(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	var said struct {
		InputAttestations []struct{ Digest map[string]string }
		VerifiedLevels    []string
	}
	if err := json.Unmarshal(g.summaries()[0].Predicate, &said); err != nil {
		t.Fatal(err)
	}
	if len(said.InputAttestations) != 3 || !slices.Contains(said.VerifiedLevels, "https://hallmark.dev/verified/secrets") || !slices.Contains(said.VerifiedLevels, "https://hallmark.dev/verified/config") {
		t.Errorf("%+v", said)
	}
}
