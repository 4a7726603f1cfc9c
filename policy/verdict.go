// SPDX-License-Identifier: Apache-2.0

package policy

import "fmt"

// Verdict is the answer of a trust policy about one image. The zero value denies.
type Verdict struct {
	Checks   []Check  // one for every requirement, passed or failed, in the order of the policy
	Evidence []string // "sha256:<hex>" of the bundles that decided, in the order of the checks, each once
	allowed  bool
}

// Allowed reports whether everything that the policy requires was proven.
func (v Verdict) Allowed() bool { return v.allowed && len(v.Checks) > 0 }

// Reasons says why the verdict denies, one sentence for each failed check; nil if it allows.
func (v Verdict) Reasons() []string {
	if v.Allowed() {
		return nil
	}
	var reasons []string
	for _, check := range v.Checks {
		if !check.Passed {
			reasons = append(reasons, fmt.Sprintf("policy %q: %s: %s", check.Rule, check.Name, check.Detail))
		}
	}
	if len(reasons) == 0 { // the zero Verdict
		return []string{"nothing was decided"}
	}
	return reasons
}

// add records what came of one requirement. A requirement that is not proven makes the verdict a denial, for good.
func (v *Verdict) add(policy, name string, p proof) {
	v.Checks = append(v.Checks, Check{Rule: policy, Name: name, Passed: p.passed, Detail: p.detail})
	v.allowed = v.allowed && p.passed
	for _, known := range v.Evidence {
		if known == p.bundle {
			return
		}
	}
	if p.bundle != "" {
		v.Evidence = append(v.Evidence, p.bundle)
	}
}
