// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxReasons bounds a refusal. The nearest rules come first, and the checks have everything.
const maxReasons = 16

// Decide answers whether the input's action is allowed. The first rule of the file that holds allows it; what none allows is refused.
// It has no side effect and is safe for concurrent use.
func (p *SigningPolicy) Decide(in Input) Decision {
	return p.decide(in, false)
}

// Explain is Decide for people who want to see why: the decision is the same, its checks are those of every rule, also behind the one
// that allows. Where a rule allows whatever the evidence is, no evidence is read, as none is gathered for a signature.
func (p *SigningPolicy) Explain(in Input) Decision {
	return p.decide(in, true)
}

func (p *SigningPolicy) decide(in Input, everyRule bool) Decision {
	if p == nil || len(p.rules) == 0 {
		return refuseInput("no signing policy is loaded")
	}
	vars, err := variables(in)
	if err != nil {
		return refuseInput(err.Error())
	}
	var decision Decision
	var failures []outcome
	unread := everyRule && !p.Needs(in).Evidence
	for i := range p.rules {
		result := p.rules[i].judge(in, vars, unread)
		decision.Checks = append(decision.Checks, result.checks...)
		switch {
		case !result.holds():
			failures = append(failures, result)
		case decision.grant == nil: // the first that holds, whatever comes behind it
			decision.grant = p.grant(result, in)
		}
		if decision.grant != nil && !everyRule {
			return decision
		}
	}
	if decision.grant == nil {
		decision.reasons = reasonsOf(failures, in)
	}
	return decision
}

// refuseInput is the decision about a request that no rule gets to see.
func refuseInput(why string) Decision {
	return Decision{Checks: []Check{{Name: "request", Detail: why}}, reasons: []string{why}}
}

// grant makes the one permission of a decision. This is the only place that makes a permit.
func (p *SigningPolicy) grant(by outcome, in Input) *Grant {
	in.Claims, _ = copyClaims(in.Claims).(map[string]any)
	in.Evidence = nil
	return &Grant{permit: &permit{terms: Terms{
		Rule: by.rule.Name, Input: in, Evidence: by.bundles, PolicyDigest: p.digest, Certificate: by.rule.byCertificate(), Keys: slices.Clone(by.rule.Keys),
	}}}
}

// variables checks the input's form and returns what expressions see of it. Callers have verified all of it; a form that none of them
// can produce means a mistake on the way, and mistakes are refused.
func variables(in Input) (map[string]any, error) {
	vars := make(map[string]any)
	for name, text := range textVariables(in) {
		if len(text) > maxClaimText {
			return nil, fmt.Errorf("%s of %d bytes is longer than %d", name, len(text), maxClaimText)
		}
		vars[name] = text
	}
	switch {
	case in.Action == ActionCertificate:
		if err := checkNoArtifact(in); err != nil {
			return nil, err
		}
	case !isRepository(in.Repository):
		return nil, fmt.Errorf("repository %s is not in canonical form", shown(in.Repository))
	case !isDigest(in.Digest):
		return nil, fmt.Errorf("digest %s is not sha256 and 64 lower-case hex digits", shown(in.Digest))
	case len(in.Evidence) > maxDocuments:
		return nil, fmt.Errorf("%d statements about the artifact are more than %d", len(in.Evidence), maxDocuments)
	case in.Own && (in.Action != ActionAttest || !makesItself(in.PredicateType)):
		return nil, fmt.Errorf("the service makes no %s of its own", shown(in.PredicateType))
	case in.Action == ActionAttest && in.PredicateType == PredicateSignature:
		// Whoever may attest could otherwise approve, even by a rule with anyPredicateType.
		return nil, fmt.Errorf("%s is a signature and cannot be attested; ask to sign", PredicateSignature)
	}
	if err := checkChartInput(in); err != nil {
		return nil, err
	}
	claims, err := claimValues(in.Claims)
	if err != nil {
		return nil, err
	}
	vars[varClaims] = claims
	return vars, nil
}

// outcome is what one rule said.
type outcome struct {
	rule   *signingRule
	checks []Check
	// How far from holding the rule was: failed checks of its scope, failed conditions, failed checks of evidence.
	scopeFailures, conditionFailures, gateFailures int
	gateChecks                                     int      // how many of checks, at the end, are about evidence
	bundles                                        []string // with the evidence that was looked at
}

