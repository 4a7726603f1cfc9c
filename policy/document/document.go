// SPDX-License-Identifier: Apache-2.0

// Package document reads verified statements into the documents that policy judges. It is the one place that knows both the formats of
// evidence (package attest) and what policies see of them (package policy), so that the signing service, the verifier and a policy test
// on somebody's desk judge the same document alike. It is as pure as these two.
package document

import (
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
)

// authorExtension is the certificate extension with the identity of the CI workflow for which the service attested, under the name that
// facts give it. It is Fulcio's Build Signer URI (1.3.6.1.4.1.57264.1.9).
const authorExtension = "buildSignerURI"

// runExtension names the CI run in the same way. It is Fulcio's Run Invocation URI (1.3.6.1.4.1.57264.1.21).
const runExtension = "runInvocationURI"

// Of reads the statement of a fact about the artifact with this digest, and reports whether it is evidence at all. A statement that
// cannot be read is a document with a Problem: a decision must be able to say why it does not count.
func Of(fact policy.Fact, digest attest.Digest) (policy.Document, bool) {
	d, ok, _ := OfRelated(fact, digest, nil) // nobody is asked who could fail
	return d, ok
}

// Relatives returns which of the digests that a report names are next of kin of what its statement is about: images of the index, or an
// index with the image.
type Relatives func(named []attest.Digest) ([]attest.Digest, error)

// OfRelated is Of for somebody who knows relatives: a report that names one of them is about the artifact. An error is one of relatives,
// which is asked only about reports that name somebody else.
func OfRelated(fact policy.Fact, digest attest.Digest, relatives Relatives) (policy.Document, bool, error) {
	kind := attest.EvidenceKindOf(fact.PredicateType)
	if kind == "" || !fact.Bound {
		return policy.Document{}, false, nil
	}
	d := policy.Document{
		Kind: string(kind), PredicateType: fact.PredicateType, Digest: string(digest), Signer: fact.SAN, Issuer: fact.Issuer,
		Author: fact.Extensions[authorExtension], Run: fact.Extensions[runExtension], At: fact.SignedAt, LogIndex: fact.LogIndex, LogID: fact.LogID, Bundle: fact.Bundle, Statement: fact.Statement,
	}
	if d.Author == "" {
		d.Author = fact.SAN // somebody who signs in their own name
	}
	ev, err := attest.ReadEvidence(fact.PredicateType, fact.Predicate)
	if err != nil {
		d.Problem = err.Error()
		return d, true, nil //nolint:nilerr // it is the document's problem
	}
	var kin []attest.Digest
	if relatives != nil && ev.About(digest) != nil {
		names, _ := ev.Names()
		named := make([]attest.Digest, len(names))
		for i, name := range names {
			named[i] = attest.Digest(name)
		}
		if kin, err = relatives(named); err != nil {
			return d, false, err
		}
	}
	Fill(&d, ev, kin...)
	return d, true, nil
}

// Kinds are all kinds of documents that statements of a predicate type can turn out to be.
func Kinds(predicateType string) []string {
	var all []string
	for _, kind := range attest.EvidenceKindsOf(predicateType) {
		if kind == attest.EvidenceCheck {
			all = append(all, policy.ReportKinds()...)
		} else {
			all = append(all, string(kind))
		}
	}
	return all
}

// Fill sets what the evidence says. A report that names another digest than the statement it came in, and none of the artifact's relatives,
// is not about the artifact.
func Fill(d *policy.Document, ev attest.Evidence, relatives ...attest.Digest) {
	if d.Kind = string(ev.Kind); ev.Check != nil {
		d.Kind = policy.ReportKind(scanOf(&ev.Check.Scan))
	}
	d.Format = ev.Format
	if ev.Named != nil {
		d.Original = string(ev.Named.Digest)
	}
	if err := ev.About(append([]attest.Digest{attest.Digest(d.Digest)}, relatives...)...); err != nil {
		d.Problem = err.Error()
		return
	}
	switch {
	case ev.SBOM != nil:
		d.SBOM = &policy.SBOM{Format: ev.SBOM.Format, Version: ev.SBOM.Version, Packages: ev.SBOM.Packages, Serial: ev.SBOM.Serial}
	case ev.Scan != nil:
		d.Scan = scanOf(ev.Scan)
	case ev.Check != nil:
		d.Scan = scanOf(&ev.Check.Scan)
	case ev.VEX != nil:
		d.VEX = vexOf(ev.VEX)
	case ev.Test != nil:
		d.Test = &policy.TestResult{Result: ev.Test.Result, Passed: ev.Test.Passed, Warned: ev.Test.Warned, Failed: ev.Test.Failed}
	case ev.ChartImages != nil:
		d.ChartImages = chartImagesOf(ev.ChartImages)
	case ev.Provenance != nil:
		p := ev.Provenance
		d.Provenance = &policy.Provenance{Builder: p.BuilderID, BuildType: p.BuildType, Source: p.Source, Commit: p.Commit, Invocation: p.Invocation}
	}
	if d.Scan != nil {
		d.Also = slices.DeleteFunc(policy.ReportKindsOf(d.Scan, ev.Scan != nil), func(kind string) bool { return kind == d.Kind })
	}
}

func scanOf(s *attest.Scan) *policy.Scan {
	out := &policy.Scan{
		Tool: s.Tool, Report: s.Report(), Version: s.ToolVersion, FinishedAt: s.FinishedAt, DatabaseAt: s.DatabaseAt, Nothing: s.Nothing,
		Findings: make([]policy.Finding, len(s.Findings)),
	}
	for _, kind := range s.Looked {
		out.Looked = append(out.Looked, string(kind))
	}
	for i, f := range s.Findings {
		out.Findings[i] = policy.Finding{
			ID: f.ID, Aliases: f.Aliases, Package: f.Package, Version: f.Version, PURL: f.PURL, Fixed: f.FixedVersions, FixState: f.FixState,
			Severity: string(f.Severity), Said: f.SaidSeverity, Score: f.Score, Tool: f.Tool, Kind: string(f.Kind), Suppressed: f.Suppressed != nil,
		}
		if len(f.Locations) > 0 {
			out.Findings[i].Place = f.Locations[0]
		}
	}
	return out
}

// vexOf leaves out products of which it is not certain what they are, where a statement would excuse: names that only the document's author
// can resolve. Where a statement takes an excuse back they stand for all that they can mean. A link to a component of an SBOM stays: policy
// knows which SBOMs are the artifact's.
func vexOf(v *attest.VEX) []policy.VEXStatement {
	out := make([]policy.VEXStatement, 0, len(v.Statements))
	for _, s := range v.Statements {
		one := policy.VEXStatement{
			Vulnerability: s.Vulnerability, Aliases: s.Aliases, Status: s.Status, Justification: s.Justification, At: s.At,
		}
		excuses := s.Status == attest.VEXNotAffected || s.Status == attest.VEXFixed
		for _, p := range s.Products {
			if excuses && p.Unresolved && !isLink(p) {
				continue
			}
			one.Products = append(one.Products, policy.VEXProduct{IDs: p.IDs, Subcomponents: p.Subcomponents, Versions: p.Versions})
		}
		if len(s.Products) > 0 && len(one.Products) == 0 {
			continue // a statement without products would be about the whole artifact
		}
		out = append(out, one)
	}
	return out
}

// isLink reports whether a product is a BOM-Link, of whatever version.
func isLink(p attest.VEXProduct) bool {
	return len(p.Versions) == 0 && len(p.IDs) == 1 && strings.HasPrefix(p.IDs[0], "urn:cdx:")
}
