// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Test results: in-toto's predicate test-result v0.1, and JUnit's XML, which
// becomes one. JUnit has no specification; what Jenkins, Gradle, pytest and
// gotestsum write has test cases inside test suites, with an element failure,
// error or skipped in those that did not pass.
// Source: github.com/in-toto/attestation/spec/predicates/test-result.md

const testResultType = "https://in-toto.io/attestation/test-result/v0.1"

// The results of a test run.
const (
	TestsPassed = "PASSED"
	TestsWarned = "WARNED"
	TestsFailed = "FAILED"
)

func testResultFormat() format {
	return format{
		name: "test-result", kind: EvidenceTest, types: []string{testResultType},
		is: func(top members) bool { return top.has("result") && has(top, "configuration") }, read: readTestResult,
	}
}

func readTestResult(top members) (Evidence, error) {
	t := &TestResult{}
	if err := top.into("result", &t.Result); err != nil {
		return Evidence{}, err
	}
	if t.Result != TestsPassed && t.Result != TestsWarned && t.Result != TestsFailed {
		return Evidence{}, unreadable("$.result", "%s, want PASSED, WARNED or FAILED", quote(t.Result))
	}
	for name, n := range map[string]*int{"passedTests": &t.Passed, "warnedTests": &t.Warned, "failedTests": &t.Failed} {
		if _, err := each("$."+name, top[name], func(string, string) error { *n++; return nil }); err != nil {
			return Evidence{}, err
		}
	}
	var counts struct{ Passed, Failed int } // of a file that was too long to list
	if err := top.into(countsMember, &counts); err != nil {
		return Evidence{}, err
	}
	t.Passed, t.Failed = max(t.Passed, counts.Passed), max(t.Failed, counts.Failed)
	if t.Result == TestsPassed && t.Failed > 0 {
		return Evidence{}, unreadable("$.failedTests", "%d failed tests, and the result is PASSED", t.Failed)
	}
	return Evidence{Test: t}, nil
}

const (
	// maxTests bounds the names that the predicate lists; the counts are whole.
	maxTests = 1000
	// maxXMLDepth bounds nested test suites.
	maxXMLDepth = 32
)

// countsMember is ours: SLSA's and in-toto's predicates keep names with a
// vendor's prefix free for extensions.
const countsMember = "hallmark_counts"

// junit collects what a JUnit file says.
type junit struct {
	passed, failed, skipped int
	failures                []string
	depth                   int
	suites                  int
	name, outcome           string // of the test case that is open
	inCase                  bool
}

// readJUnit reads a JUnit file as a stream: it is counted, never kept.
func readJUnit(file []byte) (Document, error) {
	dec := xml.NewDecoder(strings.NewReader(string(file)))
	dec.Strict = true
	var j junit
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		line, _ := dec.InputPos()
		if err == nil {
			err = j.take(token)
		}
		if err != nil {
			return Document{}, &FormatError{Format: "junit", Place: fmt.Sprintf("line %d", line), Want: err.Error()}
		}
	}
	if j.suites == 0 {
		return Document{}, &FormatError{Format: "junit", Want: "no test suite in it"}
	}
	return j.document()
}

func (j *junit) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.Directive:
		return errors.New("document types and entities are not read")
	case xml.StartElement:
		if j.depth++; j.depth > maxXMLDepth {
			return fmt.Errorf("nested deeper than %d", maxXMLDepth)
		}
		return j.start(t)
	case xml.EndElement:
		j.depth--
		if t.Name.Local == "testcase" && j.inCase {
			j.end()
		}
	}
	return nil
}

func (j *junit) start(t xml.StartElement) error {
	name := t.Name.Local
	switch {
	case j.depth == 1 && name != "testsuites" && name != "testsuite":
		return fmt.Errorf("the document is a %s, want testsuites or testsuite", quote(name))
	case name == "testsuite":
		j.suites++
	case name == "testcase":
		j.inCase, j.outcome, j.name = true, "", ""
		for _, a := range t.Attr {
			switch a.Name.Local {
			case "classname":
				j.name = a.Value + "." + j.name
			case "name":
				j.name += a.Value
			}
		}
	case j.inCase && (name == "failure" || name == "error"):
		j.outcome = "failed"
	case j.inCase && name == "skipped" && j.outcome == "":
		j.outcome = "skipped"
	}
	return nil
}

func (j *junit) end() {
	j.inCase = false
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
}

// document makes the predicate. A run without a single test that passed has
// shown nothing, so it has not passed.
func (j *junit) document() (Document, error) {
	result := TestsPassed
	if j.failed > 0 || j.passed == 0 {
		result = TestsFailed
	}
	predicate, err := json.Marshal(struct {
		Result        string   `json:"result"`
		Configuration []string `json:"configuration"`
		FailedTests   []string `json:"failedTests,omitempty"`
		Counts        any      `json:"hallmark_counts"`
	}{result, []string{}, j.failures, map[string]int{"passed": j.passed, "failed": j.failed, "skipped": j.skipped}})
	if err != nil {
		return Document{}, err
	}
	return Document{PredicateType: testResultType, Predicate: predicate, Evidence: Evidence{
		Kind: EvidenceTest, Format: "junit", Test: &TestResult{Result: result, Passed: j.passed, Failed: j.failed},
	}}, nil
}
