// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"cmp"
	"slices"
	"strings"
)

// Group is what several tools, or several namespaces of one, say of one
// vulnerability in one package.
type Group struct {
	// IDs are all names of the vulnerability, the preferred one first.
	IDs     []string
	Package string
	Version string
	// Severity is the worst that any of them says; Disagree, that they do not say
	// the same. Unknown is the severity only if nobody knows.
	Severity Severity
	Disagree bool
	Fixed    []string
	Tools    []string
	Findings []*Finding
}

// Merge groups findings by vulnerability, whatever it is called, and package,
// whatever the qualifiers of its package URL. Names are the same in any case.
// The groups are in the order of package, version and id.
func Merge(findings []Finding) []Group {
	// Union-find over names: two names that one finding has are one.
	parent := make(map[string]string)
	find := func(id string) string {
		root := id
		for parent[root] != root {
			root = parent[root]
		}
		for parent[id] != root { // next time it is short
			id, parent[id] = parent[id], root
		}
		return root
	}
	for i := range findings {
		f := &findings[i]
		first := strings.ToLower(f.ID)
		for _, id := range append([]string{f.ID}, f.Aliases...) {
			id = strings.ToLower(id)
			if _, known := parent[id]; !known {
				parent[id] = id
			}
			parent[find(id)] = find(first)
		}
	}
	groups := make(map[[2]string]*Group)
	var order [][2]string
	for i := range findings {
		f := &findings[i]
		key := [2]string{packageKey(f), string(f.Kind) + " " + find(strings.ToLower(f.ID))}
		g := groups[key]
		if g == nil {
			g = &Group{Package: f.Package, Version: f.Version, Severity: f.Severity}
			groups[key] = g
			order = append(order, key)
		}
		g.add(f)
	}
	out := make([]Group, 0, len(order))
	for _, key := range order {
		out = append(out, *groups[key])
	}
	slices.SortStableFunc(out, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Version, b.Version), strings.Compare(a.IDs[0], b.IDs[0]))
	})
	return out
}

// packageKey is what packages are compared by.
func packageKey(f *Finding) string {
	if p, ok := parsePURL(f.PURL); ok {
		return "pkg:" + p.kind + "/" + p.name + "@" + p.version
	}
	if f.Kind != FindingVulnerability { // each place is one of its own
		return strings.Join(f.Locations, "\x00")
	}
	return f.Package + "@" + f.Version
}

func (g *Group) add(f *Finding) {
	g.Findings = append(g.Findings, f)
	for _, id := range append([]string{f.ID}, f.Aliases...) {
		if !slices.ContainsFunc(g.IDs, func(known string) bool { return strings.EqualFold(known, id) }) {
			g.IDs = append(g.IDs, id)
		}
	}
	if f.Severity != g.Severity {
		g.Disagree = true
	}
	if severityOrder(f.Severity) > severityOrder(g.Severity) {
		g.Severity = f.Severity
	}
	for _, one := range []struct {
		list *[]string
		add  []string
	}{{&g.Fixed, f.FixedVersions}, {&g.Tools, []string{f.Tool}}} {
		for _, s := range one.add {
			if !slices.Contains(*one.list, s) {
				*one.list = append(*one.list, s)
			}
		}
	}
}

// severityOrder is the place of a severity in the order; unknown is outside of
// it, and gives way to whoever knows.
func severityOrder(s Severity) int {
	return slices.Index([]Severity{SeverityUnknown, SeverityNone, SeverityNegligible, SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}, s)
}
