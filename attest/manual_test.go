// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestManual: docs/EVIDENCE.md names every format, and none that is not there.
func TestManual(t *testing.T) {
	raw, err := os.ReadFile("../docs/EVIDENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(raw)
	unknown := attest.CheckWanted("nothing").Error()
	_, list, _ := strings.Cut(unknown, "formats: ")
	for _, name := range strings.Split(strings.TrimSuffix(list, ")"), ", ") {
		if !strings.Contains(manual, "`"+name+"`") {
			t.Errorf("docs/EVIDENCE.md does not name %s", name)
		}
		if err := attest.CheckWanted(name); err != nil {
			t.Error(err)
		}
	}
	for line := range strings.Lines(manual) { // rows of formats begin with their names
		names, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(names, "`")
		if err := attest.CheckWanted(name); err != nil {
			t.Errorf("docs/EVIDENCE.md has a row for %s: %v", name, err)
		}
	}
}
