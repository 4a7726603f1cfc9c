// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SARIF 2.1.0 of any tool. What a vulnerability scanner writes is a scan, what
// anybody else writes is a check. A run without results has none to show; a run
// with an empty list has found nothing, and does not say what it looked at.
//
// A level is how a finding is to be shown: error is high and critical alike.
// So the severity of a vulnerability is its security-severity, a number, and
// without one it is unknown. A check has its level.
// Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/

const sarifVersion = "2.1.0"

func sarifFormat() format {
	return format{
		name: "sarif", kind: EvidenceCheck, kinds: []EvidenceKind{EvidenceScan}, media: "application/sarif+json",
		is:   func(d *document) bool { return !d.list && mentions(d.members, "runs") && d.has("version") },
		read: readSARIF, wrap: wrapFindings,
	}
}

// wrapFindings states what was found, and not the report.
func wrapFindings(file []byte, d Document) (string, []byte, error) {
	if d.Evidence.Scan != nil {
		return wrapVulns(file, d)
	}
	return wrapCheck(file, d)
}

// sarifSecrets are words in the names of tools and rules that are about secrets:
// such results quote the line, and so the secret.
var sarifSecrets = append(programsFor(reportSecrets),
	"secret", "credential", "password", "passwd", "cwe-798", "cwe-259", "cwe-321", "api-key", "apikey", "private-key", "token")

func saysSecret(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(sarifSecrets, func(word string) bool { return strings.Contains(name, word) })
}

// sarifReport is what has been read.
type sarifReport struct {
	Check
	r *jsonReader
	// scanner: some run is of one that looks for vulnerabilities; others: some
	// is not, or has looked for something else. packages: one says that it has
	// looked at packages.
	scanner, others, packages bool
	secret                    bool // a result may quote one
	finished                  []time.Time
	digests                   []string
	run                       sarifRun
}

// sarifRun is the run that is being read. Rules may come after results.
type sarifRun struct {
	tool, version string
	image         string // that was looked at, by Trivy
	rules         []sarifRule
	byID          map[string]int
	results       []byte
	failed        bool
	// scanner: of one for vulnerabilities; secret: of one for secrets.
	scanner, secret bool
}

// sarifRule is what results need to know of a rule. What its tags say is decided
// once, and not for each of its results.
type sarifRule struct {
	id, title, level, score string
	cvss                    []CVSS
	// of is what it is about, if that is no vulnerability.
	of FindingKind
	// said and severity are the tool's own word, if a tag is one.
	said     string
	severity Severity
	// secret: its results may quote one; vulnerability: its tags say so.
	secret, vulnerability bool
	// packaged: it is about a package, whose URL is purl.
	packaged bool
	purl     string
}

// decide ends the reading of a rule.
func (rule *sarifRule) decide(tags, purls []string) {
	rule.of, rule.secret = FindingCheck, saysSecret(rule.title)
	for _, tag := range tags {
		rule.secret = rule.secret || saysSecret(tag)
		rule.vulnerability = rule.vulnerability || strings.EqualFold(tag, "vulnerability")
		if s := NormalSeverity(tag); s != SeverityUnknown { // Trivy's own word is one of them
			rule.said, rule.severity = tag, s
		}
		if kind := sarifKinds[strings.ToLower(tag)]; kind != "" && rule.of == FindingCheck {
			rule.of = kind
		}
	}
	if len(purls) > 0 {
		rule.packaged, rule.purl = true, purls[0]
	}
}

// sarifKinds are tags that say what a rule is about.
var sarifKinds = map[string]FindingKind{"secret": FindingSecret, "misconfiguration": FindingMisconfiguration, "license": FindingLicense}

