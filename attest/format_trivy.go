// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"strconv"
	"strings"
)

// Trivy's JSON report, SchemaVersion 2. A report without Results has scanned
// nothing; a result without Vulnerabilities is clean, since Trivy leaves empty
// lists out. The file does not say of when the database is.
//
// A report about packages is a scan, whatever else it lists; one about
// configuration, secrets and licences only is a check. It does not say which
// scanners ran: a result has a class, and a result about secrets is there only if
// one was found. So a report shows that secrets were looked for by showing one,
// and never that there is none.
// Source: github.com/aquasecurity/trivy/pkg/types/report.go

func trivyFormat() format {
	return format{
		name: "trivy", kind: EvidenceScan, kinds: []EvidenceKind{EvidenceCheck}, types: []string{cosignVulnType}, media: "application/vnd.aquasec.trivy.report+json",
		is: func(d *document) bool {
			return !d.list && d.has("SchemaVersion") && mentions(d.members, "ArtifactName")
		},
		read: readTrivy, wrap: wrapTrivy,
	}
}

type trivyMetadata struct {
	OS *struct {
		Family string
		EOSL   bool
	}
	RepoDigests []string
}

// trivyReport is what has been read of a report.
type trivyReport struct {
	Scan
	r *jsonReader
	// packages and others tell which results there were.
	packages, osPackages, others bool
	passed                       int
	secrets                      bool
}

func readTrivy(d *document) (Evidence, error) {
	var schema int
	var created string
	var metadata trivyMetadata
	var tool struct{ Version string }
	t := &trivyReport{}
	for _, m := range []struct {
		name string
		to   any
	}{{"SchemaVersion", &schema}, {"CreatedAt", &created}, {"Metadata", &metadata}, {"Trivy", &tool}, {"ArtifactName", &t.Target}} {
		if err := d.into(m.name, m.to); err != nil {
			return Evidence{}, err
		}
	}
	if schema != 2 {
		return Evidence{}, unreadable("$.SchemaVersion", "%d, want 2", schema)
	}
	t.Tool, t.ToolVersion, t.Target = "trivy", keep(tool.Version), keep(t.Target)
	t.named(digestsAmong(metadata.RepoDigests))
	var err error
	if t.FinishedAt, err = timeAt("$.CreatedAt", created); err != nil {
		return Evidence{}, err
	}
	t.r = d.reader("Results")
	there, err := t.r.list(t.result)
	switch {
	case err != nil:
		return Evidence{}, err
	case !there:
		t.Nothing = "the report has no Results"
	case !t.packages && !t.others:
		t.Nothing = "no result of the report is about packages"
	}
	if metadata.OS != nil && metadata.OS.EOSL {
		t.note("the operating system is out of support: unfixed vulnerabilities may not be listed")
	}
	if metadata.OS != nil && t.packages && !t.osPackages {
		t.note("no result is about packages of the operating system")
	}
	if EvidenceKind(d.want) == EvidenceCheck || !t.packages && t.others {
		return t.check()
	}
	return Evidence{Scan: &t.Scan, secret: t.secrets}, nil
}

// check leaves vulnerabilities out.
func (t *trivyReport) check() (Evidence, error) {
	c := &Check{Scan: t.Scan, Passed: t.passed}
	c.Findings = nil
	c.Looked = nil
	for _, kind := range t.Looked {
		if kind != FindingVulnerability {
			c.looked(kind)
		}
	}
	for _, f := range t.Findings {
		if f.Kind != FindingVulnerability {
			c.Findings = append(c.Findings, f)
		}
	}
	if !t.others && c.Nothing == "" {
		c.Nothing = "no result of the report is about configuration, secrets or licenses"
	}
	c.judge()
	return Evidence{Check: c, Kind: EvidenceCheck, secret: t.secrets}, nil
}

