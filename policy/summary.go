// SPDX-License-Identifier: Apache-2.0

package policy

import "slices"

// PredicateSummary is the predicate type of SLSA verification summaries, which the service makes when the gate of a rule is passed. No
// rule can let a job make one.
const PredicateSummary = "https://slsa.dev/verification_summary/v1"

// Basis is what a decision that allows rests on. It is no permission.
type Basis struct {
	Rule       string
	Gated      bool     // the rule requires evidence
	Signatures int      // that a grant is good for
	Evidence   []string // "sha256:<hex>" of the bundles with it
}

// Basis tells what the decision rests on; false if it refuses.
func (d Decision) Basis() (Basis, bool) {
	if d.grant == nil || d.grant.permit == nil {
		return Basis{}, false
	}
	terms := d.grant.permit.terms
	basis := Basis{Rule: terms.Rule, Gated: len(terms.Evidence) > 0, Signatures: len(terms.Keys), Evidence: slices.Clone(terms.Evidence)}
	if terms.Certificate {
		basis.Signatures++
	}
	return basis, true
}
