// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

var errDecisionIsMade = errors.New("a Decision is made by a Verifier, not read (hint: verify again)")

// ruleEvidence is the rule under which a decision lists the bundles it looked at. A failed check of this rule does not deny by itself:
// anybody who can push may put junk beside good evidence.
const ruleEvidence = "evidence"

// refTo records what became of one bundle.
func refTo(ev Evidence, fact policy.Fact, err error) EvidenceRef {
	ref := EvidenceRef{Origin: ev.Origin, Bundle: string(attest.DigestOf(ev.Bundle))}
	if err != nil {
		ref.Detail = err.Error()
		var refusal *Refusal
		if errors.As(err, &refusal) {
			ref.Reason = refusal.Reason
		}
		return ref
	}
	ref.Verified = true
	ref.PredicateType, ref.Signer, ref.Issuer, ref.OnRequest = fact.PredicateType, fact.SAN, fact.Issuer, fact.OnRequest
	ref.SignedAt, ref.LogIndex, ref.LogID = fact.SignedAt, fact.LogIndex, fact.LogID
	return ref
}

// check turns the record into a check.
func (r EvidenceRef) check() policy.Check {
	c := policy.Check{Rule: ruleEvidence, Name: r.Origin, Passed: r.Verified, Detail: r.Detail}
	if r.Verified {
		c.Detail = fmt.Sprintf("%s by %s, log index %d", r.what(), r.by(), r.LogIndex)
	}
	return c
}

// by says who signed and when, for people: a signer and the issuer who knows it, or a key; and the time, if one was proven.
func (r EvidenceRef) by() string {
	who := fmt.Sprintf("%s (issuer %s)", r.Signer, r.Issuer)
	if r.Issuer == "" { // no certificate is a fact without an issuer
		who = "key " + r.Signer
	}
	if r.SignedAt.IsZero() {
		return who + " at an unproven time"
	}
	return who + " at " + r.SignedAt.UTC().Format(time.RFC3339)
}

func (r EvidenceRef) what() string {
	switch r.PredicateType {
	case attest.PredicateSignature:
		return "signature"
	case "":
		return "signature over the bytes"
	}
	return "attestation " + r.PredicateType
}

// explain sets the reasons of a denial: what is revoked, what a developer can do if there is nothing at all, the policy's, and why bundles do
// not count. Whatever rests on one revocation is one reason; of a revoked artifact it is the only one, since no policy could be satisfied.
func (d *Decision) explain(fromPolicy []string) {
	d.reasons = nil
	revoked := make(map[string]int)
	var order, others []string
	itself := false
	for _, ref := range d.Evidence {
		switch {
		case ref.Verified:
		case ref.Reason == ReasonRevoked:
			if revoked[ref.Detail]++; revoked[ref.Detail] == 1 {
				order = append(order, ref.Detail)
			}
			itself = itself || ref.About == "" && strings.HasPrefix(ref.Detail, trust.RevokedDigest+" ")
		default:
			others = append(others, fmt.Sprintf("%s (%s) does not count: %s", ref.Origin, ref.Bundle, ref.Detail))
		}
	}
	for _, what := range order {
		d.reasons = append(d.reasons, fmt.Sprintf("%s (%s)", what, DoNotCount(revoked[what])))
	}
	if itself {
		return
	}
	if len(d.Evidence) == 0 {
		d.reasons = append(d.reasons, fmt.Sprintf("no signature found for %s: sign it in CI with `hallmark sign`", d.Artifact))
	}
	d.reasons = append(append(d.reasons, fromPolicy...), others...)
}

// DoNotCount says of how many bundles a revocation takes away what they prove.
func DoNotCount(n int) string {
	if n == 1 {
		return "1 bundle does not count"
	}
	return fmt.Sprintf("%d bundles do not count", n)
}
