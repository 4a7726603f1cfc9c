// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPolicyTestManual runs the example of docs/GATES.md with the shipped gates:
// what the manual shows is what comes out.
func TestPolicyTestManual(t *testing.T) {
	manual, err := os.ReadFile("../../docs/GATES.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(manual), "```console\n$ hallmark policy test ")
	block, _, closed := strings.Cut(block, "```")
	_, claims, shown := strings.Cut(string(manual), "```json\n")
	claims, _, _ = strings.Cut(claims, "```")
	if !found || !closed || !shown {
		t.Fatal("the manual has no example")
	}
	command, want, _ := strings.Cut(strings.ReplaceAll(block, "\\\n", ""), "\n")
	gates, err := os.ReadFile("../../deploy/policy/gates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"gates.yaml":       string(gates),
		"claims.json":      claims,
		"sbom.spdx.json":   `{"spdxVersion": "SPDX-2.3", "packages": [{"name": "app"}, {"name": "openssl"}]}`,
		"junit.xml":        `<testsuites><testsuite name="app"><testcase classname="app" name="starts"/></testsuite></testsuites>`,
		"trivy-amd64.json": `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": "2027-01-15T07:00:00Z", "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs"}]}`,
	} {
		if err := os.WriteFile(filepath.Join(".", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	args := append([]string{"policy", "test"}, strings.Fields(strings.ReplaceAll(command, "sha256:…", digest))...)
	code, said := runWith(t.Context(), t, nil, args...)
	out, _, _ := strings.Cut(said, "hallmark: ")                                                          // words for people
	out = regexp.MustCompile("(?m)^(policy\t)sha256:[0-9a-f]{64}$").ReplaceAllString(out, "${1}sha256:…") // the file's
	if got := strings.NewReplacer(digest, "sha256:…", "\t", "  ").Replace(out); code != exitNo || got != want {
		t.Errorf("exit %d\n%s\nthe manual shows\n%s", code, got, want)
	}
}