// result reads one element of Results.
func (t *trivyReport) result() error {
	var class, target string
	first := len(t.Findings)
	packages := false
	err := t.r.element(func(name []byte) error {
		switch string(name) {
		case "Class":
			return t.r.string(&class)
		case "Target":
			return t.r.string(&target)
		case "Vulnerabilities":
			there, err := t.r.list(func() error { return t.finding(t.vulnerability, nil) })
			packages = packages || there
			return err
		case "Misconfigurations":
			_, err := t.r.list(func() error { return t.finding(t.misconfiguration, nil) })
			return err
		case "Secrets":
			t.secrets = true
			_, err := t.r.list(func() error { return t.finding(t.secret, nil) })
			return err
		case "Licenses":
			_, err := t.r.list(func() error { return t.finding(t.license, nil) })
			return err
		case "MisconfSummary":
			return t.r.object(func(name []byte) error {
				if string(name) != "Successes" {
					return nil
				}
				var passed int
				err := t.r.count(&passed)
				if err == nil && passed < 0 {
					err = t.r.wrong("%d checks passed", passed)
				}
				t.passed += passed // of each result
				return err
			})
		case "Packages":
			_, err := t.r.list(func() error { t.Packages++; return nil })
			return err
		case "ExperimentalModifiedFindings":
			_, err := t.r.list(t.modified)
			return err
		}
		return nil
	})
	packages = packages || strings.HasSuffix(class, "-pkgs")
	t.packages, t.osPackages = t.packages || packages, t.osPackages || class == "os-pkgs"
	t.others = t.others || !packages && class != ""
	if kind, known := trivyClasses[class]; known {
		t.looked(kind)
	}
	for i := first; i < len(t.Findings); i++ {
		f := &t.Findings[i]
		t.looked(f.Kind)
		switch {
		case len(f.Locations) == 0:
			f.Locations = keepUnique([]string{target}, "", maxLocations)
		case len(f.Locations) == 1 && strings.HasPrefix(f.Locations[0], ":"): // a line of the target
			f.Locations[0] = keepTrimmed(target+f.Locations[0], maxText)
		}
	}
	return err
}

// trivyClasses are what results are about.
var trivyClasses = map[string]FindingKind{
	"os-pkgs": FindingVulnerability, "lang-pkgs": FindingVulnerability, "config": FindingMisconfiguration, "secret": FindingSecret, "license": FindingLicense,
	"license-file": FindingLicense, "custom": FindingCheck,
}

// finding reads a finding and keeps it, unless its reader says that it is none.
func (t *trivyReport) finding(read func(f *Finding) (is bool, err error), s *Suppression) error {
	f := Finding{Suppressed: s}
	if is, err := read(&f); err != nil || !is {
		return err
	}
	f.FixState = trivyStates[f.FixState]
	return t.add(t.r.place, f)
}

// modified reads what an ignore file or VEX took away, if Trivy was told to
// show it. A tool's ignore file excuses nothing, so it counts.
func (t *trivyReport) modified() error {
	var kind string
	var s Suppression
	var raw []byte
	err := t.r.object(func(name []byte) (err error) {
		switch string(name) {
		case "Type":
			return t.r.string(&kind)
		case "Status":
			return t.r.string(&s.Reason)
		case "Source":
			return t.r.string(&s.By)
		case "Statement":
			var statement string
			err = t.r.string(&statement)
			s.Reason = strings.TrimPrefix(s.Reason+": "+oneLine(statement), ": ")
		case "Finding":
			raw, err = t.r.raw()
		}
		return err
	})
	if err != nil || raw == nil {
		return err
	}
	s.By, s.Reason = keep(s.By), strings.TrimSuffix(keep(s.Reason), ": ")
	outer := t.r
	t.r = readChecked(outer.place()+".Finding", raw)
	switch kind {
	case "vulnerability":
		err = t.finding(t.vulnerability, &s)
	case "misconfiguration":
		err = t.finding(t.misconfiguration, &s)
	case "secret":
		t.secrets = true
		err = t.finding(t.secret, &s)
	case "license":
		err = t.finding(t.license, &s)
	}
	t.r = outer
	t.note("the report shows findings that Trivy was told to ignore: they count")
	return err
}

