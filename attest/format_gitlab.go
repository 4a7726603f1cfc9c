// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"strings"
	"time"
)

// GitLab's security reports: of containers and dependencies a scan, of code
// and secrets a check. What is prose ("solution") is no fixed version, and what
// holds a secret (raw_source_code_extract) is not read.
// Source: gitlab.com/gitlab-org/security-products/security-report-schemas

func gitlabFormat() format {
	return format{
		name: "gitlab", kind: EvidenceScan, kinds: []EvidenceKind{EvidenceCheck}, media: "application/json",
		is: func(d *document) bool {
			return !d.list && mentions(d.members, "version") && mentions(d.members, "vulnerabilities") && d.kindOf("scan") == '{'
		},
		read: readGitLab, wrap: wrapFindings,
	}
}

type gitlabScan struct {
	Type, Status string
	StartTime    string `json:"start_time"`
	EndTime      string `json:"end_time"`
	Scanner      struct{ ID, Name, Version string }
	Analyzer     struct{ ID, Version string }
}

type gitlabVulnerability struct {
	ID, Name, Message, CVE, Severity string
	Identifiers                      []struct{ Type, Name, Value string }
	Location                         struct {
		File       string
		StartLine  int `json:"start_line"`
		Image      string
		Dependency struct {
			Package struct{ Name string }
			Version string
		}
		OperatingSystem string `json:"operating_system"`
	}
	CVSSVectors []struct{ Vendor, Vector string } `json:"cvss_vectors"`
	Flags       []struct{ Type, Origin string }
}

// gitlabScans are the types of reports that are scans; the others are checks.
var gitlabScans = map[string]bool{"container_scanning": true, "cluster_image_scanning": true, "dependency_scanning": true}

var gitlabChecks = map[string]FindingKind{
	"sast": FindingCheck, "dast": FindingCheck, "api_fuzzing": FindingCheck, "coverage_fuzzing": FindingCheck, "secret_detection": FindingSecret,
}

func readGitLab(d *document) (Evidence, error) {
	var scan gitlabScan
	if err := d.into("scan", &scan); err != nil {
		return Evidence{}, err
	}
	kind, isCheck := gitlabChecks[scan.Type]
	if !isCheck && !gitlabScans[scan.Type] {
		return Evidence{}, unreadable("$.scan.type", "%s, want container_scanning, dependency_scanning, sast, secret_detection or another type that is known here", quote(scan.Type))
	}
	c := &Check{}
	s := &c.Scan
	s.Tool, s.ToolVersion = toolName(scan.Scanner.ID), keep(scan.Scanner.Version)
	if s.Tool == "" {
		s.Tool = "gitlab"
	}
	var err error
	if s.StartedAt, err = gitlabTime("$.scan.start_time", scan.StartTime); err != nil {
		return Evidence{}, err
	}
	if s.FinishedAt, err = gitlabTime("$.scan.end_time", scan.EndTime); err != nil {
		return Evidence{}, err
	}
	if scan.Status != "success" {
		s.Nothing = "the scan's status is " + quote(keep(scan.Status)) + ", not success"
	}
	var digests []string
	there, err := each("$.vulnerabilities", d.members["vulnerabilities"], func(place string, v gitlabVulnerability) error {
		if digest := digestIn(v.Location.Image); digest != "" && len(digests) < maxDigests {
			digests = append(digests, digest)
		}
		if s.Target == "" {
			s.Target = keep(v.Location.Image)
		}
		f := v.finding()
		if isCheck {
			f.Kind = kind
		}
		return s.add(func() string { return place }, f)
	})
	if err == nil && !there {
		err = unreadable("$.vulnerabilities", "missing: the report has no result")
	}
	if err != nil {
		return Evidence{}, err
	}
	s.named(digests)
	if isCheck {
		c.looked(kind)
		ev := c.evidence()
		ev.secret = kind == FindingSecret
		return ev, nil
	}
	return Evidence{Scan: s}, nil
}

// gitlabTime reads a time without a zone, which is UTC.
func gitlabTime(place, text string) (time.Time, error) {
	if t, err := time.Parse("2006-01-02T15:04:05", text); err == nil {
		return t, nil
	}
	return timeAt(place, text)
}

func (v *gitlabVulnerability) finding() Finding {
	at := v.Location
	f := Finding{
		ID: v.ID, Title: v.Name, SaidSeverity: v.Severity, Severity: NormalSeverity(v.Severity), Package: at.Dependency.Package.Name,
		Version: at.Dependency.Version,
	}
	if f.Title == "" {
		f.Title = v.Message
	}
	// The report's own id is a hash: the first identifier says more.
	for _, i := range v.Identifiers {
		if strings.EqualFold(i.Type, "cwe") || strings.EqualFold(i.Type, "owasp") {
			continue
		}
		name := i.Value
		if name == "" {
			name = i.Name
		}
		f.Aliases = append(f.Aliases, name)
	}
	if len(f.Aliases) > 0 {
		f.ID, f.Aliases[0] = f.Aliases[0], f.ID
	}
	if hasPrefixFold(v.CVE, "CVE-") {
		f.Aliases = append(f.Aliases, v.CVE)
	}
	if at.File != "" {
		f.Locations = []string{fileLine(at.File, at.StartLine)}
	} else {
		f.Locations = []string{at.OperatingSystem}
	}
	for _, c := range v.CVSSVectors {
		f.CVSS = append(f.CVSS, CVSS{Vector: keep(c.Vector), Source: keep(c.Vendor)})
	}
	for _, flag := range v.Flags {
		if flag.Type == "flagged-as-likely-false-positive" {
			f.Suppressed = &Suppression{By: keep(flag.Origin), Reason: flag.Type}
		}
	}
	return f
}
