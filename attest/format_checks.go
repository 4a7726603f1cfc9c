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
	Database string          `json:"database,omitempty"`
	Findings json.RawMessage `json:"findings"`
	Finished string          `json:"finished,omitempty"`
	Nothing  string          `json:"nothing,omitempty"`
	Started  string          `json:"started,omitempty"`
	Version  string          `json:"version,omitempty"`
}

// judge sets the result. Nothing that was looked at is nothing that passed.
func (c *Check) judge() {
	warned, failed := c.names()
	switch {
	case failed.n > 0 || c.Nothing != "":
		c.Result = TestsFailed
	case warned.n > 0:
		c.Result = TestsWarned
	default:
		c.Result = TestsPassed
	}
}

// names counts the findings that a result counts, and names the first of them.
// What the tool was told to ignore is listed, and its result is without it.
func (c *Check) names() (warned, failed counted) {
	for i := range c.Findings {
		f := &c.Findings[i]
		switch {
		case f.Suppressed != nil:
		case f.Severity == SeverityHigh || f.Severity == SeverityCritical || f.Severity == SeverityUnknown:
			failed.add(f)
		case f.Severity == SeverityMedium:
			warned.add(f)
		}
	}
	return warned, failed
}

// counted are findings of which a predicate lists the first; the count is whole.
type counted struct {
	n    int
	head []string
}

func (c *counted) add(f *Finding) {
	if c.n++; c.n > maxTests {
		return
	}
	name := f.ID
	if len(f.Locations) > 0 {
		name += " " + f.Locations[0]
	}
	c.head = append(c.head, name)
}

// wrapCheck makes the predicate.
func wrapCheck(_ []byte, d Document) (string, []byte, error) {
	c := d.Evidence.Check
	if err := checkWritten(c.Findings); err != nil {
		return "", nil, err
	}
	warned, failed := c.names()
	findings, err := encodeList(c.Findings, writeFinding)
	if err != nil {
		return "", nil, err
	}
	predicate, err := withList(struct {
		Configuration []string       `json:"configuration"`
		Failed        []string       `json:"failedTests,omitempty"`
		Check         checkPredicate `json:"hallmark_check"`
		Counts        any            `json:"hallmark_counts"`
		Result        string         `json:"result"`
		Warned        []string       `json:"warnedTests,omitempty"`
	}{
		[]string{}, failed.head, checkPredicate{
			c.written(), stamp(c.DatabaseAt), empty, stamp(c.FinishedAt), c.Nothing, stamp(c.StartedAt), c.ToolVersion,
		},
		countsJSON{Failed: failed.n, Passed: c.Passed, Warned: warned.n}, c.Result, warned.head,
	}, "findings", findings)
	return testResultType, predicate, err
}

// readCheck reads what wrapCheck writes.
func readCheck(top members, result string, passed int) (Evidence, error) {
	const place = "$." + checkMember
	var j checkPredicate
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
