// SPDX-License-Identifier: Apache-2.0

package attest

// Test results: in-toto's predicate test-result v0.1, which JUnit's XML becomes,
// too.
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
		name: "test-result", kind: EvidenceTest, kinds: []EvidenceKind{EvidenceCheck}, types: []string{testResultType}, others: map[EvidenceKind]string{EvidenceCheck: testResultType},
		is: func(d *document) bool { return !d.list && d.has("result") && mentions(d.members, "configuration") }, read: readTestResult,
	}
}

func readTestResult(d *document) (Evidence, error) {
	t := &TestResult{}
	if err := d.into("result", &t.Result); err != nil {
		return Evidence{}, err
	}
	if t.Result != TestsPassed && t.Result != TestsWarned && t.Result != TestsFailed {
		return Evidence{}, unreadable("$.result", "%s, want PASSED, WARNED or FAILED", quote(t.Result))
	}
	for _, m := range []struct {
		name string
		to   *int
	}{{"passedTests", &t.Passed}, {"warnedTests", &t.Warned}, {"failedTests", &t.Failed}} {
		r := d.reader(m.name)
		if _, err := r.list(func() error {
			if *m.to++; *m.to > maxItems {
				return r.wrong("more than %d entries", maxItems)
			}
			return nil
		}); err != nil {
			return Evidence{}, err
		}
	}
	var counts countsJSON // of a file that was too long to list
	if err := d.into(countsMember, &counts); err != nil {
		return Evidence{}, err
	}
	t.Passed, t.Warned, t.Failed = max(t.Passed, counts.Passed), max(t.Warned, counts.Warned), max(t.Failed, counts.Failed)
	if t.Result == TestsPassed && t.Failed > 0 {
		return Evidence{}, unreadable("$.failedTests", "%d failed tests, and the result is PASSED", t.Failed)
	}
	if d.has(checkMember) {
		return readCheck(d.members, t.Result, t.Passed)
	}
	return Evidence{Test: t}, nil
}

const (
	// maxTests bounds the names that the predicate lists; the counts are whole.
	maxTests = 1000
	// maxXMLDepth bounds nested elements: test suites, components.
	maxXMLDepth = 32
)

// countsMember is ours: SLSA's and in-toto's predicates keep names with a
// vendor's prefix free for extensions.
const countsMember = "hallmark_counts"

type countsJSON struct {
	Failed  int `json:"failed"`
	Passed  int `json:"passed"`
	Skipped int `json:"skipped"`
	Warned  int `json:"warned,omitempty"`
}
