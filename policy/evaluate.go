// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxFacts bounds one evaluation. Evidence sources stop at 64 bundles each; sixteen times that is a mistake or an attack.
	maxFacts = 1024
	// clockTolerance is how far in the future of our clock evidence may be dated. It covers a verifier whose clock is ten minutes
	// slow; evidence beyond that is from a clock that nobody should believe.
	clockTolerance = 15 * time.Minute
)

// Fact is what is cryptographically certain about one bundle: signature, certificate chain, log inclusion and time were verified, and
// every field here comes from the bytes that the signature covers. It knows nothing of policy.
type Fact struct {
	PredicateType string // of the statement
	Bound         bool   // a subject of the statement is the image's digest
	SAN           string // the certificate's only subject alternative name; "" matches nobody
	Issuer        string // the certificate's OIDC issuer
	Extensions    map[string]string
	OnRequest     bool            // signed by a client itself, with a certificate that was issued on request: no gate judged it
	SignedAt      time.Time       // proven by log or timestamp authority; zero if nothing proves it, then the fact counts for nothing
	LogIndex      int64           // position in the log LogID
	LogID         string          // hex
	Bundle        string          // "sha256:<hex>" of the bundle's bytes, for reference
	Predicate     json.RawMessage // of the statement
	Statement     string          // "sha256:<hex>" of its bytes
	// Document is what the statement says, if it is evidence and somebody has read it: see [TrustPolicy.ReadsEvidence].
	Document *Document
}

// Evaluate judges what is proven about an image. It allows if and only if the policy speaks about the image and every requirement is
// proven by a fact. The order of facts changes nothing, and neither does a fact that no requirement asks for.
func (p *TrustPolicy) Evaluate(img Image, facts []Fact, now time.Time) Verdict {
	return p.EvaluateParts(img, facts, nil, now)
}

// unjudgeable returns the failed check that stops an evaluation before it begins, or a Check without name.
func (p *TrustPolicy) unjudgeable(img Image, facts []Fact, now time.Time) Check {
	switch {
	case p == nil || len(p.signers) == 0 || len(p.spec.Require.Signature.Signers) == 0:
		return Check{Name: checkImage, Detail: "no trust policy is loaded"}
	case !img.canonical():
		return Check{Name: checkImage, Detail: fmt.Sprintf("%s with digest %s is not in canonical form", shown(img.name()), shown(img.Digest))}
	case !p.Matches(img):
		return Check{Name: checkImage, Detail: fmt.Sprintf("%s is not under %s", shown(img.name()), shownList(p.spec.Images))}
	case now.IsZero():
		return Check{Name: checkFacts, Detail: "the time of the decision is unknown"}
	case len(facts) > maxFacts:
		return Check{Name: checkFacts, Detail: fmt.Sprintf("%d verified bundles are more than %d", len(facts), maxFacts)}
	}
	return Check{}
}

// proof is what came of one requirement.
type proof struct {
	passed bool
	detail string
	bundle string // the bundle that decided, if one did
}

// question is one requirement as it is put to the facts.
type question struct {
	what    string // for reasons
	types   []string
	signers []string // names; any of them will do
	// newestDecides makes the newest fact decide even if it cannot pass. Otherwise it is passed over for an older one.
	newestDecides bool
}

// signature looks for a signature by an accepted signer. Any would do, because a signature has no content that a newer one could take
// back; the newest is named.
func (p *TrustPolicy) signature(facts []Fact, now time.Time) proof {
	return p.prove(question{what: "signature", types: []string{PredicateSignature}, signers: p.spec.Require.Signature.Signers}, facts, now)
}

// attestation looks for the newest statement of the required types by an accepted signer. It alone decides.
func (p *TrustPolicy) attestation(requirement AttestationRequirement, facts []Fact, now time.Time) proof {
	asked := question{
		what:  "attestation of type " + shownList(requirement.PredicateTypes),
		types: requirement.PredicateTypes, signers: requirement.Signers, newestDecides: true,
	}
	found := p.prove(asked, facts, now)
	if !found.passed && !slices.ContainsFunc(facts, asked.isAbout) {
		found.detail += "; types found: " + typesOf(facts)
	}
	return found
}

