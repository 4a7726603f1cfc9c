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
		is:   func(d *document) bool { return !d.list && has(d.members, "runs") && d.has("version") },
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

// sarifScanners look for vulnerabilities of packages.
var sarifScanners = []string{"trivy", "grype", "snyk", "clair", "osv-scanner", "anchore", "docker scout", "jfrog xray", "dependency-check", "govulncheck"}

// sarifOthers are their makers' programs that look at code and configuration.
var sarifOthers = []string{"snykcode", "snyk code", "snyk iac", "snyk infrastructure"}

// isSARIFScanner tells whether a tool looks for vulnerabilities of packages.
func isSARIFScanner(tool string) bool {
	begins := func(known string) bool { return strings.HasPrefix(tool, known) }
	return slices.ContainsFunc(sarifScanners, begins) && !slices.ContainsFunc(sarifOthers, begins)
}

// sarifSecrets are words in the names of tools and rules that are about secrets:
// such results quote the line, and so the secret.
var sarifSecrets = []string{
	"secret", "credential", "password", "passwd", "gitleaks", "trufflehog", "gitguardian", "ggshield", "nosey", "kingfisher", "cwe-798", "cwe-259", "cwe-321", "api-key", "apikey", "private-key", "token",
}

func saysSecret(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		name = strings.ToLower(name)
		return slices.ContainsFunc(sarifSecrets, func(word string) bool { return strings.Contains(name, word) })
	})
}

// sarifReport is what has been read.
type sarifReport struct {
	Check
	r *jsonReader
	// scanner: some run is of one that looks for vulnerabilities; others: some
	// is not, or has looked for something else.
	scanner, others bool
	secret          bool // a result may quote one
	finished        []time.Time
	digests         []string
	run             sarifRun
}

// sarifRun is the run that is being read. Rules may come after results.
type sarifRun struct {
	tool, version string
	rules         []sarifRule
	byID          map[string]int
	results       []byte
	failed        bool
}

// maxTags bounds the tags of a rule. Those of real ones are about ten.
const maxTags = 256

type sarifRule struct {
	id, title, level, score string
	tags, purls             []string
	cvss                    []CVSS
}

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
			return Evidence{}, unreadable("$.runs[0].tool.driver.name", "%s is not known to look for vulnerabilities of packages, want one of %s", quote(s.Tool), strings.Join(sarifScanners, ", "))
		}
		if len(s.Findings) == 0 && s.Nothing == "" {
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
	if s.r.peek() != '{' {
		return s.r.want("an object")
	}
	place := s.r.place()
	err := s.r.object(func(name []byte) error {
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
	tool := strings.ToLower(run.tool)
	isScanner := isSARIFScanner(tool)
	if s.Tool == "" {
		s.Tool, s.ToolVersion = keep(tool), keep(run.version)
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
	s.scanner = s.scanner || vulnerabilities > 0 || isScanner
	s.others = s.others || found > vulnerabilities && vulnerabilities == 0 || !isScanner && vulnerabilities == 0
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
			return r.object(func(name []byte) error { return s.ruleProperty(&rule, string(name)) })
		}
		return nil
	})
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
	r := s.r
	switch name {
	case "security-severity":
		return s.scalar(&rule.score)
	case "tags": // which are looked through for each result
		if err := r.texts(&rule.tags); err != nil || len(rule.tags) <= maxTags {
			return err
		}
		return r.wrong("more than %d tags", maxTags)
	case "purls":
		return r.texts(&rule.purls)
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
		return s.r.string(&s.Target)
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