func readSARIF(d *document) (Evidence, error) {
	if version := d.text("version"); version != sarifVersion {
		return Evidence{}, unreadable("$.version", "%s, want %s", quote(version), sarifVersion)
	}
	s := &sarifReport{r: d.reader("runs")}
	runs := 0
	there, err := s.r.list(func() error { runs++; return s.readRun() })
	switch {
	case err != nil:
		return Evidence{}, err
	case !there || runs == 0:
		return Evidence{}, unreadable("$.runs", "missing: nothing was run")
	}
	s.named(s.digests)
	for _, at := range s.finished { // a report is as old as its oldest part
		s.FinishedAt = older(s.FinishedAt, at)
	}
	want := EvidenceKind(d.want)
	if want == EvidenceScan || want != EvidenceCheck && s.scanner && !s.others {
		if !s.scanner {
			return Evidence{}, unreadable("$.runs[0].tool.driver.name", "%s is not known to look for vulnerabilities of packages, want one of %s", quote(s.Tool), scanners())
		}
		switch {
		case s.Nothing != "":
		case !s.packages:
			s.Nothing = "SARIF of Trivy, if it is not of an image, does not say that packages were looked at; --type check reads it as a report on something else"
		case len(s.Findings) == 0:
			s.note("SARIF does not say what was looked at: prefer the scanner's own JSON")
		}
		return Evidence{Scan: &s.Scan, Kind: EvidenceScan, secret: s.secret}, nil
	}
	ev := s.evidence()
	ev.secret = s.secret
	return ev, nil
}

