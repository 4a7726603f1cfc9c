// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// othersWords are texts that a client's TUF library says, not this program.
var othersWords = []string{"final root.json is expired", "timestamp.json is expired"}

var quoted = regexp.MustCompile("`([^`]+)`")

// TestTroubles: what docs/OPERATIONS.md says one may see is a text that the
// programs have, so that an operator who searches for it finds it.
func TestTroubles(t *testing.T) {
	raw, err := os.ReadFile(root + "/docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, troubles, found := strings.Cut(string(raw), "\n## When something is wrong\n")
	if !found {
		t.Fatal("docs/OPERATIONS.md does not say what is wrong when")
	}
	source := programs(t)
	texts := 0
	for line := range strings.Lines(troubles) {
		seen, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !isRow || !strings.HasPrefix(line, "| ") {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(seen, -1) {
			texts++
			if !bytes.Contains(source, []byte(m[1])) && !slices.Contains(othersWords, m[1]) {
				t.Errorf("no program says %q", m[1])
			}
		}
	}
	if texts < 60 {
		t.Errorf("%d texts were found: the tables have another form", texts)
	}
}

// programs is the source of what ships.
func programs(t *testing.T) []byte {
	t.Helper()
	var all bytes.Buffer
	tree := os.DirFS(root)
	for _, folder := range []string{"attest", "cmd", "policy", "signer", "verifier", "internal/obs"} {
		err := fs.WalkDir(tree, folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := fs.ReadFile(tree, path)
			all.Write(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.Bytes()
}
