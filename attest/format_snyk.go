// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"slices"
	"strings"
)

// Snyk's JSON: of one project, a list of projects, a container with
// applications in it, or sources that no package manager knows (format_snyk_unmanaged.go). A vulnerability has a row for each path that leads to its
// package: they are one finding. The report says neither when, nor with what
// knowledge.
// Source: https://docs.snyk.io/snyk-cli (snyk test --json, snyk container test
// --json)

func snykFormat() format {
	return format{
		name: "snyk", kind: EvidenceScan, emptyList: true, media: "application/vnd.snyk.report+json",
		is: func(d *document) bool {
			return isSnykUnmanaged(d.members) || mentions(d.members, "ok") && (mentions(d.members, "vulnerabilities") || mentions(d.members, "error") || mentions(d.members, "issues")) &&
				(mentions(d.members, "packageManager") || mentions(d.members, "projectName") || mentions(d.members, "dependencyCount") || mentions(d.members, "error") || mentions(d.members, "issues"))
		},
		read: readSnyk, wrap: wrapVulns,
	}
}

type snykProject struct {
	Vulnerabilities json.RawMessage `json:"vulnerabilities"`
	snykUnmanaged
	Applications    json.RawMessage `json:"applications"`
	Error           any             `json:"error"`
	PackageManager  string          `json:"packageManager"`
	DependencyCount *int            `json:"dependencyCount"`
	Path            string          `json:"path"`
	Filtered        struct {
		Ignore json.RawMessage `json:"ignore"`
	} `json:"filtered"`
}

type snykVulnerability struct {
	ID          string
	Type        string
	Title       string
	PackageName string
	Name        string
	Version     string
	Severity    string
	Critical    string `json:"severityWithCritical"`
	Manager     string `json:"packageManager"`
	CVSSScore   float64
	CVSSv3      string
	CVSSv4      string
	FixedIn     []string
	Nearest     string `json:"nearestFixedInVersion"`
	From        []string
	Identifiers map[string][]string
	Filtered    struct {
		Ignored []struct {
			Reason string
		}
	}
}

// snykReport is what has been read.
type snykReport struct {
	Scan
	known    map[string]int // findings by id, name and version
	projects int
}

func readSnyk(d *document) (Evidence, error) {
	s := &snykReport{Scan: Scan{Tool: "snyk"}, known: make(map[string]int)}
	var err error
	if d.list {
		_, err = each("$", d.raw, s.project)
	} else {
		var one snykProject
		if err = decodeAt("$", d.raw, &one); err == nil {
			err = s.project("$", one)
		}
	}
	switch {
	case err != nil:
		return Evidence{}, err
	case s.projects == 0:
		s.Nothing = "the report is of no project"
	case s.Packages == 0 && len(s.Findings) == 0:
		s.Nothing = "no dependency was looked at"
	}
	return Evidence{Scan: &s.Scan}, nil
}

func (s *snykReport) project(place string, p snykProject) error {
	s.projects++
	switch {
	case p.Error != nil:
		return unreadable(place+".error", "the scan failed: nothing was looked at")
	case p.DependencyCount != nil && (*p.DependencyCount < 0 || *p.DependencyCount > maxPackages):
		return unreadable(place+".dependencyCount", "%d is no number of dependencies", *p.DependencyCount)
	case p.isThere():
		return s.unmanaged(place, p)
	}
	if p.DependencyCount != nil {
		s.Packages += *p.DependencyCount
	}
	if s.Target == "" {
		s.Target = keep(p.Path)
	}
	there, err := each(place+".vulnerabilities", p.Vulnerabilities, func(place string, v snykVulnerability) error {
		return s.vulnerability(place, v, p.PackageManager, false)
	})
	if err == nil && !there {
		err = unreadable(place+".vulnerabilities", "missing: the report has no result")
	}
	if err != nil {
		return err
	}
	if _, err = each(place+".filtered.ignore", p.Filtered.Ignore, func(place string, v snykVulnerability) error {
		s.note("the report shows findings that snyk was told to ignore: they count")
		return s.vulnerability(place, v, p.PackageManager, true)
	}); err != nil {
		return err
	}
	_, err = each(place+".applications", p.Applications, func(place string, inner snykProject) error {
		if inner.Applications != nil {
			return unreadable(place+".applications", "an application in an application")
		}
		return s.project(place, inner)
	})
	return err
}

