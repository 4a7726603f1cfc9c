// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// A rule of the policy may require evidence before anything is signed. What
// counts is proven: statements by this deployment's attestor about exactly the
// digest, in the log, checked with the published trusted root. Evidence that a
// request brings is therefore attested first and judged like any other.
//
// It stays attested if the signature is then refused. That is safe, because
// attestations never carry the workflow's identity, and useful: the record
// shows what was known when it was refused. Of an image whose claims no rule
// allows, nothing is attested.

const (
	// maxDocuments bounds the documents of one request: an SBOM, scans of a few
	// tools, VEX and test results.
	maxDocuments = 16
	// maxAuditChecks bounds the checks that an audit record keeps.
	maxAuditChecks = 64
)

// Evidence finds what is proven about an artifact.
type Evidence interface {
	// Gather returns the verified statements of this deployment's attestor
	// about the artifact that a decision with these needs can depend on, whether
	// the registry or the service's own store has them, each once. If it needs
	// platforms it does so for the images of an index, too, and returns their
	// digests. It returns an error if it cannot tell whether there are more: a
	// *TooMuchEvidence if there are more than it looks at.
	Gather(ctx context.Context, subject oci.Artifact, needs policy.Needs) (Gathered, error)
}

// Gathered is what is proven about an artifact.
type Gathered struct {
	Documents []policy.Document
	Platforms []string
	// PlatformNames are what the index says that they are for.
	PlatformNames map[string][]string
	// Release is called when the decision is made and nothing refers to the
	// documents any more; nil if nothing waits for that.
	Release func()
}

// release calls Release.
func (g Gathered) release() {
	if g.Release != nil {
		g.Release()
	}
}

// decide asks the policy. An error means that the evidence was no good or could
// not be had. What became of the request's documents is added to attested.
func (s *Service) decide(ctx context.Context, p Principal, a oci.Artifact, req Request, attested *[]AttestedDocument) (policy.Decision, error) {
	in := s.policyInput(p, a, req)
	if req.Action != ActionSign {
		return s.cfg.Policy.Decide(in), nil
	}
	needs := s.cfg.Policy.Needs(in)
	if !needs.Allowed { // whatever the evidence is: nothing is attested
		return s.cfg.Policy.Decide(in), nil
	}
	charges, err := s.charges(ctx, a, req)
	if err != nil {
		return policy.Decision{}, err
	}
	receipts, err := s.attestAll(ctx, p, req, charges)
	if err != nil {
		return policy.Decision{}, err
	}
	*attested = attestedDocuments(charges, receipts)
	if !needs.Evidence {
		if req.Claimed.any() {
			return policy.Decision{}, errNoProvenance
		}
		return s.cfg.Policy.Decide(in), nil
	}
	found, err := s.cfg.Evidence.Gather(ctx, a, needs)
	if err != nil {
		return policy.Decision{}, fmt.Errorf("gather evidence of %s: %w", a, err)
	}
	defer found.release()
	in.Evidence, in.Platforms, in.PlatformNames = withoutProvenance(found.Documents), found.Platforms, found.PlatformNames
	if in.Evidence, err = s.withChartImages(ctx, p, a, req, in); err != nil {
		return policy.Decision{}, err
	}
	in.Now = s.cfg.Clock() // what was attested meanwhile is not from the future
	if !needs.Provenance {
		if req.Claimed.any() {
			return policy.Decision{}, errNoProvenance
		}
		decision := s.cfg.Policy.Decide(in)
		return decision, s.summarise(ctx, p, a, req, in, decision)
	}
	return s.decideWithProvenance(ctx, p, a, req, in)
}

// decideWithProvenance makes the service's own provenance, if that is all that
// is missing: an image that is refused anyway needs none.
func (s *Service) decideWithProvenance(ctx context.Context, p Principal, a oci.Artifact, req Request, in policy.Input) (policy.Decision, error) {
	d, err := s.provenance(p, req.Claimed)
	if err != nil {
		return policy.Decision{}, err
	}
	others := in.Evidence
	made := s.asAttested(d, AttestorSAN(s.cfg.Origin), a, in)
	in.Evidence = append(slices.Clone(others), made)
	tried := s.cfg.Policy.Decide(in)
	if _, granted := tried.Grant(); !granted {
		return tried, nil
	}
	receipt, statement, err := s.attestOwn(ctx, p, a, req, d)
	if err != nil {
		return policy.Decision{}, err
	}
	proven(&made, receipt, statement)
	in.Evidence = append(slices.Clone(others), made)
	in.Now = s.cfg.Clock()
	decision := s.cfg.Policy.Decide(in)
	return decision, s.summarise(ctx, p, a, req, in, decision)
}

// proven makes a document that was attested just now one that is proven: finish
// has verified its bundle with the published trusted root.
func proven(d *policy.Document, r Receipt, statement attest.Digest) {
	d.Statement = string(statement)
	d.LogIndex, d.LogID, d.Bundle, d.At = r.LogIndex, r.LogID, string(r.BundleDigest), r.SignedAt
}

// errNoProvenance: what a job claims would be lost without a word.
var errNoProvenance = fmt.Errorf("%w: dependencies and byproducts go into provenance, and no rule for this request requires any (hint: require: {provenance: true})", ErrBadRequest)

// withoutProvenance leaves provenance of other runs out: what counts is that of
// the run that asks.
func withoutProvenance(documents []policy.Document) []policy.Document {
	return slices.DeleteFunc(slices.Clone(documents), func(d policy.Document) bool { return d.Kind == policy.EvidenceProvenance })
}

// about says which document an error is about.
func about(name string, err error) error {
	var refused *Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		named := &Refused{Stage: stageEvidence, Checks: refused.Checks}
		for _, reason := range refused.Reasons {
			named.Reasons = append(named.Reasons, name+": "+reason)
		}
		return named
	}
	return fmt.Errorf("attest %s: %w", name, err)
}

// refusedBy makes the error of a decision that refuses.
func refusedBy(d policy.Decision) *Refused {
	refusal := d.Refusal()
	return &Refused{Stage: stagePolicy, Reasons: refusal.Reasons, Checks: evidenceChecks(refusal.Checks)}
}

// evidenceChecks are the checks of rules that have looked at evidence: claims
// fitted there, so that this is what somebody can mend.
func evidenceChecks(all []policy.Check) []policy.Check {
	rules := make(map[string]bool)
	for _, c := range all {
		if strings.HasPrefix(c.Name, "evidence.") {
			rules[c.Rule] = true
		}
	}
	var kept []policy.Check
	for _, c := range all {
		if rules[c.Rule] {
			kept = append(kept, c)
		}
	}
	return kept
}

// auditChecks bounds what a record keeps: the failed ones first.
func auditChecks(all []policy.Check) []policy.Check {
	if len(all) <= maxAuditChecks {
		return all
	}
	var kept []policy.Check
	for _, passed := range []bool{false, true} {
		for _, c := range all {
			if c.Passed == passed && len(kept) < maxAuditChecks {
				kept = append(kept, c)
			}
		}
	}
	return kept
}
