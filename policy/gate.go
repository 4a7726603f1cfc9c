// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types/ref"
)

// PredicateProvenance is the predicate type of SLSA provenance v1, the one statement that the service makes itself.
const PredicateProvenance = "https://slsa.dev/provenance/v1"

// maxDocuments bounds the evidence of one decision: the bundles of one artifact and of some platforms.
const maxDocuments = 1024

// notEvaluated is said of conditions that had nothing to read.
const notEvaluated = "not evaluated: evidence that it reads is missing"

// evidencePrefix begins the names of checks of evidence; no condition can have such a name.
const evidencePrefix = "evidence."

// gateSubject is what evidence has to be about.
type gateSubject struct {
	digest    string
	index     bool
	platforms []string
}

func subjectOf(in Input) gateSubject {
	return gateSubject{digest: in.Digest, index: in.Kind == KindIndex, platforms: in.Platforms}
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
	if !slices.Contains(r.Actions, ActionSign) {
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
	var result gateOutcome
	found := make(map[string][]*Document)
	missing := false
	for _, kind := range g.kinds() {
		check, picked := g.judgeKind(kind, s, documents, now)
		result.checks = append(result.checks, check)
		missing = missing || !check.Passed
		found[kind] = picked
		for _, d := range picked {
			result.bundles = append(result.bundles, d.Bundle)
		}
	}
	if vex, bundles, ok := g.judgeVEX(s, documents); ok {
		result.checks = append(result.checks, vex)
		result.bundles = append(result.bundles, bundles...)
	}
	if len(g.expressions) != len(g.spec.Conditions) { // a gate that nothing compiled
		missing = true
	}
	if missing {
		for _, condition := range g.spec.Conditions {
			result.checks = append(result.checks, Check{Name: condition.Name, Detail: notEvaluated})
		}
		return result
	}
	view := g.view(s, found, documents, now)
	all := make(map[string]any, len(vars)+4)
	for name, v := range vars {
		all[name] = v
	}
	for name, v := range view {
		all[name] = v
	}
	for i, compiled := range g.expressions {
		holds, detail := compiled.evaluate(all)
		detail = joinDetails(detail, describeEvidence(compiled.evidence, view, !holds))
		if !holds {
			detail = joinDetails(detail, g.spec.Conditions[i].Message)
		}
		result.checks = append(result.checks, Check{Name: g.spec.Conditions[i].Name, Passed: holds, Detail: detail})
	}
	return result
}

// judgeKind looks for evidence of one kind about everything that the gate wants it about.
func (g *gate) judgeKind(kind string, s gateSubject, documents []Document, now time.Time) (Check, []*Document) {
	check := Check{Name: evidencePrefix + kind}
	targets := g.targets(kind, s, documents)
	if len(targets) == 0 {
		check.Detail = "the index names no platform that evidence could be about"
		return check, nil
	}
	var picked []*Document
	var details []string
	check.Passed = true
	for _, target := range targets {
		for _, tool := range g.tools(kind) {
			d, detail := g.pick(kind, tool, target, documents, now)
			if d == nil {
				check.Passed = false
			} else {
				picked = append(picked, d)
			}
			if target != s.digest {
				detail = "platform " + target[:min(len(target), shownDigest)] + ": " + detail
			}
			details = append(details, detail)
		}
	}
	check.Detail = listed(details, "; ")
	return check, picked
}

// shownDigest is how much of a platform's digest is shown: what people compare.
const shownDigest = len("sha256:") + 12

// judgeVEX says which VEX documents count, and their bundles. It is no requirement: without any, nothing is excused.
func (g *gate) judgeVEX(s gateSubject, documents []Document) (check Check, bundles []string, found bool) {
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
		switch {
		case d.Problem != "":
			word += " ignored: " + shown(d.Problem)
		case !g.allows(d.Author):
			word += " ignored: not an author whose VEX the policy accepts"
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
	if !s.index || kind == EvidenceProvenance || g.spec.Index == "" || g.spec.Index == indexItself {
		return []string{s.digest}
	}
	if g.spec.Index == indexEither && (someAbout(documents, kind, s.digest) || !someAbout(documents, kind, s.platforms...)) {
		return []string{s.digest}
	}
	return s.platforms
}

// someAbout reports whether some document of a kind that can be read is about one of the digests.
func someAbout(documents []Document, kind string, digests ...string) bool {
	return slices.ContainsFunc(documents, func(d Document) bool {
		return d.Kind == kind && d.Problem == "" && slices.Contains(digests, d.Digest)
	})
}

// tools are the scanners of which each must have spoken; "" stands for any.
func (g *gate) tools(kind string) []string {
	if kind == EvidenceScan && len(g.spec.Scan.Tools) > 0 {
		return g.spec.Scan.Tools
	}
	return []string{""}
}

// pick returns the newest document of a kind about a digest, if it will do, and what to say of it. Newest is by the log's time. One
// that cannot be read counts for nothing: it neither helps nor harms.
func (g *gate) pick(kind, tool, target string, documents []Document, now time.Time) (*Document, string) {
	var best *Document
	var ignored []string
	for i := range documents {
		d := &documents[i]
		if d.Kind != kind || d.Digest != target {
			continue
		}
		switch why := g.unusable(d, now); {
		case why != "":
			ignored = append(ignored, describeDocument(d)+": "+why)
		case tool != "" && d.Scan.Tool != tool:
			ignored = append(ignored, describeDocument(d)+": by "+shown(d.Scan.Tool))
		case best == nil || d.compareAge(best) > 0:
			best = d
		}
	}
	if best == nil {
		return nil, noEvidence(kind, tool, ignored)
	}
	if why := g.insufficient(best, now); why != "" {
		return nil, joinDetails(best.summary(now)+", "+describeDocument(best), why)
	}
	return best, best.summary(now) + ", " + describeDocument(best)
}

// noEvidence says what is missing and how to bring it.
func noEvidence(kind, tool string, ignored []string) string {
	what := kindWords[kind]
	if tool != "" {
		what += " by " + tool
	}
	said := "none"
	if len(ignored) > 0 {
		slices.Sort(ignored) // not the order of the evidence: it decides nothing
		said = "none that counts: " + listed(ignored, "; ")
	}
	hint := fmt.Sprintf("attest %s of this digest, or sign with --%s FILE", what, kind)
	if kind == EvidenceProvenance {
		hint = "the service makes it; sign through the service"
	}
	return said + " (hint: " + hint + ")"
}

// unusable returns why a document counts for nothing, or "".
func (g *gate) unusable(d *Document, now time.Time) string {
	switch {
	case d.Problem != "":
		return shown(d.Problem)
	case d.At.IsZero():
		return "without a proven time"
	case d.At.After(now.Add(clockTolerance)):
		return "dated in the future; check the clock"
	case d.Kind == EvidenceProvenance && (d.Author != d.Signer || d.Signer == ""):
		return "made for " + shown(d.Author) + ", not by the service itself"
	case !d.hasContent():
		return "holds nothing of its kind"
	}
	return ""
}

func (d *Document) hasContent() bool {
	switch d.Kind {
	case EvidenceSBOM:
		return d.SBOM != nil
	case EvidenceScan:
		return d.Scan != nil
	case EvidenceTest:
		return d.Test != nil
	case EvidenceProvenance:
		return d.Provenance != nil
	}
	return false
}

// insufficient returns what the newest document lacks, or "".
func (g *gate) insufficient(d *Document, now time.Time) string {
	switch d.Kind {
	case EvidenceSBOM:
		if d.SBOM.Packages == 0 {
			return "it lists no package; make the SBOM of the image itself"
		}
	case EvidenceTest:
		if d.Test.Result != "PASSED" && d.Test.Result != "WARNED" {
			return "repair the tests"
		}
	case EvidenceScan:
		return g.insufficientScan(d, now)
	}
	return ""
}

func (g *gate) insufficientScan(d *Document, now time.Time) string {
	switch age, s := d.scanAge(now), d.Scan; {
	case s.Nothing != "":
		return "nothing was scanned: " + shown(s.Nothing) + "; scan the image itself"
	case s.FinishedAt.IsZero():
		return "the report does not say when it was made; use a version of the scanner that does"
	case s.FinishedAt.After(d.At.Add(clockTolerance)):
		return "the report is dated after it was logged; check the scanner's clock"
	case age > g.maxAge:
		return fmt.Sprintf("older than %s; scan again", g.spec.Scan.MaxAge)
	case g.maxDatabase > 0 && s.DatabaseAt.IsZero():
		return "the report does not say how old the scanner's database is"
	case g.maxDatabase > 0 && now.Sub(s.DatabaseAt) > g.maxDatabase:
		return fmt.Sprintf("the scanner's database is of %s, older than %s; update it and scan again", s.DatabaseAt.Format(time.RFC3339), g.spec.Scan.MaxDatabaseAge)
	}
	return ""
}

// scanAge is the age by the log, or by the report if that is older: attesting last month's report again does not make it new.
func (d *Document) scanAge(now time.Time) time.Duration {
	at := d.At
	if f := d.Scan.FinishedAt; !f.IsZero() && f.Before(at) {
		at = f
	}
	return max(now.Sub(at), 0)
}

// compareAge orders documents as compareAge orders facts.
func (d *Document) compareAge(than *Document) int {
	return cmp.Or(d.At.Compare(than.At), cmp.Compare(d.LogIndex, than.LogIndex), strings.Compare(d.LogID, than.LogID), strings.Compare(d.Bundle, than.Bundle))
}

// view is what conditions see of the evidence that will do.
func (g *gate) view(s gateSubject, found map[string][]*Document, documents []Document, now time.Time) map[string]any {
	view := make(map[string]any)
	// Of several platforms an expression sees the worst of what can be compared.
	for _, d := range found[EvidenceSBOM] {
		if known, ok := view[varSBOM].(*SBOM); !ok || d.SBOM.Packages < known.Packages {
			view[varSBOM] = d.SBOM
		}
	}
	for _, d := range found[EvidenceTest] {
		if known, ok := view[varTests].(*TestResult); !ok || d.Test.Failed > known.Failed || (d.Test.Failed == known.Failed && d.Test.Passed < known.Passed) {
			view[varTests] = d.Test
		}
	}
	for _, d := range found[EvidenceProvenance] {
		view[varProvenance] = d.Provenance
	}
	if scans := found[EvidenceScan]; len(scans) > 0 {
		view[varScan] = g.scanView(s, scans, documents, now)
	}
	return view
}

// scanView joins findings and VEX, once for all conditions.
func (g *gate) scanView(s gateSubject, scans []*Document, documents []Document, now time.Time) *scanView {
	digests := []string{s.digest}
	total := 0
	for _, d := range scans {
		total += len(d.Scan.Findings)
		if d.Digest != s.digest {
			digests = append(digests, d.Digest)
		}
	}
	x := g.newExcuses(documents, digests)
	view := &scanView{findings: make([]ref.Val, 0, total)}
	all := make([]judged, 0, total)
	for _, d := range scans {
		view.tools = append(view.tools, d.Scan.Tool)
		view.age = max(view.age, d.scanAge(now))
		for i := range d.Scan.Findings {
			f := &d.Scan.Findings[i]
			all = append(all, judged{f, severityRank(f.Severity), x.of(f)})
			view.findings = append(view.findings, &all[len(all)-1])
		}
	}
	slices.Sort(view.tools)
	view.tools = slices.Compact(view.tools)
	return view
}

// findEvidence returns the variables of evidence that an expression reads.
func findEvidence(root ast.NavigableExpr) []string {
	var found []string
	for _, name := range []string{varSBOM, varScan, varTests, varProvenance} {
		isName := func(e ast.NavigableExpr) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }
		if len(ast.MatchDescendants(root, isName)) > 0 {
			found = append(found, name)
		}
	}
	return found
}
