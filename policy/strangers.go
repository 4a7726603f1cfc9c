// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Some issuers give tokens to everybody: any user of a hosted CI has jobs there. A job that no rule speaks of learns nothing from its
// refusal, neither what the rules are nor what is in the registry. A job that some rule speaks of, and that came by the wrong trigger or
// asks for the wrong repository, learns all of it: its author is one of those for whom the policy was written.
//
// Which conditions say whom a rule speaks of, and which say how its jobs must be run, follows from the claims that they read: a condition
// over nothing but claims that name an owner says whom. The policy can say it itself, with `who`.

// owners are claims that name the organisation or team that a job belongs to. Claims with the same name at two CI systems say the same.
var owners = []access{
	{varClaims, []string{"repository_owner_id"}}, {varClaims, []string{"repository_owner"}}, // GitHub
	{varClaims, []string{"enterprise_id"}}, {varClaims, []string{"enterprise"}},
	{varClaims, []string{"namespace_id"}}, {varClaims, []string{"namespace_path"}}, // GitLab
	{varClaims, []string{"organization_id"}}, {varClaims, []string{"organization_slug"}}, // Buildkite
	{varClaims, []string{"oidc.circleci.com/org-id"}},
	{varClaims, []string{"kubernetes.io", "namespace"}},
}

// projects are claims and texts that name one of its projects. They say whom a rule speaks of if nothing larger does.
var projects = []access{
	{varClaims, []string{"repository_id"}}, {varClaims, []string{"repository"}},
	{varClaims, []string{"project_id"}}, {varClaims, []string{"project_path"}},
	{varClaims, []string{"pipeline_id"}}, {varClaims, []string{"pipeline_slug"}},
	{varClaims, []string{"oidc.circleci.com/project-id"}},
	{varClaims, []string{"kubernetes.io", "serviceaccount", "name"}}, {varClaims, []string{"kubernetes.io", "serviceaccount", "uid"}},
	{varClaims, []string{"sub"}}, {variable: varSubject}, {variable: varSAN},
}

// requestTexts are the texts that come from the request: they say nothing of who asks.
var requestTexts = []string{varAction, varRepository, varDigest, varKind, varMediaType, varPredicateType}

// findWho sets which of the rule's conditions say whom it speaks of. path is that of the rule.
func (r *signingRule) findWho(path string) error {
	for i, c := range r.Conditions {
		switch {
		case c.Who == nil || !*c.Who:
		case r.expressions[i].readsAny(requestTexts):
			return fieldErrorf(fmt.Sprintf("%s.conditions[%d].who", path, i), "the condition reads what is asked for, and so is not about who asks")
		default:
			r.who = append(r.who, i)
		}
	}
	for _, level := range [][]access{owners, projects} {
		if len(r.who) > 0 {
			return nil
		}
		for i, c := range r.Conditions {
			if c.Who == nil && r.expressions[i].readsOnly(level) {
				r.who = append(r.who, i)
			}
		}
	}
	return nil
}

// readsOnly reports whether the expression reads something, and nothing but what is listed.
func (e *expression) readsOnly(list []access) bool {
	listed := func(a access) bool {
		return slices.ContainsFunc(list, func(b access) bool { return a.variable == b.variable && slices.Equal(a.steps, b.steps) })
	}
	return len(e.reads) > 0 && !slices.ContainsFunc(e.reads, func(a access) bool { return !listed(a) })
}

// Stranger returns the refusal of a job that no rule speaks of, or nil if one does. Of the input it looks at who asks and at nothing that
// is asked for. The refusal says what was seen of the token, and nothing of the rules.
func (p *SigningPolicy) Stranger(in Input) *Refusal {
	vars, err := unresolved(in)
	if err != nil {
		in.Claims = nil // they are of any length
		return strange(in, err.Error())
	}
	in.Claims, _ = vars[varClaims].(map[string]any)
	if p != nil {
		for i := range p.rules {
			if p.rules[i].speaksOf(in, vars) {
				return nil
			}
		}
	}
	return strange(in, "")
}

// speaksOf reports whether the rule is for the identity source, and its conditions about who asks hold. Without any of those, it is for
// every job of the source.
func (r *signingRule) speaksOf(in Input, vars map[string]any) bool {
	if r.Identity != in.Identity {
		return false
	}
	return !slices.ContainsFunc(r.who, func(i int) bool {
		holds, _ := r.expressions[i].evaluate(vars)
		return !holds
	})
}

// strange makes the refusal of a stranger. What it shows is the same whatever the rules read: otherwise it would tell what they read.
func strange(in Input, problem string) *Refusal {
	said := fmt.Sprintf("no rule admits this identity for this repository: identity source %s, subject %s", shown(in.Identity), shown(in.Subject))
	vars := map[string]any{varClaims: in.Claims}
	for _, a := range slices.Concat(owners, projects) {
		if value, ok := a.lookUp(vars); ok && a.variable == varClaims && a.steps[0] != "sub" {
			said += ", " + a.name() + " " + shownValue(value)
		}
	}
	reasons := []string{said + " (hint: those who run this service can add a rule for it)"}
	if problem != "" {
		reasons = append(reasons, problem)
	}
	return &Refusal{Reasons: reasons, Checks: []Check{{Name: checkIdentity, Detail: strings.Join(reasons, "; ")}}}
}

// beforehand are the texts that nobody knows before the artifact was read.
var beforehand = []string{varDigest, varKind, varMediaType}

// unresolved returns what expressions see before the artifact was read.
func unresolved(in Input) (map[string]any, error) {
	in.Digest, in.Kind, in.MediaType = "", "", ""
	vars := make(map[string]any)
	for name, text := range textVariables(in) {
		if len(text) > maxClaimText {
			return nil, fmt.Errorf("%s of %d bytes is longer than %d", name, len(text), maxClaimText)
		}
		vars[name] = text
	}
	claims, err := claimValues(in.Claims)
	if err != nil {
		return nil, err
	}
	vars[varClaims] = claims
	for _, name := range beforehand {
		delete(vars, name)
	}
	return vars, nil
}

// RefuseUnresolved returns the refusal of a request that no rule could allow, whatever its artifact turns out to be, or nil if Decide must be
// asked. Of the artifact it looks at the repository only, so that nothing has to be read from a registry for it. If it refuses, so does
// Decide. A condition that reads what is not known yet may hold.
func (p *SigningPolicy) RefuseUnresolved(in Input) *Refusal {
	if p == nil || len(p.rules) == 0 {
		return refuseInput("no signing policy is loaded").Refusal()
	}
	vars, err := unresolved(in)
	if err == nil && in.Action != ActionCertificate && !isRepository(in.Repository) {
		err = fmt.Errorf("repository %s is not in canonical form", shown(in.Repository))
	}
	if err != nil {
		return refuseInput(err.Error()).Refusal()
	}
	var decision Decision
	var failures []outcome
	for i := range p.rules {
		result := p.rules[i].judgeClaims(in, vars, beforehand...)
		if result.scopeFailures+result.conditionFailures == 0 {
			return nil
		}
		decision.Checks = append(decision.Checks, result.checks...)
		failures = append(failures, result)
	}
	decision.reasons = reasonsOf(failures, in)
	return decision.Refusal()
}

func (e *expression) readsAny(variables []string) bool {
	return slices.ContainsFunc(e.reads, func(a access) bool { return slices.Contains(variables, a.variable) })
}
