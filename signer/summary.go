// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// A verification summary (VSA, SLSA v1.0) says that the gate of a rule was passed:
// which policy, which evidence, what that amounts to. Those who need no more than
// the verdict read it in place of the evidence. It is made by the attestor after
// the policy has granted a signature and before the signature is made: an image
// that is signed has its summary, and a summary without a signature, which a crash
// may leave, says what is true. A refusal has none; it is in the audit record.
// Source: https://slsa.dev/spec/v1.0/verification_summary
type summaryJSON struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	TimeVerified      string        `json:"timeVerified,omitempty"`
	ResourceURI       string        `json:"resourceUri"`
	Policy            policyJSON    `json:"policy"`
	InputAttestations []attestedRef `json:"inputAttestations"`
	Result            string        `json:"verificationResult"`
	VerifiedLevels    []string      `json:"verifiedLevels"`
	SLSAVersion       string        `json:"slsaVersion"`
}

type policyJSON struct {
	URI         string            `json:"uri"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// attestedRef names a statement by the digest of its bytes, which the v1 log has
// as payloadHash.
type attestedRef struct {
	URI         string            `json:"uri"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations"`
}

// Levels of the build track that the service's own provenance amounts to, and what
// begins the levels of ours.
const (
	slsaVersion  = "1.0"
	slsaLevel1   = "SLSA_BUILD_LEVEL_1"
	slsaLevel2   = "SLSA_BUILD_LEVEL_2"
	verifiedBase = "https://hallmark.dev/verified/"
)

// summarise makes the summary of a decision that allows, if it rests on evidence.
func (s *Service) summarise(ctx context.Context, p Principal, a oci.Artifact, req Request, in policy.Input, decision policy.Decision) error {
	basis, allowed := decision.Basis()
	if !s.cfg.Summaries || !allowed || !basis.Gated {
		return nil
	}
	// Of the same gate passed by the same run with the same evidence there is one
	// summary, however often it is asked for: the time is not what tells two apart.
	timeless := s.summary(p, a, in, basis)
	same, err := json.Marshal(timeless)
	if err != nil {
		return fmt.Errorf("make verification summary: %w", err)
	}
	timeless.TimeVerified = in.Now.UTC().Format(time.RFC3339)
	predicate, err := json.Marshal(timeless)
	if err != nil {
		return fmt.Errorf("make verification summary: %w", err)
	}
	_, err = s.attestAll(ctx, p, req, []*charge{{
		carried:  carried{name: "verification summary", Document: attest.Document{PredicateType: attest.PredicateSummary, Predicate: predicate}},
		artifact: a, own: true, sameAs: same,
	}})
	return err
}

func (s *Service) summary(p Principal, a oci.Artifact, in policy.Input, basis policy.Basis) summaryJSON {
	v := summaryJSON{
		ResourceURI: "oci://" + a.Registry + "/" + a.Repository, Result: "PASSED", SLSAVersion: slsaVersion,
		Policy: policyJSON{
			URI: s.cfg.Origin + "/policies/signing", Digest: map[string]string{"sha256": strings.TrimPrefix(s.cfg.Policy.Digest(), "sha256:")},
			Annotations: map[string]string{"rule": basis.Rule},
		},
	}
	v.Verifier.ID = AttestorSAN(s.cfg.Origin)
	kinds := map[string]bool{}
	for _, d := range in.Evidence {
		if !slices.Contains(basis.Evidence, d.Bundle) {
			continue
		}
		for _, kind := range append([]string{d.Kind}, d.Also...) {
			kinds[kind] = true
		}
		v.InputAttestations = append(v.InputAttestations, attestedRef{
			URI:         "oci://" + a.Registry + "/" + a.Repository + "@" + d.Digest,
			Digest:      map[string]string{"sha256": strings.TrimPrefix(d.Statement, "sha256:")},
			Annotations: map[string]string{"predicateType": d.PredicateType, "logID": d.LogID, "logIndex": fmt.Sprint(d.LogIndex)},
		})
	}
	slices.SortFunc(v.InputAttestations, func(a, b attestedRef) int { return strings.Compare(a.Digest["sha256"], b.Digest["sha256"]) })
	// A report of several kinds is one statement.
	v.InputAttestations = slices.CompactFunc(v.InputAttestations, func(a, b attestedRef) bool { return a.Digest["sha256"] == b.Digest["sha256"] })
	if kinds[policy.EvidenceProvenance] {
		level := slsaLevel1
		if hosted := hostedRunners[p.Provider]; hosted != "" && p.Extensions.RunnerEnvironment == hosted {
			level = slsaLevel2 // a build platform that its owner runs, and provenance that the job cannot write
		}
		v.VerifiedLevels = append(v.VerifiedLevels, level)
	}
	levels := append([]string{policy.EvidenceProvenance, policy.EvidenceSBOM, policy.EvidenceScan, policy.EvidenceTest, policy.EvidenceVEX, policy.EvidenceChartImages}, policy.ReportKinds()...)
	for _, kind := range levels {
		if kinds[kind] {
			v.VerifiedLevels = append(v.VerifiedLevels, verifiedBase+kind)
		}
	}
	return v
}
