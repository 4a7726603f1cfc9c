// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPolicyTestWords: what `hallmark policy test` says is what would happen, in the words of the file that was handed in.
func TestPolicyTestWords(t *testing.T) {
	const rule = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: IDENTITY
  actions: [sign, attest]
  kinds: [image]
  repositories: [acme/]
  predicateTypes: [https://spdx.dev/Document, https://cosign.sigstore.dev/attestation/vuln/v1]
  conditions: [{name: own, expression: "claims.repository == 'acme/app'", message: m}]
  require:
    scan:
      maxAge: 24h
      vex: [{authorRegexp: "https://github[.]com/acme/.*"}]
    conditions:
    - {name: no-critical, expression: 'evidence.scan.unexcused("critical").size() == 0', message: m}
`
	digest := "sha256:" + strings.Repeat("a", 64)
	wrong := "sha256:" + strings.Repeat("b", 64)
	folder := t.TempDir()
	files := map[string]string{
		"policy.yaml": strings.Replace(rule, "IDENTITY", "github", 1), "githbu.yaml": strings.Replace(rule, "IDENTITY", "githbu", 1),
		"claims.json": `{"iss": "https://token.actions.githubusercontent.com", "repository": "acme/app", "sha": "0000000000000000000000000000000000000000", "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main"}`,
		"grype.json": `{"matches": [], "source": {"type": "image", "target": {"repoDigests": ["registry.corp.example/acme/app@` + wrong + `"]}}, "distro": {"name": "debian"},
			"descriptor": {"name": "grype", "version": "0.90.0", "timestamp": "2027-01-15T07:00:00Z"}}`,
		"old.json": `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": "2027-01-11T07:00:00Z", "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs"}]}`,
		"bad.json": `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": "2027-01-15T07:00:00Z", "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs",
			"Vulnerabilities": [{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "Severity": "CRITICAL"}]}]}`,
		"vex.json": `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "timestamp": "2027-01-15T07:00:00Z", "version": 1,
			"statements": [{"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected", "justification": "component_not_present", "products": [{"@id": "pkg:oci/app"}]}]}`,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	for name, tc := range map[string]struct {
		policy string
		args   []string
		code   int
		has    []string
		hasNot []string
	}{
		"attesting":         {"policy.yaml", []string{"--predicate-type", "spdxjson"}, exitYes, []string{"would be attested\tregistry"}, []string{"would be signed"}},
		"wrong image":       {"policy.yaml", []string{"--scan", "grype.json"}, exitNo, []string{"grype: $.source.target.repoDigests: is about " + wrong, "(hint: scan " + digest}, []string{"$.scanner", "sign with --scan FILE"}},
		"too old":           {"policy.yaml", []string{"--scan", "old.json"}, exitNo, []string{"  does not do\tscan\tby trivy, 4 days 1 h old"}, []string{"  missing"}},
		"missing":           {"policy.yaml", nil, exitNo, []string{"  missing\tscan\tnone (hint: attest a scan of this digest, or sign with --scan FILE)"}, []string{"does not do\tscan"}},
		"VEX not permitted": {"policy.yaml", []string{"--scan", "bad.json", "--vex", "vex.json"}, exitNo, []string{"could not be attested by this job", "is closed", "1 finding: 1 critical"}, []string{"is open", "1 excused"}},
		"assumed":           {"githbu.yaml", []string{"--scan", "bad.json"}, exitNo, []string{"hallmark: identity source assumed: githbu, for a token of github (hint: "}, nil},
		"no assumption":     {"githbu.yaml", []string{"--scan", "bad.json", "--identity", "githbu"}, exitNo, nil, []string{"assumed"}},
	} {
		args := append([]string{"policy", "test", tc.policy, "--token", "claims.json", "--image", "registry.corp.example/acme/app@" + digest, "--now", "2027-01-15T08:00:00Z"}, tc.args...)
		code, said := runWith(t.Context(), t, nil, args...)
		if code != tc.code {
			t.Errorf("%s: exit %d, want %d", name, code, tc.code)
		}
		for _, want := range tc.has {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not in\n%s", name, want, said)
			}
		}
		for _, not := range tc.hasNot {
			if strings.Contains(said, not) {
				t.Errorf("%s: %q is in\n%s", name, not, said)
			}
		}
	}
}
