// SPDX-License-Identifier: Apache-2.0

package policy

// NamedTool is a program that a requirement names.
type NamedTool struct {
	Rule string // by its name
	Kind string // of report: scan, lint, …
	Name string
}

// Tools are the programs that rules ask reports of. Any name may be one, since reports say for themselves who made them: whoever loads the policy
// knows more names, and should say which it has never heard of. A misspelt one closes its gate for good.
func (p *SigningPolicy) Tools() []NamedTool {
	if p == nil {
		return nil
	}
	var all []NamedTool
	add := func(rule, kind string, names []string) {
		for _, name := range names {
			all = append(all, NamedTool{rule, kind, name})
		}
	}
	for _, rule := range p.rules {
		if rule.Require == nil {
			continue
		}
		if rule.Require.Scan != nil {
			add(rule.Name, EvidenceScan, rule.Require.Scan.Tools)
		}
		for _, report := range rule.Require.Reports {
			add(rule.Name, report.Kind, report.Tools)
		}
	}
	return all
}
