// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/policy"
)

const testedPolicy = `apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign, attest]
  kinds: [image, index]
  repositories: [acme/]
  predicateTypes:
  - https://cyclonedx.org/bom
  - https://cosign.sigstore.dev/attestation/vuln/v1
  - https://in-toto.io/attestation/test-result/v0.1
  conditions:
  - {name: org, expression: claims.repository_owner_id == "1001", message: not ours}
  require:
    index: platforms
    sbom: true
    scan: {maxAge: 24h}
    reports:
    - {kind: lint}
    tests: true
    provenance: true
    conditions:
    - {name: no-high, expression: 'evidence.scan.unexcused("high").size() == 0', message: update}
`

// TestPolicyTestDocuments: the documents of a sign request, by the same flags,
// are judged as the service would, and each gate says what counts and what does
// not.
func TestPolicyTestDocuments(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("policy.yaml", testedPolicy)
	claims := write("claims.json", `{"iss": "https://token.actions.githubusercontent.com", "repository_owner_id": "1001", "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main"}`)
	sbom := write("sbom.json", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"a"}]}`)
	scan := write("scan.json", `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": "2027-01-15T07:00:00Z", "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs"}]}`)
	bad := write("bad.json", `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": "2027-01-15T07:00:00Z", "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "Severity": "HIGH"}]}]}`)
	tests := write("junit.xml", `<testsuites><testsuite name="app"><testcase classname="app" name="starts"/></testsuite></testsuites>`)
	lint := write("hadolint.json", `[{"code":"DL3008","column":1,"file":"Dockerfile","level":"info","line":3,"message":"pin"}]`)
	vex := write("vex.json", `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://x.example/1","author":"x","timestamp":"2027-01-15T07:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:oci/app"}],"status":"fixed"}]}`)
	const has = "linux/amd64,linux/arm64"
	for what, tc := range map[string]struct {
		args    []string
		code    int
		says    string
		missing []string // kinds that the gate lacks
	}{
		"all of it": {[]string{"--has-platforms", has, "--platform", "all", "--sbom", sbom, "--scan", scan, "--test", tests, "--check", lint}, exitYes, "would be signed", nil},
		"all in a folder, of one platform": {
			[]string{"--has-platforms", has, "--platform", "linux/amd64", "--sbom", sbom, "--scan", scan, "--test", tests, "--check", lint}, exitNo, "would be refused",
			[]string{"sbom", "scan", "lint", "test"},
		},
		"each platform its own": {
			[]string{"--has-platforms", has, "--platform", "all", "--sbom", sbom, "--scan", "linux/amd64=" + scan, "--scan", "linux/arm64=" + scan, "--test", tests, "--evidence", lint},
			exitYes, "about linux/arm64\tcould be attested", nil,
		},
		"one platform is worse": {
			[]string{"--has-platforms", has, "--platform", "all", "--sbom", sbom, "--scan", "linux/amd64=" + scan, "--scan", "linux/arm64=" + bad, "--test", tests, "--check", lint},
			exitNo, "fails\tno-high\t", nil,
		},
		"no scan":              {[]string{"--has-platforms", has, "--platform", "all", "--sbom", sbom, "--test", tests, "--check", lint}, exitNo, "missing\tscan\t", []string{"scan"}},
		"about the index":      {[]string{"--has-platforms", has, "--sbom", sbom, "--scan", scan, "--test", tests, "--check", lint}, exitNo, "would be refused", []string{"sbom", "scan", "lint", "test"}},
		"an image":             {[]string{"--sbom", sbom, "--scan", scan, "--test", tests, "--check", lint}, exitYes, "gate\tacme\tis open", nil},
		"not allowed":          {[]string{"--sbom", sbom, "--scan", scan, "--test", tests, "--check", lint, "--vex", vex}, exitNo, "vex.json: rule \"acme\": predicate-type is", nil},
		"another kind":         {[]string{"--scan", sbom}, exitUsage, "scan", nil},
		"unknown platform":     {[]string{"--has-platforms", has, "--scan", "linux/s390x=" + scan}, exitUsage, "has no such image here", nil},
		"a name of a variant":  {[]string{"--has-platforms", "linux/amd64, linux/arm64/v8", "--sbom", "linux/aarch64=" + sbom, "--sbom", "linux/amd64=" + sbom}, exitNo, "about linux/arm64/v8\tcould be attested", []string{"scan", "lint", "test"}},
		"two of that name":     {[]string{"--has-platforms", "linux/arm64/v9,linux/arm64/v8", "--scan", "linux/arm64=" + scan}, exitUsage, "--scan linux/arm64: two images match, linux/arm64/v8 and linux/arm64/v9; name one", nil},
		"what it has":          {[]string{"--has-platforms", has, "--platform", "linux/riscv64", "--scan", scan}, exitUsage, "--platform linux/riscv64: the index has no such image here (hint: nothing is asked over a network; it has what --has-platforms says: linux/amd64,linux/arm64)", nil},
		"a platform misspelt":  {[]string{"--has-platforms", "linux/amd46"}, exitUsage, `no architecture is called "amd46" (hint: amd64)`, nil},
		"image and platforms":  {[]string{"--kind", "image", "--has-platforms", has}, exitUsage, "--kind image: an image has no platforms", nil},
		"a chart's platforms":  {[]string{"--kind", "chart", "--has-platforms", has}, exitUsage, "--kind chart", nil},
		"no index":             {[]string{"--scan", "linux/amd64=" + scan}, exitUsage, "--scan linux/amd64: the image is no index here", nil},
		"a SAN":                {[]string{"--san", "foo"}, exitUsage, "--san foo: identities are URIs", nil},
		"an author":            {[]string{"--evidence-author", "github.com/acme"}, exitUsage, "--evidence-author github.com/acme: identities are URIs", nil},
		"no name":              {[]string{"--sbom", ""}, exitUsage, "--sbom: no file name (is the variable set?)", nil},
		"a platform's no name": {[]string{"--scan", "linux/amd64="}, exitUsage, "--scan linux/amd64=: no file name (is the variable set?)", nil},
		"half a platform":      {[]string{"--scan", "amd64=" + scan}, exitUsage, "(hint: --scan linux/amd64=FILE)", nil},
		"a colon":              {[]string{"--scan", "linux/amd64:" + scan}, exitUsage, "(hint: --scan linux/amd64=FILE)", nil},
		"a type of nothing":    {[]string{"--sbom", sbom, "--type", "spdx"}, exitUsage, "--type spdx says what the files of --evidence are, and there are none", nil},
		"a type misspelt":      {[]string{"--evidence", lint, "--type", "chek"}, exitUsage, "hallmark: --type: no kind or format of evidence is called \"chek\"", nil},
		"another format":       {[]string{"--evidence", lint, "--type", "dockle"}, exitUsage, "hadolint.json: is hadolint, not dockle", nil},
		"platforms unknown":    {[]string{"--kind", "index", "--platform", "all", "--scan", scan}, exitUsage, "says: --has-platforms linux/amd64,linux/arm64)", nil},
		"an index alone":       {[]string{"--kind", "index", "--scan", scan}, exitNo, "none are known here (hint: --has-platforms linux/amd64,linux/arm64)", []string{"sbom", "scan", "lint", "test"}},
		"no platform":          {[]string{"--has-platforms", "amd64"}, exitUsage, "must be a platform such as", nil},
		"a platform twice":     {[]string{"--has-platforms", "linux/amd64,linux/amd64"}, exitUsage, "twice", nil},
		"auto":                 {[]string{"--sbom", "auto"}, exitUsage, "hallmark sbom IMAGE", nil},
		"a file that is none":  {[]string{"--scan", filepath.Join(dir, "none")}, exitUsage, "none", nil},
		"a claim":              {[]string{"--dependency", "https://x.example/a"}, exitUsage, "want URI@sha256:HEX", nil},
		"type of evidence":     {[]string{"--evidence", lint, "--type", "scan"}, exitUsage, "hadolint", nil},
	} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			args := append([]string{"policy", "test", file, "--token", claims, "--image", "r.example/acme/app@sha256:" + strings.Repeat("a", 64), "--now", "2027-01-15T08:00:00Z"}, tc.args...)
			code, said := runWith(t.Context(), t, nil, args...)
			if code != tc.code || !strings.Contains(said, tc.says) || strings.Contains(said, "bad request") {
				t.Fatalf("exit %d, want %q:\n%s", code, tc.says, said)
			}
			if tc.code == exitUsage {
				return
			}
			var out bytes.Buffer
			run(t.Context(), append(args, "-o", "json"), environment{getenv: func(string) string { return "" }, stdin: strings.NewReader(""), stdout: &out, stderr: &bytes.Buffer{}})
			var answer testedDecision
			if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Allowed != (tc.code == exitYes) || len(answer.Gates) != 1 || answer.Gates[0].Passed != (tc.code == exitYes || what == "not allowed") {
				t.Fatalf("%+v", answer)
			}
			var missing []string
			for _, m := range answer.Gates[0].Missing {
				missing = append(missing, m.Name)
			}
			slices.Sort(missing)
			slices.Sort(tc.missing)
			if !slices.Equal(missing, tc.missing) {
				t.Errorf("missing %q, want %q", missing, tc.missing)
			}
		})
	}
}

