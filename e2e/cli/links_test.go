// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks: what a document points to is there.
func TestLinks(t *testing.T) {
	seen := 0
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
				t.Errorf("%s points to %s, which is not there", filepath.Base(path), target)
			}
		}
	}
	if seen == 0 {
		t.Error("no document points to another: the expression is wrong")
	}
}

// TestDemo: what the README says of the end of `make demo` is what it says.
func TestDemo(t *testing.T) {
	source, err := os.ReadFile(root + "/internal/demo/main.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, f := range fences(t, "text") {
		if filepath.Base(f.file) != "README.md" {
			continue
		}
		shown++
		if line := strings.TrimSpace(f.text); !strings.Contains(string(source), `"`+line+`"`) {
			t.Errorf("%s: the demo does not say %q", f, line)
		}
	}
	if shown != 1 {
		t.Errorf("the README shows %d texts", shown)
	}
}
