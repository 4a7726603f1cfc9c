// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// APIVersion is the version of both policy documents.
const APIVersion = "hallmark.dev/v1alpha1"

// KindSigningPolicy is the kind of a signing policy document.
const KindSigningPolicy = "SigningPolicy"

// signingDocument is a SigningPolicy file. The comments here are the reference; docs/POLICY.md is the introduction.
type signingDocument struct {
	APIVersion string `json:"apiVersion"` // APIVersion
	Kind       string `json:"kind"`       // KindSigningPolicy
	// Rules: any one that holds allows. What no rule allows is refused, so there are no rules that deny.
	Rules []signingRule `json:"rules"`
}

// signingRule allows some actions on some artifacts to some CI jobs. It holds if every part of it holds.
type signingRule struct {
	// Name appears in reasons, receipts and audit records; unique in the file.
	Name string `json:"name"`
	// Identity is the configured name of the identity source that must have authenticated the job, e.g. "github".
	Identity string `json:"identity"`
	// Actions are what the job may do: sign, attest; or certificate, alone and without kinds, repositories and predicate types.
	Actions []string `json:"actions"`
	// Kinds are what it may do it to: image, index, chart, artifact.
	Kinds []string `json:"kinds"`
	// Repositories are where the artifact must be, inside the central registry: "acme/app" is that repository, "acme/" every one
	// under it. No globs.
	Repositories []string `json:"repositories"`
	// PredicateTypes are the exact types that may be attested. Compulsory with the action attest, unless AnyPredicateType.
	PredicateTypes []string `json:"predicateTypes"`
	// AnyPredicateType lets the rule attest whatever type is asked for, except a signature's.
	AnyPredicateType bool `json:"anyPredicateType"`
	// Keys are names of signing keys of the service's configuration. What the rule allows is signed with each of them, too.
	Keys []string `json:"keys"`
	// Modes say how: certificate, key. Without it, with a certificate, and with the keys if there are any.
	Modes []string `json:"modes"`
	// Conditions must all hold. There is at least one, because without any the identity source's every job is trusted.
	Conditions []signingCondition `json:"conditions"`

	// Require is the evidence without which nothing is signed. Attestations need none: they are how evidence gets there.
	Require *EvidenceRequirement `json:"require"`

	expressions []*expression // compiled, one for each of Conditions
	who         []int         // which of Conditions are about who asks
	gate        *gate         // compiled Require
}

// signingCondition is one test of the job's claims.
type signingCondition struct {
	// Name appears in checks and reasons; unique in its rule.
	Name string `json:"name"`
	// Expression is CEL and yields bool. A claim that is missing, an error or the cost limit make the condition fail.
	Expression string `json:"expression"`
	// Message is what a developer should do when the condition fails.
	Message string `json:"message"`
	// Who says whether the condition is about who asks: the job is one that the rule speaks of if all of those hold. A job that no rule
	// speaks of is refused without being told the rules. Default, unless another condition of the rule says true: a condition that reads
	// nothing but claims which name an organisation; in a rule without such, one that reads nothing but those of a project, the subject
	// or the SAN.
	Who *bool `json:"who"`
}

// SigningPolicy is a parsed and compiled signing policy. It is immutable and safe for concurrent use. Nil and zero policies refuse
// everything.
type SigningPolicy struct {
	rules  []signingRule
	digest string
}

// ParseSigningPolicy reads a SigningPolicy document (YAML or JSON), checks all of it and compiles its conditions. Errors name the line,
// the field and what is wrong with it; a policy with any error is no policy.
func ParseSigningPolicy(b []byte) (*SigningPolicy, error) {
	var file signingDocument
	doc, err := decodeStrict(b, &file)
	if doc != nil && doc.kind != "" { // of another kind, every field is unknown
		if err := checkHeader(APIVersion, doc.kind, KindSigningPolicy); err != nil {
			return nil, fmt.Errorf("signing policy: %w", doc.locate(err))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signing policy: %w", err)
	}
	if err := checkSigningDocument(file); err != nil {
		return nil, fmt.Errorf("signing policy: %w", doc.locate(err))
	}
	if err := compileRules(file.Rules); err != nil {
		return nil, fmt.Errorf("signing policy: %w", doc.locate(err))
	}
	sum := sha256.Sum256(b)
	return &SigningPolicy{rules: file.Rules, digest: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// Digest returns "sha256:<hex>" of the bytes that the policy was parsed from: what grants and audit records call the policy.
func (p *SigningPolicy) Digest() string {
	if p == nil {
		return ""
	}
	return p.digest
}

// Identities returns the names of the identity sources that rules speak about, sorted. A source without a rule can have nothing
// signed, and a rule without a source is dead: whoever loads the policy should say so.
func (p *SigningPolicy) Identities() []string {
	if p == nil {
		return nil
	}
	var names []string
	for _, rule := range p.rules {
		names = append(names, rule.Identity)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// compileRules compiles every condition of every rule.
func compileRules(rules []signingRule) error {
	language, err := newLanguage()
	if err != nil {
		return fmt.Errorf("prepare expression language: %w", err)
	}
	for i := range rules {
		rule := &rules[i]
		for j, condition := range rule.Conditions {
			compiled, err := rule.compile(language, condition.Expression)
			if err != nil {
				return fieldErrorf(fmt.Sprintf("rules[%d].conditions[%d].expression", i, j),
					"rule %q, condition %q: %v", rule.Name, condition.Name, err)
			}
			rule.expressions = append(rule.expressions, compiled)
		}
		if err := rule.findWho(fmt.Sprintf("rules[%d]", i)); err != nil {
			return err
		}
		if err := rule.compileGate(fmt.Sprintf("rules[%d].require", i)); err != nil {
			return err
		}
	}
	return nil
}
