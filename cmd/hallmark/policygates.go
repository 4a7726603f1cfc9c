// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// testedGate is what one rule's gate says: per kind of evidence what counts and
// what is missing, and which conditions hold.
type testedGate struct {
	Rule       string       `json:"rule"`
	Passed     bool         `json:"passed"`
	Counts     []gateAnswer `json:"counts"`
	Missing    []gateAnswer `json:"missing"`
	Conditions []gateAnswer `json:"conditions"`
}

// gateAnswer is about one kind of evidence, or one condition of the gate.
type gateAnswer struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Detail string `json:"detail,omitempty"`
	// Insufficient: what is missing is not evidence, but better evidence.
	Insufficient bool `json:"insufficient,omitempty"`
}

// isThere reports whether a failed check of evidence saw a document for all that it asks for, none of which is good enough.
func isThere(detail string) bool {
	return !strings.HasPrefix(detail, "none (") && !strings.Contains(detail, ": none (") && !strings.HasPrefix(detail, "the index ")
}

// evidenceCheck begins the names of checks of evidence.
const evidenceCheck = "evidence."

// gatesOf takes the checks of rules that looked at evidence apart. The
// conditions of a gate come behind its evidence.
func gatesOf(checks []policy.Check) []testedGate {
	gates := []testedGate{}
	for _, c := range checks {
		kind, isEvidence := strings.CutPrefix(c.Name, evidenceCheck)
		last := len(gates) - 1
		switch {
		case isEvidence && (last < 0 || gates[last].Rule != c.Rule):
			gates = append(gates, testedGate{Rule: c.Rule, Passed: true, Counts: []gateAnswer{}, Missing: []gateAnswer{}, Conditions: []gateAnswer{}})
			last++
		case !isEvidence && (last < 0 || gates[last].Rule != c.Rule):
			continue
		}
		g, answer := &gates[last], gateAnswer{Name: kind, Passed: c.Passed, Detail: c.Detail, Insufficient: isEvidence && !c.Passed && isThere(c.Detail)}
		g.Passed = g.Passed && c.Passed
		switch {
		case !isEvidence:
			g.Conditions = append(g.Conditions, answer)
		case c.Passed:
			g.Counts = append(g.Counts, answer)
		default:
			g.Missing = append(g.Missing, answer)
		}
	}
	return gates
}

// print says the decision, what was made of the documents, and what each gate
// has and lacks.
func (f *policyTest) print(env environment, x signer.Explanation, documents []testedDocument) error {
	if documents == nil {
		documents = []testedDocument{}
	}
	tested := testedDecision{Explanation: x, Documents: documents, Gates: gatesOf(x.Checks)}
	if *f.output != program.FormatText {
		return explain(env, *f.output, x, tested)
	}
	return explainWith(env, *f.output, x, tested, func(w io.Writer) {
		before := x // what gates say comes last, gate by gate
		before.Checks = slices.DeleteFunc(slices.Clone(x.Checks), func(c policy.Check) bool {
			return slices.ContainsFunc(tested.Gates, func(g testedGate) bool { return g.Rule == c.Rule && g.has(c) })
		})
		done := "signed"
		if f.predicateType != "" {
			done = "attested"
		}
		printExplanation(w, before, done)
		for _, d := range documents {
			said := "could be attested"
			switch {
			case d.Problem != "":
				said = "counts for nothing: " + oneLine(d.Problem)
			case d.Bundle:
				said = "attested"
			case !d.Attestable:
				said = "could not be attested by this job"
			}
			_, _ = fmt.Fprintf(w, "document\t%s\t%s\t%s\tabout %s\t%s\n", program.Printable(d.Name), cmp.Or(d.Format, d.Kind), program.Printable(d.Says), cmp.Or(d.Platform, "the image itself"), said)
		}
		for _, g := range tested.Gates {
			g.print(w)
		}
	})
}

// has reports whether a check is part of the gate.
func (g testedGate) has(c policy.Check) bool {
	return strings.HasPrefix(c.Name, evidenceCheck) || slices.ContainsFunc(g.Conditions, func(a gateAnswer) bool { return a.Name == c.Name })
}

func (g testedGate) print(w io.Writer) {
	verdict := "is closed"
	if g.Passed {
		verdict = "is open"
	}
	_, _ = fmt.Fprintf(w, "gate\t%s\t%s\n", g.Rule, verdict)
	for _, a := range g.Counts {
		_, _ = fmt.Fprintf(w, "  counts\t%s\t%s\n", a.Name, oneLine(a.Detail))
	}
	for _, a := range g.Missing {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", map[bool]string{true: "does not do", false: "missing"}[a.Insufficient], a.Name, oneLine(a.Detail))
	}
	for _, a := range g.Conditions {
		_, _ = fmt.Fprintf(w, "  %s\t%s\t%s\n", map[bool]string{true: "holds", false: "fails"}[a.Passed], a.Name, oneLine(a.Detail))
	}
}
