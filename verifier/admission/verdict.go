// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"github.com/hallmark-dev/hallmark/policy"
)

// Verdict is the filled-in grid of one question: a row for each image position, a cell for each policy that covers it.
type Verdict struct {
	Namespace string
	Object    string
	Findings  []Finding
}

// Finding is what all policies say about one position. Without a cell it denies.
type Finding struct {
	Position Position
	Cells    []Cell

	image string // canonical, by digest; empty if there is no such form
}

// Cell is what one policy says about one position. The zero value denies, and enforces it.
type Cell struct {
	Policy    string // empty: a rule that holds whatever the policies say, such as the central registry
	Mode      policy.Mode
	Allowed   bool
	Undecided bool     // denied because it could not be decided: trying again may help
	Reasons   []string // why not

	program *policy.TrustPolicy // whose decision to take from the answer
	answer  int                 // which answer, counted from one; zero: none, Reasons say everything
}

// Denied reports whether the cell stands in the way of the request. In mode Warn a refusal does not, and is shown as a warning.
func (c Cell) Denied() bool { return !c.Allowed && c.Mode != policy.ModeWarn }

// Warned reports whether the cell would stand in the way if its policy enforced.
func (c Cell) Warned() bool { return !c.Allowed && c.Mode == policy.ModeWarn }

// Denied reports whether any cell stands in the way, or none spoke at all.
func (f Finding) Denied() bool {
	for _, c := range f.Cells {
		if c.Denied() {
			return true
		}
	}
	return len(f.Cells) == 0
}

// Allowed reports whether every position of a verdict about at least one may run.
func (v Verdict) Allowed() bool {
	for _, f := range v.Findings {
		if f.Denied() {
			return false
		}
	}
	return len(v.Findings) > 0
}

// Undecided reports whether nothing but undecided cells stand in the way.
func (v Verdict) Undecided() bool {
	denied := 0
	for _, f := range v.Findings {
		for _, c := range f.Cells {
			if c.Denied() && !c.Undecided {
				return false
			}
			if c.Denied() {
				denied++
			}
		}
	}
	return denied > 0
}

// refuse denies a position by a rule that no policy and no mode can change.
func (f Finding) refuse(reason string) Finding {
	f.Cells = append(f.Cells, Cell{Mode: policy.ModeEnforce, Reasons: []string{reason}})
	return f
}

// enter copies the cell's answer into it.
func (c *Cell) enter(answers []answer) {
	if c.answer == 0 {
		return
	}
	switch decision, err := answers[c.answer-1].by(c.program); {
	case err != nil:
		c.Undecided, c.Reasons = true, []string{"could not be decided: " + err.Error()}
	case decision.Allowed():
		c.Allowed = true
	default:
		c.Reasons = decision.Reasons()
	}
}