// snykKinds are the types of package URLs by package manager, or by distribution
// ("debian:12"); those that are missing have names that do not say enough.
var snykKinds = map[string]string{
	"npm": "npm", "yarn": "npm", "pnpm": "npm", "maven": "maven", "gradle": "maven", "sbt": "maven", "pip": "pypi", "pipenv": "pypi", "poetry": "pypi",
	"rubygems": "gem", "nuget": "nuget", "paket": "nuget", "gomodules": "golang", "golangdep": "golang", "govendor": "golang", "composer": "composer",
	"cocoapods": "cocoapods", "hex": "hex", "swift": "swift",
	"deb": "deb/debian", "apk": "apk/alpine", "debian": "deb/debian", "ubuntu": "deb/ubuntu", "alpine": "apk/alpine", "wolfi": "apk/wolfi", "chainguard": "apk/chainguard",
	"rhel": "rpm/redhat", "centos": "rpm/centos", "fedora": "rpm/fedora",
}

// snykPURL makes a package URL, or "". A package of a distribution is called
// source/package.
func snykPURL(manager, name, version string) string {
	distribution, _, _ := strings.Cut(manager, ":")
	kind := snykKinds[distribution]
	switch {
	case kind == "maven": // group:artifact
		name = strings.ReplaceAll(name, ":", "/")
	case strings.Contains(kind, "/"):
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	return makePURL(kind, name, version)
}

func (s *snykReport) vulnerability(place string, v snykVulnerability, manager string, ignored bool) error {
	path := keepTrimmed(strings.Join(v.From, " > "), maxText)
	key := strings.Join([]string{v.ID, v.Name, v.Version}, "\x00")
	if at, ok := s.known[key]; ok {
		if f := &s.Findings[at]; len(f.Locations) < maxLocations && path != "" && !slices.Contains(f.Locations, path) {
			f.Locations = append(f.Locations, path)
		}
		return nil
	}
	f := Finding{
		ID: v.ID, Title: v.Title, Package: v.PackageName, Version: v.Version, Source: "snyk", SaidSeverity: v.Critical,
		FixedVersions: append(slices.Clone(v.FixedIn), v.Nearest), Locations: []string{path},
	}
	if f.Package == "" || strings.Contains(v.Name, "/") && !strings.Contains(f.Package, "/") {
		f.Package = v.Name
	}
	if f.SaidSeverity == "" { // an old interface calls critical high, and says so nowhere
		f.SaidSeverity = v.Severity
	}
	f.Severity = NormalSeverity(f.SaidSeverity)
	if v.Type == "license" {
		f.Kind = FindingLicense
	}
	for _, kind := range sortedKeys(v.Identifiers) {
		if kind != "CWE" {
			f.Aliases = append(f.Aliases, v.Identifiers[kind]...)
		}
	}
	if f.FixedVersions = keepUnique(f.FixedVersions, "", maxFixes); f.FixedVersions != nil {
		f.FixState = FixFixed
	}
	if v.CVSSv4 != "" {
		f.CVSS = append(f.CVSS, CVSS{Vector: keep(v.CVSSv4), Source: "snyk"})
	}
	if v.CVSSv3 != "" || v.CVSSScore > 0 {
		f.CVSS = append(f.CVSS, CVSS{Vector: keep(v.CVSSv3), Score: v.CVSSScore, Source: "snyk"})
	}
	if v.Manager != "" {
		manager = v.Manager
	}
	if f.PURL = snykPURL(manager, f.Package, v.Version); f.PURL != "" {
		f.Derived = true
	}
	if ignored {
		f.Suppressed = &Suppression{By: "snyk"}
		if len(v.Filtered.Ignored) > 0 {
			f.Suppressed.Reason = oneLine(v.Filtered.Ignored[0].Reason)
		}
	}
	s.known[key] = len(s.Findings)
	return s.add(func() string { return place }, f)
}
