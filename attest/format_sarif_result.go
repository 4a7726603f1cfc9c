// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// sarifResult is one result as it is written.
type sarifResult struct {
	ruleID, level, kind, text string
	ruleIndex                 int
	locations                 []string
	suppressed                *Suppression
}

// result reads one result and keeps its finding.
func (s *sarifReport) result(tool string) error {
	r, one := s.r, sarifResult{ruleIndex: -1}
	err := r.element(func(name []byte) error {
		switch string(name) {
		case "ruleId":
			return r.string(&one.ruleID)
		case "ruleIndex":
			return r.count(&one.ruleIndex)
		case "rule":
			return r.object(func(name []byte) error {
				switch string(name) {
				case "id":
					return r.string(&one.ruleID)
				case "index":
					return r.count(&one.ruleIndex)
				}
				return nil
			})
		case "level":
			return r.string(&one.level)
		case "kind":
			return r.string(&one.kind)
		case "message":
			return s.message(&one.text)
		case "locations":
			_, err := r.list(func() error { return s.location(&one) })
			return err
		case "suppressions":
			_, err := r.list(func() error { return s.suppression(&one) })
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	switch one.kind {
	case "pass":
		s.Passed++
		return nil
	case "notApplicable", "informational":
		return nil
	}
	rule := s.ruleOf(&one)
	f := one.finding(rule, s.isVulnerability(rule, one.ruleID))
	if f.Kind != FindingVulnerability {
		s.secret = s.secret || s.run.secret || rule.secret || saysSecret(one.ruleID)
	}
	f.Tool = tool
	return s.add(r.place, f)
}

// ruleOf finds a result's rule, by its place in the list if there is one, or
// by its id; a hierarchical id ("CA1000/1") is of the rule in front.
func (s *sarifReport) ruleOf(one *sarifResult) *sarifRule {
	if i := one.ruleIndex; i >= 0 && i < len(s.run.rules) && (one.ruleID == "" || s.run.rules[i].id == one.ruleID) {
		one.ruleID = s.run.rules[i].id
		return &s.run.rules[i]
	}
	for id, steps := one.ruleID, 0; id != "" && steps < maxRuleSteps; steps++ {
		if i, ok := s.run.byID[id]; ok {
			return &s.run.rules[i]
		}
		cut := strings.LastIndexByte(id, '/')
		if cut < 0 {
			break
		}
		id = id[:cut]
	}
	return &sarifRule{of: FindingCheck}
}

// maxRuleSteps bounds the steps of a hierarchical id that are looked up.
const maxRuleSteps = 16

// isVulnerability tells a vulnerability of a package from what code scanners
// find.
func (s *sarifReport) isVulnerability(rule *sarifRule, id string) bool {
	return rule.packaged || sarifID.MatchString(id) || rule.vulnerability && s.run.scanner
}

func (s *sarifReport) location(one *sarifResult) error {
	var uri string
	line := 0
	r := s.r
	err := r.object(func(name []byte) error {
		if string(name) != "physicalLocation" {
			return nil
		}
		return r.object(func(name []byte) error {
			switch string(name) {
			case "artifactLocation":
				return r.object(func(name []byte) error {
					if string(name) == "uri" {
						return r.string(&uri)
					}
					return nil
				})
			case "region":
				return r.object(func(name []byte) error {
					if string(name) == "startLine" {
						return r.count(&line)
					}
					return nil
				})
			}
			return nil
		})
	})
	if uri != "" && len(one.locations) < maxLocations {
		if line > 0 {
			uri += ":" + strconv.Itoa(line)
		}
		one.locations = append(one.locations, uri)
	}
	return err
}

// suppression reads one; those that are under review or rejected suppress
// nothing.
func (s *sarifReport) suppression(one *sarifResult) error {
	var kind, status, justification string
	err := s.r.object(func(name []byte) error {
		switch string(name) {
		case "kind":
			return s.r.string(&kind)
		case "status":
			return s.r.string(&status)
		case "justification":
			return s.r.string(&justification)
		}
		return nil
	})
	if status == "" || status == "accepted" {
		one.suppressed = &Suppression{By: keep(cmp.Or(kind, "suppression")), Reason: oneLine(justification)}
	}
	return err
}

// finding says the result in the terms of all tools.
func (one *sarifResult) finding(rule *sarifRule, vulnerability bool) Finding {
	f := Finding{
		Kind: FindingCheck, ID: one.ruleID, Title: rule.title, Locations: one.locations, Suppressed: one.suppressed, CVSS: slices.Clone(rule.cvss), Coarse: true,
	}
	level := cmp.Or(one.level, rule.level, "warning")
	score := scoreOf(rule.score)
	switch {
	case score > 0:
		f.SaidSeverity, f.Severity, f.Score = rule.score, scoredSeverity(score), score
	case vulnerability:
		f.SaidSeverity, f.Severity = cmp.Or(rule.said, level), rule.severity
	default:
		f.SaidSeverity, f.Severity = level, levelSeverity(level)
	}
	if !vulnerability {
		f.CVSS, f.Kind = nil, rule.of
		return f
	}
	f.Kind = FindingVulnerability
	one.readText(&f)
	if m := sarifID.FindStringSubmatch(f.ID); m != nil && m[2] != "" {
		f.ID, f.Package = m[1], cmp.Or(f.Package, m[2])
	}
	if rule.packaged {
		f.PURL = rule.purl
		if p, ok := parsePURL(f.PURL); ok {
			f.Package, f.Version = cmp.Or(f.Package, p.name), cmp.Or(f.Version, p.version)
		}
	}
	return f
}

// readText takes the package out of a message as Trivy writes it, for want of
// members: lines of "Package: openssl".
func (one *sarifResult) readText(f *Finding) {
	for line := range strings.Lines(one.text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		switch name {
		case "Package":
			f.Package = value
		case "Installed Version":
			f.Version = value
		case "Fixed Version":
			f.FixedVersions = splitVersions(value)
		}
	}
}
