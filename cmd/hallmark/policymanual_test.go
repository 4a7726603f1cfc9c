// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
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
	if !found || !closed {
		t.Fatal("the manual has no example")
	}
	command, want, _ := strings.Cut(strings.ReplaceAll(block, "\\\n", ""), "\n")
	gates, err := os.ReadFile("../../deploy/policy/gates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{
		"gates.yaml": string(gates),
		"claims.json": `{"iss": "https://token.actions.githubusercontent.com", "repository": "acme/app", "repository_owner_id": "1001", "event_name": "push", "ref": "refs/heads/main", "ref_protected": "true",
			"sha": "0000000000000000000000000000000000000000", "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main"}`,
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
	code, said := runWith(t.Context(), t, nil, append(args, "--now", "2027-01-15T08:00:00Z")...)
	out, _, _ := strings.Cut(said, "hallmark: ") // words for people
	var shown []string
	for line := range strings.Lines(strings.ReplaceAll(out, digest, "sha256:…")) {
		if word, _, _ := strings.Cut(line, "\t"); word != "identity" && word != "policy" && word != "passed" && word != "failed" {
			shown = append(shown, line)
		}
	}
	if got := strings.ReplaceAll(strings.Join(shown, ""), "\t", "  "); code != exitNo || got != want {
		t.Errorf("exit %d\n%s\nthe manual shows\n%s", code, got, want)
	}
}
