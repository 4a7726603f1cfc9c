// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io/fs"
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

// named is a test that a document names in whatever way.
var named = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]+`)

// TestThreatsAreHeld: every attack that is said to be stopped names a test, and
// no document names one that is nowhere.
func TestThreatsAreHeld(t *testing.T) {
	raw, err := os.ReadFile(root + "/docs/THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	everywhere := allTests(t)
	for _, name := range named.FindAllString(string(raw), -1) {
		if !everywhere[name] {
			t.Errorf("docs/THREATS.md names %s, which is no test", name)
		}
	}
	_, stopped, found := strings.Cut(string(raw), "\n## Stopped\n")
	stopped, _, ended := strings.Cut(stopped, "\n## ")
	if !found || !ended {
		t.Fatal("docs/THREATS.md has no section Stopped")
	}
	attacks := 0
	for _, line := range strings.Split(stopped, "\n") {
		attack, by, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow || !strings.HasPrefix(line, "| ") || attack == "attack" {
			continue
		}
		attacks++
		if !named.MatchString(by) {
			t.Errorf("nothing is said to hold: %s", attack)
		}
	}
	if attacks < 30 {
		t.Errorf("%d attacks were found: the table has another form", attacks)
	}
}

// allTests are the names of all tests and fuzz targets of the repository.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		raw, err := fs.ReadFile(tree, path)
		for _, m := range function.FindAllSubmatch(raw, -1) {
			all[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
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
