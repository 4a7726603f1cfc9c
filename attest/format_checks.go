// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"slices"
)

// Reports of linters, and of scanners of code, configuration and secrets. None
// of them has a predicate type of its own; they become in-toto's test-result
// with the findings beside it. Who looks for tests does not take one for
// another: a statement with our member is a check.
// Source: github.com/in-toto/attestation/spec/predicates/test-result.md

// checkMember is ours, in predicates that the service writes.
const checkMember = "hallmark_check"

type checkPredicate struct {
	scanJSON
	Database string        `json:"database,omitempty"`
	Findings []findingJSON `json:"findings"`
	Finished string        `json:"finished,omitempty"`
	Nothing  string        `json:"nothing,omitempty"`
	Started  string        `json:"started,omitempty"`
	Version  string        `json:"version,omitempty"`
}

// judge sets the result. Nothing that was looked at is nothing that passed.
func (c *Check) judge() {
	warned, failed := c.names()
	switch {
	case len(failed) > 0 || c.Nothing != "":
		c.Result = TestsFailed
	case len(warned) > 0:
		c.Result = TestsWarned
	default:
		c.Result = TestsPassed
	}
}

// names are the findings that a result counts. What the tool was told to
// ignore is listed, and its result is without it.
func (c *Check) names() (warned, failed []string) {
	for i := range c.Findings {
		f := &c.Findings[i]
		name := f.ID
		if len(f.Locations) > 0 {
			name += " " + f.Locations[0]
		}
		switch {
		case f.Suppressed != nil:
		case f.Severity == SeverityHigh || f.Severity == SeverityCritical || f.Severity == SeverityUnknown:
			failed = append(failed, name)
		case f.Severity == SeverityMedium:
			warned = append(warned, name)
		}
	}
	return warned, failed
}

// wrapCheck makes the predicate.
func wrapCheck(_ []byte, d Document) (string, []byte, error) {
	c := d.Evidence.Check
	if err := checkWritten(c.Findings); err != nil {
		return "", nil, err
	}
	warned, failed := c.names()
	findings := make([]findingJSON, len(c.Findings))
	for i := range c.Findings {
		findings[i] = writeFinding(&c.Findings[i])
	}
	predicate, err := encodeJSON(struct {
		Configuration []string       `json:"configuration"`
		Failed        []string       `json:"failedTests,omitempty"`
		Check         checkPredicate `json:"hallmark_check"`
		Counts        any            `json:"hallmark_counts"`
		Result        string         `json:"result"`
		Warned        []string       `json:"warnedTests,omitempty"`
	}{
		[]string{}, head(failed), checkPredicate{
			c.written(), stamp(c.DatabaseAt), findings, stamp(c.FinishedAt), c.Nothing, stamp(c.StartedAt), c.ToolVersion,
		},
		countsJSON{Failed: len(failed), Passed: c.Passed, Warned: len(warned)}, c.Result, head(warned),
	})
	return testResultType, predicate, err
}

// head bounds the names that a predicate lists; the counts are whole.
func head(names []string) []string { return names[:min(len(names), maxTests)] }

// readCheck reads what wrapCheck writes.
func readCheck(top members, result string, passed int) (Evidence, error) {
	const place = "$." + checkMember
	var j struct {
		checkPredicate
		Findings json.RawMessage `json:"findings"`
	}
	if err := top.into(checkMember, &j); err != nil {
		return Evidence{}, err
	}
	c := &Check{Passed: passed}
	if err := c.restore(place, j.scanJSON); err != nil {
		return Evidence{}, err
	}
	c.ToolVersion, c.Nothing = keep(j.Version), keep(j.Nothing)
	var err error
	if c.StartedAt, err = timeAt(place+".started", j.Started); err != nil {
		return Evidence{}, err
	}
	if c.FinishedAt, err = timeAt(place+".finished", j.Finished); err != nil {
		return Evidence{}, err
	}
	if c.DatabaseAt, err = timeAt(place+".database", j.Database); err != nil {
		return Evidence{}, err
	}
	there, err := each(place+".findings", j.Findings, func(place string, one findingJSON) error {
		if err := one.check(place); err != nil {
			return err
		}
		return c.add(func() string { return place }, one.finding())
	})
	switch {
	case err != nil:
		return Evidence{}, err
	case !there:
		return Evidence{}, unreadable(place+".findings", "missing")
	}
	if c.judge(); c.Result != result {
		return Evidence{}, unreadable("$.result", "%s, and by the findings it is %s", quote(result), c.Result)
	}
	return Evidence{Check: c, Kind: EvidenceCheck}, nil
}

// evidence ends the readers of checks.
func (c *Check) evidence() Evidence {
	slices.Sort(c.Notes)
	c.judge()
	return Evidence{Check: c, Kind: EvidenceCheck}
}
