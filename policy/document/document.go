// SPDX-License-Identifier: Apache-2.0

// Package document reads verified statements into the documents that policy judges. It is the one place that knows both the formats of
// evidence (package attest) and what policies see of them (package policy), so that the signing service, the verifier and a policy test
// on somebody's desk judge the same document alike. It is as pure as these two.
package document

import (
	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// authorExtension is the certificate extension with the identity of the CI workflow for which the service attested, under the name that
// facts give it. It is Fulcio's Build Signer URI (1.3.6.1.4.1.57264.1.9).
const authorExtension = "buildSignerURI"

// Of reads the statement of a fact about the artifact with this digest, and reports whether it is evidence at all. A statement that
// cannot be read is a document with a Problem: a decision must be able to say why it does not count.
func Of(fact policy.Fact, digest attest.Digest) (policy.Document, bool) {
	kind := attest.EvidenceKindOf(fact.PredicateType)
	if kind == "" || !fact.Bound {
		return policy.Document{}, false
	}
	d := policy.Document{
		Kind: string(kind), PredicateType: fact.PredicateType, Digest: string(digest), Signer: fact.SAN, Issuer: fact.Issuer,
		Author: fact.Extensions[authorExtension], At: fact.SignedAt, LogIndex: fact.LogIndex, LogID: fact.LogID, Bundle: fact.Bundle, Statement: fact.Statement,
	}
	if d.Author == "" {
		d.Author = fact.SAN // somebody who signs in their own name
	}
	ev, err := attest.ReadEvidence(fact.PredicateType, fact.Predicate)
	if err != nil {
		d.Problem = err.Error()
		return d, true
	}
	Fill(&d, ev)
	return d, true
}

// Fill sets what the evidence says. A report that names another digest than the statement it came in is not about the artifact.
func Fill(d *policy.Document, ev attest.Evidence) {
	d.Kind = string(ev.Kind)
	if ev.Named != nil {
		d.Original = string(ev.Named.Digest)
	}
	switch {
	case ev.SBOM != nil:
		d.SBOM = &policy.SBOM{Format: ev.SBOM.Format, Version: ev.SBOM.Version, Packages: ev.SBOM.Packages, Original: d.Original}
	case ev.Scan != nil:
		if ev.Scan.Digest != "" && ev.Scan.Digest != d.Digest {
			d.Problem = "the report is about " + ev.Scan.Digest + ", not about " + d.Digest
			return
		}
		d.Scan = scanOf(ev.Scan)
		d.Scan.Original = d.Original
	case ev.VEX != nil:
		d.VEX = vexOf(ev.VEX)
	case ev.Test != nil:
		d.Test = &policy.TestResult{Result: ev.Test.Result, Passed: ev.Test.Passed, Warned: ev.Test.Warned, Failed: ev.Test.Failed}
	case ev.Provenance != nil:
		p := ev.Provenance
		d.Provenance = &policy.Provenance{Builder: p.BuilderID, BuildType: p.BuildType, Source: p.Source, Commit: p.Commit, Invocation: p.Invocation}
	}
}

func scanOf(s *attest.Scan) *policy.Scan {
	out := &policy.Scan{
		Tool: s.Tool, Version: s.ToolVersion, FinishedAt: s.FinishedAt, DatabaseAt: s.DatabaseAt, Nothing: s.Nothing,
		Findings: make([]policy.Finding, len(s.Findings)),
	}
	for i, f := range s.Findings {
		out.Findings[i] = policy.Finding{
			ID: f.ID, Aliases: f.Aliases, Package: f.Package, Version: f.Version, PURL: f.PURL, Fixed: f.FixedVersions, FixState: f.FixState,
			Severity: string(f.Severity), Said: f.SaidSeverity, Score: f.Score, Tool: f.Tool,
		}
	}
	return out
}

func vexOf(v *attest.VEX) []policy.VEXStatement {
	out := make([]policy.VEXStatement, len(v.Statements))
	for i, s := range v.Statements {
		out[i] = policy.VEXStatement{
			Vulnerability: s.Vulnerability, Aliases: s.Aliases, Status: s.Status, Justification: s.Justification, At: s.At,
		}
		for _, p := range s.Products {
			out[i].Products = append(out[i].Products, policy.VEXProduct{IDs: p.IDs, Subcomponents: p.Subcomponents})
		}
	}
	return out
}
