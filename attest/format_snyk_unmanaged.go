// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"strings"
)

// Snyk's report of sources that no package manager knows (snyk unmanaged test
// --json): of C and C++, recognised by their files. It lists which package has
// which issue, and the issues by id. What Snyk was told to ignore is in
// vulnerabilities alone.
// Source: github.com/snyk/cli, src/lib/ecosystems/resolve-test-facts.ts

// snykUnmanaged is what such a project has besides the others.
type snykUnmanaged struct {
	Issues     json.RawMessage `json:"issues"`
	IssuesData json.RawMessage `json:"issuesData"`
	DepGraph   struct {
		Pkgs json.RawMessage `json:"pkgs"`
	} `json:"depGraphData"`
}

type snykIssue struct {
	PkgName    string `json:"pkgName"`
	PkgVersion string `json:"pkgVersion"`
	IssueID    string `json:"issueId"`
	FixInfo    struct {
		Nearest string `json:"nearestFixedInVersion"`
	} `json:"fixInfo"`
}

func isSnykUnmanaged(top members) bool { return mentions(top, "issues") && mentions(top, "issuesData") }

func (u *snykUnmanaged) isThere() bool { return u.Issues != nil || u.IssuesData != nil }

// unmanaged reads one project.
func (s *snykReport) unmanaged(place string, p snykProject) error {
	if s.Target == "" {
		s.Target = keep(p.Path)
	}
	var issues map[string]snykVulnerability
	if p.IssuesData != nil {
		if err := decodeAt(place+".issuesData", p.IssuesData, &issues); err != nil {
			return err
		}
	}
	if issues == nil {
		return unreadable(place+".issuesData", "missing: the report has no result")
	}
	for id, v := range issues {
		v.bound()
		issues[id] = v
	}
	packages := 0
	if _, err := each(place+".depGraphData.pkgs", p.DepGraph.Pkgs, func(string, struct{}) error { packages++; return nil }); err != nil {
		return err
	}
	switch {
	case p.DependencyCount != nil:
		s.Packages += *p.DependencyCount
	case packages > 1: // the first is the project itself
		s.Packages += packages - 1
	}
	there, err := each(place+".issues", p.Issues, func(place string, one snykIssue) error {
		v, known := issues[one.IssueID]
		if !known {
			return unreadable(place+".issueId", "%s is not in issuesData", quote(one.IssueID))
		}
		v.Nearest = one.FixInfo.Nearest
		return s.unmanagedIssue(place, v, one.PkgName, one.PkgVersion, false)
	})
	switch {
	case err != nil:
		return err
	case !there:
		return unreadable(place+".issues", "missing: the report has no result")
	}
	_, err = each(place+".vulnerabilities", p.Vulnerabilities, func(place string, v snykVulnerability) error {
		if _, shown := issues[v.ID]; shown {
			return nil
		}
		s.note("the report shows findings that snyk was told to ignore: they count")
		name, _, _ := strings.Cut(v.Name, "@")
		return s.unmanagedIssue(place, v, name, v.Version, true)
	})
	return err
}

// bound leaves of an issue's lists what would be kept of them: it is said once, and
// every package that has it would have them read again.
func (v *snykVulnerability) bound() {
	var ids []string
	for _, kind := range sortedKeys(v.Identifiers) {
		if kind != "CWE" {
			ids = append(ids, v.Identifiers[kind]...)
		}
	}
	v.Identifiers = map[string][]string{"": keepUnique(ids, v.ID, maxAliases)}
	v.FixedIn, v.Title = keepUnique(v.FixedIn, "", maxFixes), oneLine(v.Title)
}

// unmanagedIssue adds a finding. Packages are called address|name; an address is
// no namespace of a package URL, so that they have none.
func (s *snykReport) unmanagedIssue(place string, v snykVulnerability, name, version string, ignored bool) error {
	v.From = []string{strings.TrimSuffix(name+"@"+version, "@")}
	name = name[strings.LastIndexByte(name, '|')+1:]
	v.PackageName, v.Name, v.Version, v.Manager = name, name, version, ""
	if strings.HasPrefix(v.ID, "snyk:lic:") {
		v.Type = "license"
	}
	return s.vulnerability(place, v, "", ignored)
}