// trivyStates maps Status to our states; what is missing here is unknown.
var trivyStates = map[string]string{
	"fixed": FixFixed, "affected": FixNotFixed, "will_not_fix": FixWontFix, "end_of_life": FixWontFix, "fix_deferred": FixDeferred,
}

func (t *trivyReport) vulnerability(f *Finding) (is bool, err error) {
	r := t.r
	var fixed, path string
	err = r.element(func(name []byte) error {
		switch string(name) {
		case "VulnerabilityID":
			return r.string(&f.ID)
		case "VendorIDs":
			return r.texts(&f.Aliases)
		case "PkgName":
			return r.string(&f.Package)
		case "PkgPath":
			return r.string(&path)
		case "PkgIdentifier":
			return r.object(func(name []byte) error {
				if string(name) == "PURL" {
					return r.string(&f.PURL)
				}
				return nil
			})
		case "InstalledVersion":
			return r.string(&f.Version)
		case "FixedVersion":
			return r.string(&fixed)
		case "Status":
			return r.string(&f.FixState)
		case "Severity":
			return r.string(&f.SaidSeverity)
		case "Title":
			return r.string(&f.Title)
		case "SeveritySource":
			return r.string(&f.Source)
		case "DataSource":
			return r.object(func(name []byte) error {
				if string(name) == "ID" && f.Source == "" {
					return r.string(&f.Source)
				}
				return nil
			})
		case "VendorSeverity":
			return t.vendorSeverity(f)
		case "CVSS":
			return t.cvss(f)
		}
		return nil
	})
	f.FixedVersions, f.Severity = splitVersions(fixed), NormalSeverity(f.SaidSeverity)
	if path != "" {
		f.Locations = []string{path}
	}
	return true, err
}

// trivyNumbers are the severities in Trivy's VendorSeverity.
var trivyNumbers = []Severity{SeverityUnknown, SeverityLow, SeverityMedium, SeverityHigh, SeverityCritical}

func (t *trivyReport) vendorSeverity(f *Finding) error {
	return t.r.object(func(source []byte) error {
		by := string(source)
		var number int
		err := t.r.count(&number)
		if number >= 0 && number < len(trivyNumbers) && len(f.Ratings) < maxRatings {
			f.Ratings = append(f.Ratings, Rating{Source: keep(by), Said: strconv.Itoa(number), Severity: trivyNumbers[number]})
		}
		return err
	})
}

func (t *trivyReport) cvss(f *Finding) error {
	r := t.r
	return r.object(func(source []byte) error {
		by := keep(string(source))
		ratings := [3]CVSS{{Version: "4.0"}, {Version: "3.1"}, {Version: "2.0"}}
		err := r.object(func(name []byte) error {
			switch string(name) {
			case "V40Vector":
				return r.string(&ratings[0].Vector)
			case "V40Score":
				return r.number(&ratings[0].Score)
			case "V3Vector":
				return r.string(&ratings[1].Vector)
			case "V3Score":
				return r.number(&ratings[1].Score)
			case "V2Vector":
				return r.string(&ratings[2].Vector)
			case "V2Score":
				return r.number(&ratings[2].Score)
			}
			return nil
		})
		for _, c := range ratings {
			if (c.Vector != "" || c.Score != 0) && len(f.CVSS) < maxRatings {
				c.Source = by
				f.CVSS = append(f.CVSS, c)
			}
		}
		return err
	})
}

// wrapTrivy keeps a report byte for byte in cosign's predicate, unless it says
// where secrets are: then only what was found is stated.
func wrapTrivy(file []byte, d Document) (string, []byte, error) {
	switch {
	case d.Evidence.Check != nil:
		return wrapCheck(file, d)
	case d.Original.Secret:
		return wrapVulns(file, d)
	}
	return wrapScan(file, d)
}