// holds reports whether the rule allows: its scope fits, every condition was evaluated and held, and so was all evidence.
func (o outcome) holds() bool {
	return o.wouldHold() && o.gateFailures == 0 && (o.rule.Require == nil) == (o.rule.gate == nil)
}

// wouldHold reports whether only evidence can be missing.
func (o outcome) wouldHold() bool {
	return o.scopeFailures == 0 && o.conditionFailures == 0 && len(o.rule.expressions) > 0 &&
		len(o.rule.expressions) == len(o.rule.Conditions)
}

// judge holds a rule against the input. Conditions are evaluated, all of them, only if the rule is about such requests at all: claims
// of another provider would fail them for no reason worth reading. An unread gate is closed, and says so.
func (r *signingRule) judge(in Input, vars map[string]any, unread bool) outcome {
	result := r.judgeClaims(in, vars)
	switch waits := result.wouldHold() && r.gate != nil && gated(in.Action); {
	case waits && unread:
		result.addGate(gateOutcome{checks: []Check{{Name: checkEvidence, Detail: unreadEvidence}}})
	case waits:
		result.addGate(r.gate.judge(subjectOf(in), in.Evidence, vars, in.Now))
	}
	return result
}

// judgeClaims is judge without evidence, and without the checks and conditions that read texts which are not known yet.
func (r *signingRule) judgeClaims(in Input, vars map[string]any, unknown ...string) outcome {
	result := outcome{rule: r}
	for _, check := range r.scope(in) {
		if check.Name == checkKind && slices.Contains(unknown, varKind) {
			continue
		}
		if !check.Passed {
			result.scopeFailures++
		}
		result.checks = append(result.checks, check)
	}
	if result.scopeFailures > 0 {
		return result
	}
	for i, compiled := range r.expressions {
		if compiled.readsAny(unknown) {
			continue
		}
		holds, detail := compiled.evaluate(vars)
		if !holds {
			result.conditionFailures++
			detail = joinDetails(detail, r.Conditions[i].Message)
		}
		result.checks = append(result.checks, Check{Rule: r.Name, Name: r.Conditions[i].Name, Passed: holds, Detail: detail})
	}
	return result
}

// scope checks whether the rule is about such a request: who, what and where, before any condition.
func (r *signingRule) scope(in Input) []Check {
	if in.Action == ActionCertificate || r.certifies() {
		return r.certificateScope(in)
	}
	repository := func(pattern string) bool { return underPrefix(in.Repository, pattern) }
	checks := []Check{
		r.scopeCheck(checkIdentity, in.Identity, []string{r.Identity}, in.Identity == r.Identity),
		r.scopeCheck(checkAction, in.Action, r.Actions, slices.Contains(r.Actions, in.Action) || r.makes(in)),
		r.scopeCheck(checkKind, in.Kind, r.Kinds, slices.Contains(r.Kinds, in.Kind)),
		r.scopeCheck(checkRepository, in.Repository, r.Repositories, slices.ContainsFunc(r.Repositories, repository)),
	}
	switch {
	case r.makes(in):
		checks = append(checks, r.scopeCheck(checkPredicateType, in.PredicateType, nil, true))
	case in.Own && in.PredicateType == PredicateChartImages && in.Kind != KindChart:
		checks = append(checks, r.notOwn(in, "which is about Helm charts only"))
	case in.Own && in.PredicateType == PredicateChartImages:
		checks = append(checks, r.notOwn(in, "which is for rules that sign charts"))
	case in.Own:
		checks = append(checks, r.notOwn(in, "which the service makes where a rule requires it"))
	case in.Action == ActionAttest:
		checks = append(checks, r.predicateTypeCheck(in))
	}
	return checks
}

// makes reports whether the statement is the service's own and the rule requires it of signatures.
func (r *signingRule) makes(in Input) bool {
	if in.PredicateType == PredicateChartImages { // facts about what the rule signs, whatever it requires
		return in.Own && in.Kind == KindChart && slices.Contains(r.Actions, ActionSign)
	}
	return in.Own && r.Require != nil && (r.Require.Provenance || in.PredicateType == PredicateSummary) && slices.Contains(r.Actions, ActionSign)
}