// isAbout reports whether the fact has one of the exact types in question.
func (q question) isAbout(f Fact) bool { return slices.Contains(q.types, f.PredicateType) }

// prove answers a question by the newest fact of the right type and an accepted signer.
func (p *TrustPolicy) prove(q question, facts []Fact, now time.Time) proof {
	var best *Fact
	var by string
	var others []string // what was there and does not count
	for i, fact := range facts {
		if !q.isAbout(fact) {
			continue
		}
		name, why := p.signerOf(fact, q.signers)
		if name != "" && !q.newestDecides && fromFuture(fact, now) {
			name, why = "", futureHint(now)
		}
		if name == "" {
			others = append(others, describeFact(fact)+why)
			continue
		}
		if best == nil || compareAge(fact, *best) > 0 {
			best, by = &facts[i], name
		}
	}
	if best == nil {
		return proof{detail: p.notFound(q, others)}
	}
	found := proof{passed: true, bundle: best.Bundle, detail: fmt.Sprintf("%s by %q: %s", q.what, by, describeFact(*best))}
	if fromFuture(*best, now) {
		found.passed = false
		found.detail += futureHint(now)
	}
	return found
}

// signerOf returns the name of the accepted signer who made the fact, or "" and why it does not count.
func (p *TrustPolicy) signerOf(fact Fact, signers []string) (name, why string) {
	switch {
	case !fact.Bound:
		return "", " (about another digest)"
	case fact.SignedAt.IsZero():
		return "", " (without a proven time)"
	}
	for _, name := range signers {
		switch {
		case !p.signers[name].matches(fact.SAN, fact.Issuer):
		case fact.OnRequest && !p.signers[name].AllowOnRequest:
			why = " (not signed by the service: with a certificate issued on request, for which no gate is evaluated)"
		default:
			return name, ""
		}
	}
	return "", why
}

// notFound says what was looked for, what was there instead and who would have been accepted.
func (p *TrustPolicy) notFound(q question, others []string) string {
	expected := make([]string, len(q.signers))
	for i, name := range q.signers {
		expected[i] = p.signers[name].describe()
	}
	found := "none"
	if len(others) > 0 {
		slices.Sort(others) // not the order of the facts: it decides nothing
		found = listed(slices.Compact(others), ", ")
	}
	return fmt.Sprintf("no %s by an accepted signer; found %s; expected one of %s", q.what, found, listed(expected, ", "))
}

// compareAge orders facts by proven time, then by log index. Log indexes alone would do for one log, but there may be several. The
// rest of the order is arbitrary but fixed, so that the order of facts decides nothing.
func compareAge(a, b Fact) int {
	return cmp.Or(a.SignedAt.Compare(b.SignedAt), cmp.Compare(a.LogIndex, b.LogIndex), strings.Compare(a.LogID, b.LogID),
		strings.Compare(a.Bundle, b.Bundle))
}

func fromFuture(f Fact, now time.Time) bool { return f.SignedAt.After(now.Add(clockTolerance)) }

func futureHint(now time.Time) string {
	return fmt.Sprintf(" (dated in the future of this verifier's clock, which says %s; check the clock)", now.UTC().Format(time.RFC3339))
}

func describeFact(f Fact) string {
	said := fmt.Sprintf("%s of issuer %s", shown(f.SAN), shown(f.Issuer))
	if !f.SignedAt.IsZero() {
		said += fmt.Sprintf(", %s, log index %d", f.SignedAt.UTC().Format(time.RFC3339), f.LogIndex)
	}
	return said
}

// typesOf lists the predicate types that are about the image, or "none".
func typesOf(facts []Fact) string {
	var types []string
	for _, fact := range facts {
		if fact.Bound {
			types = append(types, fact.PredicateType)
		}
	}
	if len(types) == 0 {
		return "none"
	}
	slices.Sort(types)
	return shownList(slices.Compact(types))
}
