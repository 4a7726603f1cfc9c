// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// held is a test that a document names: `signer/identity: TestTimes`.
var held = regexp.MustCompile("`([a-z0-9/]+): ((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestThreats: the tests that are said to hold an attack are there.
func TestThreats(t *testing.T) {
	raw, err := os.ReadFile(root + "/docs/THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	all := held.FindAllStringSubmatch(string(raw), -1)
	if len(all) == 0 {
		t.Fatal("no test is named: the expression is wrong")
	}
	sources := map[string]string{}
	for _, m := range all {
		folder, name := m[1], m[2]
		if _, read := sources[folder]; !read {
			sources[folder] = testSources(t, folder)
		}
		if !strings.Contains(sources[folder], "\nfunc "+name+"(") {
			t.Errorf("%s has no %s", folder, name)
		}
	}
}

// testSources returns the text of all test files of a package.
func testSources(t *testing.T, folder string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}
