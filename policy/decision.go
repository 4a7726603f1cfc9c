// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// Check is one thing that a decision looked at. Decisions and verdicts keep all of them, passed or failed, so that an API answer, a
// log line, a web page and an audit record explain the same decision with the same words.
type Check struct {
	Rule   string `json:"rule"` // the signing rule or the trust policy
	Name   string `json:"name"` // "identity", "action", "repository", …, or a condition's or requirement's name
	Passed bool   `json:"passed"`
	Detail string `json:"detail,omitempty"` // the value seen, quoted and bounded, and on failure what to do
}

// Decision is the answer of a signing policy. The zero value refuses.
type Decision struct {
	Checks  []Check // in the order of the policy file
	grant   *Grant
	reasons []string
}

// Grant returns the permission if the decision allows, else nil and false. Every call returns the same grant: one decision is one
// signature, however often it is asked.
func (d Decision) Grant() (*Grant, bool) {
	return d.grant, d.grant != nil
}

// Refusal returns why the decision refuses, or nil if it allows.
func (d Decision) Refusal() *Refusal {
	if d.grant != nil {
		return nil
	}
	if len(d.reasons) == 0 { // the zero Decision
		return &Refusal{Reasons: []string{"nothing was decided"}, Checks: d.Checks}
	}
	return &Refusal{Reasons: d.reasons, Checks: d.Checks}
}

// Refusal says why a signature or attestation was refused. It is an error, to be found with errors.As.
type Refusal struct {
	Reasons []string // sentences a developer can act on, those of the rule that came nearest first; never empty
	Checks  []Check  // everything that was considered
}

// Error joins the reasons.
func (r *Refusal) Error() string {
	return "refused by signing policy: " + strings.Join(r.Reasons, "; ")
}