func (s *sarifReport) readRun() error {
	s.run = sarifRun{byID: make(map[string]int)}
	place := s.r.place()
	err := s.r.element(func(name []byte) error {
		switch string(name) {
		case "tool":
			return s.r.object(func(name []byte) error {
				switch string(name) {
				case "driver":
					return s.component(true)
				case "extensions":
					_, err := s.r.list(func() error { return s.component(false) })
					return err
				}
				return nil
			})
		case "results":
			var err error
			s.run.results, err = s.r.raw()
			return err
		case "invocations":
			_, err := s.r.list(s.invocation)
			return err
		case "properties":
			return s.r.object(s.property)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.endRun(place)
}

// endRun reads the results, with all rules at hand.
func (s *sarifReport) endRun(place string) error {
	run := &s.run
	if run.tool == "" {
		return unreadable(place+".tool.driver.name", "missing")
	}
	tool := toolName(run.tool)
	run.scanner, run.secret = isScanner(tool), saysSecret(tool)
	if s.Tool == "" {
		s.Tool, s.ToolVersion = tool, keep(run.version)
	} else if s.Tool != tool {
		s.note("also of " + oneLine(tool))
	}
	if run.results == nil {
		run.results = []byte("null")
	}
	outer := s.r
	s.r = readChecked(place+".results", run.results)
	before := len(s.Findings)
	there, err := s.r.list(func() error { return s.result(tool) })
	s.r = outer
	switch {
	case err != nil:
		return err
	case run.failed:
		s.Nothing = "a run was not successful"
	case !there:
		s.Nothing = "a run has no results"
	}
	vulnerabilities := 0
	for _, f := range s.Findings[before:] {
		if f.Kind == FindingVulnerability {
			vulnerabilities++
		}
	}
	found := len(s.Findings) - before
	// Trivy is one program for packages, configuration and secrets, and its SARIF
	// is the same for all: only of an image can nothing found mean packages.
	s.packages = s.packages || vulnerabilities > 0 || run.scanner && (tool != "trivy" || run.image != "")
	s.scanner = s.scanner || vulnerabilities > 0 || run.scanner
	s.others = s.others || found > vulnerabilities && vulnerabilities == 0 || !run.scanner && vulnerabilities == 0
	return nil
}

// component reads the driver, or an extension of it: its rules follow.
func (s *sarifReport) component(driver bool) error {
	var name, version, semantic string
	err := s.r.object(func(member []byte) error {
		switch string(member) {
		case "name":
			return s.r.string(&name)
		case "version":
			return s.r.string(&version)
		case "semanticVersion":
			return s.r.string(&semantic)
		case "rules":
			_, err := s.r.list(s.rule)
			return err
		}
		return nil
	})
	if driver {
		s.run.tool, s.run.version = name, cmp.Or(version, semantic)
	}
	return err
}

func (s *sarifReport) rule() error {
	r, rule := s.r, sarifRule{}
	var tags, purls []string
	if len(s.run.rules) == maxItems {
		return r.wrong("more than %d rules", maxItems)
	}
	err := r.object(func(name []byte) error {
		switch string(name) {
		case "id":
			return r.string(&rule.id)
		case "shortDescription":
			return s.message(&rule.title)
		case "defaultConfiguration":
			return r.object(func(name []byte) error {
				if string(name) == "level" {
					return r.string(&rule.level)
				}
				return nil
			})
		case "properties":
			return r.object(func(name []byte) error {
				switch string(name) {
				case "tags":
					return r.texts(&tags)
				case "purls":
					return r.texts(&purls)
				}
				return s.ruleProperty(&rule, string(name))
			})
		}
		return nil
	})
	rule.decide(tags, purls)
	if _, twice := s.run.byID[rule.id]; !twice {
		s.run.byID[rule.id] = len(s.run.rules)
	}
	s.run.rules = append(s.run.rules, rule)
	return err
}

func (s *sarifReport) message(to *string) error {
	return s.r.object(func(name []byte) error {
		if string(name) == "text" {
			return s.r.string(to)
		}
		return nil
	})
}

// sarifVectors are the properties with CVSS in rules of Trivy and others.
var sarifVectors = map[string]string{"cvssv2": "2.0", "cvssv3": "3.1", "cvssv40": "4.0"}

func (s *sarifReport) ruleProperty(rule *sarifRule, name string) error {
	if name == "security-severity" {
		return s.scalar(&rule.score)
	}
	scale, rest, _ := strings.Cut(strings.ToLower(name), "_")
	version := sarifVectors[scale]
	if version == "" || (rest != "vector" && rest != "score" && rest != "basescore") {
		return nil
	}
	var text string
	if err := s.scalar(&text); err != nil {
		return err
	}
	at := slices.IndexFunc(rule.cvss, func(c CVSS) bool { return c.Version == version })
	if at < 0 {
		at = len(rule.cvss)
		rule.cvss = append(rule.cvss, CVSS{Version: version})
	}
	if rest == "vector" {
		rule.cvss[at].Vector = text
	} else {
		rule.cvss[at].Score = scoreOf(text)
	}
	return nil
}

// scalar reads a text, or a number as one.
func (s *sarifReport) scalar(to *string) error {
	if c := s.r.peek(); c != '-' && (c < '0' || c > '9') {
		return s.r.string(to)
	}
	digits, err := s.r.digits()
	*to = string(digits)
	return err
}

func (s *sarifReport) invocation() error {
	successful := true
	var started, ended string
	err := s.r.object(func(name []byte) error {
		switch string(name) {
		case "executionSuccessful":
			return s.r.bool(&successful)
		case "startTimeUtc":
			return s.r.string(&started)
		case "endTimeUtc":
			return s.r.string(&ended)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.run.failed = s.run.failed || !successful
	at, err := timeAt(s.r.place()+".startTimeUtc", started)
	if err != nil {
		return err
	}
	s.StartedAt = older(s.StartedAt, at)
	if at, err = timeAt(s.r.place()+".endTimeUtc", ended); err == nil && !at.IsZero() {
		s.finished = append(s.finished, at)
	}
	return err
}

// property reads what Trivy says of the image.
func (s *sarifReport) property(name []byte) error {
	switch string(name) {
	case "imageName":
		err := s.r.string(&s.run.image)
		s.Target = s.run.image
		return err
	case "repoDigests":
		var all []string
		err := s.r.texts(&all)
		for _, reference := range all {
			if digest := digestIn(reference); digest != "" && len(s.digests) < maxDigests {
				s.digests = append(s.digests, digest)
			}
		}
		return err
	}
	return nil
}

// sarifID are ids of vulnerabilities; Grype's have the package behind them.
var sarifID = regexp.MustCompile(`^((?i:CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}|(?:ALAS|ALPINE|DLA|DSA|ELSA|GMS|GO|OSV|PYSEC|RHSA|RUSTSEC|TEMP|USN)-[0-9A-Za-z:.]+(?:-[0-9A-Za-z]+)?))(?:-(.+))?$`)