// notOwn is the check of a statement of the service's own that the rule does not have it make.
func (r *signingRule) notOwn(in Input, why string) Check {
	return Check{Rule: r.Name, Name: checkPredicateType, Detail: shown(in.PredicateType) + ", " + why}
}

func (r *signingRule) predicateTypeCheck(in Input) Check {
	predicateType := in.PredicateType
	if r.AnyPredicateType {
		return r.scopeCheck(checkPredicateType, predicateType, []string{"any absolute URI"}, isAbsoluteURI(predicateType))
	}
	check := r.scopeCheck(checkPredicateType, predicateType, r.PredicateTypes, slices.Contains(r.PredicateTypes, predicateType))
	if in.VEX && check.Passed && !slices.ContainsFunc(r.PredicateTypes, isVEXType) {
		check.Passed = false
		check.Detail = shown(predicateType) + " that is read as VEX; the rule is for " + shownList(r.PredicateTypes) + ", and for VEX it has to list " + shown(vexType) + ", too"
	}
	if !check.Passed && (in.VEX || isVEXType(predicateType)) {
		check.Detail += " (hint: VEX excuses findings, so those who run this service give it to a rule for the workflow that may)"
	}
	return check
}

func (r *signingRule) scopeCheck(name, seen string, allowed []string, passed bool) Check {
	detail := shown(seen)
	if !passed {
		detail += "; the rule is for " + shownList(allowed)
	}
	return Check{Rule: r.Name, Name: name, Passed: passed, Detail: detail}
}

// reasonsOf turns failed rules into sentences, those of the rule that came nearest to allowing first. Rules for other identity sources
// are mentioned only if there is no rule for the one at hand.
func reasonsOf(failures []outcome, in Input) []string {
	mine := slices.DeleteFunc(slices.Clone(failures), func(o outcome) bool { return o.rule.Identity != in.Identity })
	if len(mine) == 0 {
		return []string{fmt.Sprintf("no rule is for the identity source %s; there are rules for %s", shown(in.Identity), identities(failures))}
	}
	mine = sameSort(mine, in)
	slices.SortStableFunc(mine, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.scopeFailures, b.scopeFailures), cmp.Compare(a.conditionFailures, b.conditionFailures),
			cmp.Compare(a.gateFailures, b.gateFailures),
			strings.Compare(a.rule.Name, b.rule.Name)) // not the file's order: it decides nothing
	})
	var reasons, never []string
	for _, o := range mine {
		if mine[0].scopeFailures == 0 && o.scopeFailures > 0 { // nothing that whoever asks could mend
			never = append(never, fmt.Sprintf("%q (%s)", o.rule.Name, strings.Join(o.outside(), ", ")))
			continue
		}
		reasons = append(reasons, o.reasons()...)
	}
	if len(never) > 0 {
		reasons = append(reasons[:min(len(reasons), maxReasons-1)], "not for such requests: "+listed(never, ", "))
	}
	return reasons[:min(len(reasons), maxReasons)]
}

// outside are the checks of the rule's scope that failed.
func (o outcome) outside() []string {
	var names []string
	for _, check := range o.checks {
		if !check.Passed {
			names = append(names, check.Name)
		}
	}
	return names
}

func identities(failures []outcome) string {
	var names []string
	for _, o := range failures {
		names = append(names, o.rule.Identity)
	}
	slices.Sort(names)
	return shownList(slices.Compact(names))
}

// reasons are the rule's failed checks as sentences.
func (o outcome) reasons() []string {
	var reasons []string
	for i, check := range o.checks {
		format := "rule %q: condition %q failed: %s"
		switch {
		case check.Passed || strings.HasPrefix(check.Detail, notEvaluated):
			continue
		case o.scopeFailures > 0:
			format = "rule %q: %s is %s"
		case i >= len(o.checks)-o.gateChecks && strings.HasPrefix(check.Name, evidencePrefix):
			format = "rule %q: %s: %s"
		}
		reasons = append(reasons, fmt.Sprintf(format, check.Rule, check.Name, check.Detail))
	}
	return reasons
}
