// SPDX-License-Identifier: Apache-2.0

package attest

import "strings"

// Distinct counts findings: a vulnerability of a package once, whatever it is
// called, and whatever the qualifiers of the package's URL. Names are the same
// in any case.
func Distinct(findings []Finding) int {
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
	type key struct {
		of, id string
		kind   FindingKind
	}
	known := make(map[key]struct{})
	for i := range findings {
		f := &findings[i]
		known[key{packageKey(f), find(strings.ToLower(f.ID)), f.Kind}] = struct{}{}
	}
	return len(known)
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
