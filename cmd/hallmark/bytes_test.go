// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestEveryByte: what goes in the JSON of a sign request comes out as the file was, with its last newline.
func TestEveryByte(t *testing.T) {
	const sarif = `{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "a<b>&c"}}, "results": []}]}`
	const junit = `<testsuite name="a" tests="1"><testcase name="b"/></testsuite>`
	for name, content := range map[string]string{
		"no newline": sarif, "a newline": sarif + "\n", "of Windows": sarif + "\r\n", "before": "\n\t" + sarif, "a list": "[" + sarif + "]\n ", "XML": junit + "\n", "XML without": junit,
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f := &evidenceFlags{}
		d := evidenceFile{path: path, name: "f"}
		if name == "a list" {
			d.content = []byte("[]\n")
			d.kind, content = "hadolint", "[]\n"
		}
		body, err := f.body(environment{}, "registry.example/acme/app", []evidenceFile{d})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var sent struct {
			Evidence []struct{ Document json.RawMessage }
		}
		if err := json.Unmarshal(body, &sent); err != nil || len(sent.Evidence) != 1 {
			t.Fatalf("%s: %s, %v", name, body, err)
		}
		got := []byte(sent.Evidence[0].Document)
		if got[0] == '"' { // as the service reads it
			var text string
			if err := json.Unmarshal(got, &text); err != nil {
				t.Fatal(err)
			}
			got = []byte(text)
		}
		if !bytes.Equal(got, []byte(content)) {
			t.Errorf("%s: %q arrives as %q", name, content, got)
		}
	}
	latin := evidenceFile{name: "f", content: []byte("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<testsuite name=\"caf\xe9\" tests=\"1\"><testcase name=\"b\"/></testsuite>")}
	if _, err := attest.ReadDocumentAs("", "f", latin.content); err == nil {
		if _, err := latin.asMember(latin.content); !errors.Is(err, errNoText) {
			t.Errorf("another encoding: %v", err)
		}
	}
}
