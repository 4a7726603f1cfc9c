// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PredicateProvenance is the predicate type of SLSA provenance v1. It counts as evidence only if the service made it itself.
const PredicateProvenance = "https://slsa.dev/provenance/v1"

// maxDocuments bounds the evidence of one decision: the bundles of one artifact and of some platforms.
const maxDocuments = 1024

// notEvaluated begins what is said of conditions that had nothing to read.
const notEvaluated = "not evaluated: "

// What an explanation says of a gate that the decision does not need.
const (
	checkEvidence  = "evidence"
	unreadEvidence = "not looked at: another rule allows without evidence"
)

// evidencePrefix begins the names of checks of evidence; no condition can have such a name.
const evidencePrefix = "evidence."

// gateSubject is what evidence has to be about.
type gateSubject struct {
	repository string
	digest     string
	index      bool
	chart      bool
	platforms  []string
	names      map[string][]string // of platforms, what the index says that they are for
}

func subjectOf(in Input) gateSubject {
	return gateSubject{repository: in.Repository, digest: in.Digest, index: in.Kind == KindIndex, chart: in.Kind == KindChart, platforms: in.Platforms, names: in.PlatformNames}
}

// gateOutcome is every check of a gate, in the order of the policy, and the bundles that decided.
type gateOutcome struct {
	checks  []Check
	bundles []string
}

func (o *outcome) addGate(g gateOutcome) {
	for _, check := range g.checks {
		check.Rule = o.rule.Name
		if !check.Passed {
			o.gateFailures++
		}
		o.checks = append(o.checks, check)
	}
	o.gateChecks, o.bundles = len(g.checks), g.bundles
}

// compileGate compiles the rule's requirement. Only signatures have one.
func (r *signingRule) compileGate(path string) error {
	if r.Require == nil {
		return nil
	}
	if !slices.ContainsFunc(r.Actions, gated) {
		return fieldErrorf(path, "only a rule with the action sign requires evidence")
	}
	if len(r.Require.Signers) > 0 {
		return fieldErrorf(path+".signers", "is for trust policies; here evidence is what this service has attested")
	}
	var err error
	r.gate, err = newGate(path, r.Require, signingOptions())
	return err
}

// judge holds evidence against the gate. vars are what conditions may read besides it.
func (g *gate) judge(s gateSubject, documents []Document, vars map[string]any, now time.Time) gateOutcome {
	documents = splitByKind(documents)
	var result gateOutcome
	found := make(map[string][]counted)
	var lacking []string // kinds
	for _, kind := range g.kinds() {
		if kind == EvidenceChartImages && !s.chart {
			continue
		}
		check, picked := g.judgeKind(kind, s, documents, now)
		result.checks = append(result.checks, check)
		if !check.Passed {
			lacking = append(lacking, kind)
		}
		found[kind] = picked
		for _, d := range picked {
			result.bundles = append(result.bundles, d.Bundle)
		}
	}
	if vex, bundles, ok := g.judgeVEX(s, documents, now); ok {
		result.checks = append(result.checks, vex)
		result.bundles = append(result.bundles, bundles...)
	}
	result.bundles = distinct(result.bundles)
	if len(g.expressions) != len(g.spec.Conditions) { // a gate that nothing compiled
		for _, condition := range g.spec.Conditions {
			result.checks = append(result.checks, Check{Name: condition.Name, Detail: notEvaluated + "it was not compiled"})
		}
		return result
	}
	view := g.view(s, found, documents, now)
	all := make(map[string]any, len(vars)+len(view))
	for name, v := range vars {
		all[name] = v
	}
	for name, v := range view {
		all[name] = v
	}
	for i, compiled := range g.expressions {
		if unread := among(lacking, compiled.evidence); len(unread) > 0 {
			result.checks = append(result.checks, Check{Name: g.spec.Conditions[i].Name, Detail: notEvaluated + listed(unread, ", ") + ", which it reads, is missing or does not do"})
			continue
		}
		holds, detail := compiled.evaluate(all)
		detail = joinDetails(detail, describeEvidence(compiled.evidence, view, !holds))
		if !holds {
			detail = joinDetails(detail, g.spec.Conditions[i].Message)
		}
		result.checks = append(result.checks, Check{Name: g.spec.Conditions[i].Name, Passed: holds, Detail: detail})
	}
	return result
}

// among are the variables, of those that an expression reads, of kinds that are lacking.
func among(lacking, variables []string) []string {
	var unread []string
	for _, v := range evidenceVariables {
		if slices.Contains(lacking, v.kind) && slices.Contains(variables, v.variable) {
			unread = append(unread, v.variable)
		}
	}
	return unread
}

