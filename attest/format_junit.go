// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// JUnit's XML. It has no specification; what Jenkins, Gradle, pytest and
// gotestsum write has test cases inside test suites, with an element failure,
// error or skipped in those that did not pass. A statement counts them and names
// those that failed, and holds nothing of what they print, which may be anything;
// the service keeps the file itself beside the image.

const junitName = "junit"

func junitFormat() format {
	return format{name: junitName, kind: EvidenceTest, media: "application/xml"}
}

// junit collects what a JUnit file says.
type junit struct {
	x                       *xmlReader
	passed, failed, skipped int
	failures                []string
	suites                  int
	declared                int    // failures and errors that a suite says it has
	name, outcome           string // of the test case that is open
	inCase                  int    // depth of the test case that is open; 0: none
}

func readJUnit(file []byte) (Document, error) {
	j := &junit{x: readXMLTokens(bytes.NewReader(file))}
	err := j.x.walk(j.start, func([]byte) error { return nil }, j.end)
	if err == nil && j.suites == 0 {
		err = &FormatError{Want: "no test suite in it"}
	}
	if err != nil {
		return Document{}, inFormat(err, junitName)
	}
	return j.document()
}

func (j *junit) start(t xml.StartElement) error {
	switch name := t.Name.Local; {
	case name == "testsuite", name == "testsuites":
		if name == "testsuite" {
			j.suites++
		}
		j.declared = max(j.declared, countIn(t, "failures")+countIn(t, "errors"))
	case name == "testcase" && j.inCase > 0:
		return fmt.Errorf("a test case in a test case")
	case name == "testcase":
		j.inCase, j.outcome, j.name = len(j.x.names), "", attribute(t, "name")
		if class := attribute(t, "classname"); class != "" {
			j.name = class + "." + j.name
		}
	case j.inCase == 0 && (name == "failure" || name == "error"): // of a suite that did not even start
		j.declared = max(j.declared, 1)
	case j.inCase > 0 && (name == "failure" || name == "error"):
		j.outcome = "failed"
	case j.inCase > 0 && name == "skipped" && j.outcome == "":
		j.outcome = "skipped"
	}
	return nil
}

func (j *junit) end(name string) error {
	if name != "testcase" || len(j.x.names) != j.inCase {
		return nil
	}
	j.inCase = 0
	switch j.outcome {
	case "failed":
		if j.failed++; len(j.failures) < maxTests {
			j.failures = append(j.failures, keep(strings.ToValidUTF8(j.name, "")))
		}
	case "skipped":
		j.skipped++
	default:
		j.passed++
	}
	return nil
}

// countIn is a number of a suite's attribute; 0 if there is none that says more.
func countIn(t xml.StartElement, name string) int {
	n, err := strconv.ParseUint(strings.TrimSpace(attribute(t, name)), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// document makes the predicate. A run without a single test that passed has
// shown nothing, so it has not passed.
func (j *junit) document() (Document, error) {
	if j.failed == 0 { // the test cases do not show what the suites count
		j.failed = j.declared
	}
	result := TestsPassed
	if j.failed > 0 || j.passed == 0 {
		result = TestsFailed
	}
	predicate, err := encodeJSON(struct {
		Configuration []string   `json:"configuration"`
		FailedTests   []string   `json:"failedTests,omitempty"`
		Counts        countsJSON `json:"hallmark_counts"`
		Result        string     `json:"result"`
	}{[]string{}, j.failures, countsJSON{Failed: j.failed, Passed: j.passed, Skipped: j.skipped}, result})
	if err != nil {
		return Document{}, err
	}
	return Document{
		PredicateType: testResultType, Predicate: predicate, Original: Original{MediaType: junitFormat().media},
		Evidence: Evidence{Kind: EvidenceTest, Format: junitName, Test: &TestResult{Result: result, Passed: j.passed, Failed: j.failed}},
	}, nil
}