// TestGatesOf: checks of several rules are kept apart, and those of claims are no
// part of a gate.
func TestGatesOf(t *testing.T) {
	got := gatesOf([]policy.Check{
		{Rule: "a", Name: "org", Passed: true}, {Rule: "a", Name: "evidence.sbom", Passed: true, Detail: "x"}, {Rule: "a", Name: "evidence.scan"}, {Rule: "a", Name: "no-high"},
		{Rule: "b", Name: "org", Passed: true}, {Rule: "c", Name: "org"}, {Rule: "c", Name: "evidence.test", Passed: true}, {Rule: "c", Name: "ran", Passed: true},
	})
	if len(got) != 2 || got[0].Rule != "a" || got[0].Passed || len(got[0].Counts) != 1 || len(got[0].Missing) != 1 || len(got[0].Conditions) != 1 || got[1].Rule != "c" || !got[1].Passed {
		t.Errorf("%+v", got)
	}
}

// TestCutPlatform: a platform before a file's name, and names of files that only
// look so.
func TestCutPlatform(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("linux", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("linux/amd64=a.json", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string][2]string{
		"a.json": {"", "a.json"}, "linux/arm64=a.json": {"linux/arm64", "a.json"}, "linux/arm/v7=/x/a=b": {"linux/arm/v7", "/x/a=b"}, "all=a": {"all", "a"}, "index=-": {"index", "-"},
		"linux/amd64=a.json": {"", "linux/amd64=a.json"}, "a=b": {"", "a=b"}, "/srv/x=y": {"", "/srv/x=y"}, "./linux/arm64=y": {"", "./linux/arm64=y"},
		"sha256:" + strings.Repeat("a", 64) + "=x": {"sha256:" + strings.Repeat("a", 64), "x"}, "sha256:a=x": {"", "sha256:a=x"}, "linux/arm64=": {"linux/arm64", ""},
		"Linux/x86_64=a": {"Linux/x86_64", "a"}, "linux/x86-64=a": {"linux/x86-64", "a"}, "linux(+x)/amd64=a": {"linux(+x)/amd64", "a"},
	} {
		if platform, path := cutPlatform(value); platform != want[0] || path != want[1] {
			t.Errorf("%s: %q, %q", value, platform, path)
		}
	}
}

// TestOfThisSource: people see the rules that are about their CI; if there is
// none, all.
func TestOfThisSource(t *testing.T) {
	checks := []policy.Check{{Rule: "a", Name: "identity", Passed: true}, {Rule: "a", Name: "org"}, {Rule: "b", Name: "identity"}, {Rule: "b", Name: "action", Passed: true}}
	mine, others := ofThisSource(checks)
	if !slices.Equal(mine, checks[:2]) || !slices.Equal(others, []string{"b"}) {
		t.Errorf("%v, %v", mine, others)
	}
	if mine, others = ofThisSource(checks[2:]); len(mine) != 2 || others != nil {
		t.Errorf("no rule is for it: %v, %v", mine, others)
	}
}

// TestPolicyTestTools: a tool that nobody knows is said.
func TestPolicyTestTools(t *testing.T) {
	dir := t.TempDir()
	file, claims := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "claims.json")
	for path, content := range map[string]string{
		file:   strings.Replace(testedPolicy, "{maxAge: 24h}", "{maxAge: 24h, tools: [trivvy]}", 1),
		claims: `{"iss": "https://token.actions.githubusercontent.com", "repository_owner_id": "1001", "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main"}`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, said := runWith(t.Context(), t, nil, "policy", "test", file, "--token", claims, "--image", "r.example/acme/app@sha256:"+strings.Repeat("a", 64))
	if code != exitNo || !strings.Contains(said, `hallmark: warning: `+file+`: rule "acme" asks for a scan report of "trivvy"`) || !strings.Contains(said, "(hint: trivy?)") {
		t.Errorf("exit %d: %s", code, said)
	}
}