// judgeKind looks for evidence of one kind about everything that the gate wants it about.
func (g *gate) judgeKind(kind string, s gateSubject, documents []Document, now time.Time) (Check, []counted) {
	check := Check{Name: evidencePrefix + kind}
	targets := g.targets(kind, s, documents)
	if len(targets) == 0 {
		check.Detail = "the index names no platform that evidence could be about"
		if _, others := g.asked(s); len(others) > 0 {
			check.Detail = fmt.Sprintf("the index has none of the platforms that the policy asks about (%s); it has %s", listed(g.spec.Platforms, ", "), listed(others, ", "))
		}
		return check, nil
	}
	var picked []counted
	var details []string
	check.Passed = true
	for _, target := range targets {
		for _, tool := range g.tools(kind) {
			p := g.pick(asked{kind, tool, target, s.platformWord(target)}, documents, now)
			check.Passed = check.Passed && p.enough
			picked = append(picked, p.documents...)
			if target != s.digest {
				p.detail = "platform " + s.platformName(target) + ": " + p.detail
			}
			details = append(details, p.detail)
		}
	}
	if check.Passed && g.spec.Index == indexEither && targets[0] == s.digest {
		picked = append(picked, g.newsOfPlatforms(kind, s, picked, documents, now)...)
	}
	if bad := badNews(picked); check.Passed && bad != nil {
		check.Passed = false
		details = append(details, joinDetails(bad.summary(now)+", "+describeDocument(bad.Document), bad.keeps(), "repair the tests"))
	}
	check.Detail = listed(details, "; ")
	if _, others := g.asked(s); targets[0] != s.digest && len(others) > 0 {
		check.Detail = joinDetails(check.Detail, "not asked about: "+listed(others, ", "))
	}
	return check, picked
}

// shownDigest is how much of a platform's digest is shown: what people compare.
const shownDigest = len("sha256:") + 12

// judgeVEX says which VEX documents count, and their bundles. It is no requirement: without any, nothing is excused.
func (g *gate) judgeVEX(s gateSubject, documents []Document, now time.Time) (check Check, bundles []string, found bool) {
	if g.spec.Scan == nil {
		return Check{}, nil, false
	}
	var said []string
	for i := range documents {
		d := &documents[i]
		if d.Kind != EvidenceVEX || (d.Digest != s.digest && !slices.Contains(s.platforms, d.Digest)) {
			continue
		}
		word := count(len(d.VEX), "statement")
		author, allowed := g.vexAuthor(d.Author)
		switch why := g.unusable(d, now); {
		case why != "":
			word += " ignored: " + why
		case !allowed:
			word += " ignored: not an author whose VEX the policy accepts"
		case !author.mayExcuse(d):
			word += fmt.Sprintf(" that excuse nothing: in a statement of type %s only those by an author that the policy names exactly do (hint: hand it in as OpenVEX)", shown(d.PredicateType))
			bundles = append(bundles, d.Bundle)
		default:
			bundles = append(bundles, d.Bundle)
		}
		said = append(said, word+", "+describeDocument(d))
	}
	slices.Sort(said) // not the order of the evidence: it decides nothing
	slices.Sort(bundles)
	return Check{Name: evidencePrefix + EvidenceVEX, Passed: true, Detail: listed(said, "; ")}, bundles, len(said) > 0
}

// targets are the digests that evidence of a kind must be about.
func (g *gate) targets(kind string, s gateSubject, documents []Document) []string {
	// The service's provenance is about what it signs.
	if !s.index || kind == EvidenceProvenance || !g.spec.ofPlatforms() {
		return []string{s.digest}
	}
	asked, _ := g.asked(s)
	if g.spec.Index == indexEither && (someAbout(documents, kind, s.digest) || !someAbout(documents, kind, asked...)) {
		return []string{s.digest}
	}
	return asked
}

// someAbout reports whether some document of a kind that can be read is about one of the digests.
func someAbout(documents []Document, kind string, digests ...string) bool {
	return slices.ContainsFunc(documents, func(d Document) bool {
		return d.Kind == kind && d.Problem == "" && slices.Contains(digests, d.Digest)
	})
}

// tools are the programs of which each must have spoken; "" stands for any.
func (g *gate) tools(kind string) []string {
	if spec := g.report(kind); spec != nil && len(spec.Tools) > 0 {
		return spec.Tools
	}
	return []string{""}
}

// compareAge orders documents as compareAge orders facts.
func (d *Document) compareAge(than *Document) int {
	return cmp.Or(d.At.Compare(than.At), cmp.Compare(d.LogIndex, than.LogIndex), strings.Compare(d.LogID, than.LogID), strings.Compare(d.Bundle, than.Bundle))
}
