// SPDX-License-Identifier: Apache-2.0

// Package gates tests evidence before signing as its users see it: the shipped
// example policy, real programs, stock cosign.
package gates

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

func TestMain(m *testing.M) { lab.Main(m) }

const (
	sbom  = `{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "packages": [{"name": "openssl", "SPDXID": "SPDXRef-1", "versionInfo": "3.0.1"}]}`
	tests = `<testsuites><testsuite name="app"><testcase classname="app" name="starts"/><testcase classname="app" name="stops"/></testsuite></testsuites>`
	vex   = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "anybody", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": [
		{"vulnerability": {"name": "CVE-2026-1"}, "products": [{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/openssl"}]}],
		 "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}]}`
)

// scan is a Trivy report of that age.
func scan(severity string, age time.Duration) string {
	return fmt.Sprintf(`{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": %q, "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.1?arch=amd64"}, "Severity": %q}]}]}`,
		time.Now().Add(-age).UTC().Format(time.RFC3339), severity)
}

// job is a CI job.
type job struct{ *lab.Job }

func newJob(t *testing.T, l *lab.Lab, claims ...string) *job { return &job{l.Job(t, claims...)} }

// sign signs with the documents that have content, and flags.
func (j *job) sign(t *testing.T, image, sbom, scan, tests string, flags ...string) lab.Result {
	t.Helper()
	args := []string{"sign", image}
	for _, d := range [][2]string{{"sbom", sbom}, {"scan", scan}, {"test", tests}} {
		if d[1] != "" {
			args = append(args, "--"+d[0], j.File(t, d[0], d[1]))
		}
	}
	return j.Do(t, append(args, flags...)...)
}

func want(t *testing.T, what string, got lab.Result, code int, says ...string) {
	t.Helper()
	if got.Code != code {
		t.Errorf("%s: exit code %d, want %d\n%s%s", what, got.Code, code, got.Stdout, got.Stderr)
		return
	}
	for _, word := range says {
		if !strings.Contains(got.Stdout+got.Stderr, word) {
			t.Errorf("%s: does not say %q:\n%s%s", what, word, got.Stdout, got.Stderr)
		}
	}
}

// TestGates walks through what a team meets, by the shipped example.
func TestGates(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates})
	app, security := newJob(t, l), newJob(t, l, "repository=acme/security")
	image := l.PushHallmark(t, "acme/app", "v1")
	entries := func() int {
		return strings.Count(l.Hallmark(t, "", "log", "search", image[strings.Index(image, "@")+1:], "-o", "json").Stdout, `"uuid"`)
	}

	// Without evidence: every check is listed, and nothing is written.
	want(t, "no evidence", app.sign(t, image, "", "", ""), 1,
		"evidence.sbom: none (hint: attest an SBOM of this digest, or sign with --sbom FILE)", "evidence.scan: none", "evidence.test: none",
		"passed evidence.provenance: by builder", "failed no-critical: not evaluated")

	// A dry run says what would be, and leaves nothing.
	want(t, "dry run, good", app.sign(t, image, sbom, scan("LOW", 0), tests, "--dry-run"), 0, "would be signed\t"+image, "granted by\tacme-github", "evidence.scan")
	want(t, "dry run, bad", app.sign(t, image, sbom, scan("CRITICAL", 0), tests, "--dry-run"), 1, "would be refused", "not excused: CVE-2026-1 in openssl 3.0.1")
	var explained signer.Explanation
	got := app.sign(t, image, sbom, scan("CRITICAL", 0), tests, "--dry-run", "-o", "json")
	if err := json.Unmarshal([]byte(got.Stdout), &explained); err != nil || explained.Allowed || len(explained.Checks) < 10 {
		t.Errorf("dry run as data: %+v, %v", explained, err)
	}
	if n := entries(); n != 0 {
		t.Errorf("%d log entries after refusals and dry runs", n)
	}

	// A critical finding.
	want(t, "critical", app.sign(t, image, sbom, scan("CRITICAL", 0), tests), 1,
		`condition "no-critical" failed: 1 finding: 1 critical; not excused: CVE-2026-1 in openssl 3.0.1 (critical)`, "passed evidence.sbom: SPDX 2.3 with 1 package")
	// The job's own VEX: it may not even attest one.
	want(t, "own VEX", app.sign(t, image, "", "", "", "--vex", app.File(t, "vex", vex)), 1, "vex: rule", "predicate-type")
	// The security team's VEX, though the file names somebody else as its author.
	want(t, "attest VEX", security.Do(t, "attest", image, "--type", "https://openvex.dev/ns/v0.2.0", "--predicate", security.File(t, "vex", vex)), 0)
	want(t, "excused", app.sign(t, image, "", "", ""), 0, "signed\t"+image)

	// An old scan, however new its attestation.
	old := l.PushSmall(t, "acme/app", "old")
	want(t, "old scan", app.sign(t, old, sbom, scan("LOW", 25*time.Hour), tests), 1, "older than 24h; scan again")
	want(t, "new scan", app.sign(t, old, "", scan("LOW", 0), ""), 0)
	// The newest scan decides: what it finds stops the next signature, by another
	// run, and the clean one before it does not help.
	later := newJob(t, l)
	want(t, "newest scan", later.sign(t, old, "", scan("CRITICAL", 0), ""), 1, "not excused: CVE-2026-1")

	// Evidence about another digest is none.
	other := l.PushSmall(t, "acme/app", "other")
	want(t, "another digest", app.sign(t, other, "", "", ""), 1, "evidence.sbom: none")
	// A scan of nothing, and one that cannot be read.
	want(t, "nothing scanned", app.sign(t, other, sbom, `{"SchemaVersion": 2, "ArtifactName": "app", "CreatedAt": "`+time.Now().UTC().Format(time.RFC3339)+`"}`, tests), 1, "nothing was scanned")
	want(t, "no result", app.sign(t, other, "", `{"invocation": {}, "scanner": {"uri": "trivy"}}`, ""), 2, "$.scanner.result: missing")
	want(t, "not a scan", app.sign(t, other, "", sbom, ""), 2, "is a document of kind sbom")
	want(t, "failed tests", app.sign(t, other, "", scan("LOW", 0), strings.Replace(tests, `"stops"/>`, `"stops"><failure/></testcase>`, 1)), 1, "FAILED, 1 passed, 1 failed")

	stockReads(t, l, image)
	l.Stop(t)
	l.Fsck(t)
}

// stockReads has stock cosign read the evidence, by the attestor's identity,
// and not take any of it for a signature.
func stockReads(t *testing.T, l *lab.Lab, image string) {
	t.Helper()
	attestor := []string{"--trusted-root", l.TrustedRoot(), "--certificate-identity", l.URL + "/attestor", "--certificate-oidc-issuer", l.URL}
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		for kind, holds := range map[string]string{
			"spdxjson": "SPDX-2.3", "vuln": "CVE-2026-1", "https://in-toto.io/attestation/test-result/v0.1": "PASSED",
			"slsaprovenance1": "buildDefinition", "https://openvex.dev/ns/v0.2.0": "vulnerable_code_not_in_execute_path",
		} {
			got := stock.Cosign(t, version, append(append([]string{"verify-attestation"}, attestor...), "--type", kind, image)...)
			if got.Code != 0 {
				t.Errorf("%s does not read %s: %s", version, kind, got.Stderr)
				continue
			}
			var envelope struct{ Payload []byte }
			if err := json.Unmarshal([]byte(strings.SplitN(got.Stdout, "\n", 2)[0]), &envelope); err != nil || !strings.Contains(string(envelope.Payload), holds) {
				t.Errorf("%s: %s holds no %s: %s, %v", version, kind, holds, envelope.Payload, err)
			}
		}
	}
}

// TestPlatforms: evidence about each image of an index, as the policy allows.
func TestPlatforms(t *testing.T) {
	policy := strings.Replace(string(policyfiles.Gates), "index: either", "index: platforms", 1)
	l := lab.Start(t, lab.Options{Policy: []byte(policy)})
	j := newJob(t, l)
	image := l.PushHallmark(t, "acme/app", "v1")
	want(t, "about the index only", j.sign(t, image, sbom, scan("LOW", 0), tests), 1, "platform linux/amd64 sha256:")
	repository, _, _ := strings.Cut(image, "@")
	for _, digest := range platforms(t, image) {
		for kind, document := range map[string]string{"spdxjson": sbom, "https://in-toto.io/attestation/test-result/v0.1": `{"result": "PASSED", "configuration": [], "passedTests": ["a"]}`} {
			want(t, "attest "+kind, j.Do(t, "attest", repository+"@"+digest, "--type", kind, "--predicate", j.File(t, "predicate", document)), 0)
		}
		// A scan comes with a sign request of the platform's image, which has all
		// it needs with it.
		want(t, "sign the platform", j.sign(t, repository+"@"+digest, "", scan("LOW", 0), ""), 0)
	}
	want(t, "about every platform", j.sign(t, image, "", "", ""), 0)
}

// TestPolicyTest decides offline as the service does.
func TestPolicyTest(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates})
	j := newJob(t, l)
	image := l.PushSmall(t, "acme/app", "v1")
	file, token := j.File(t, "policy.yaml", string(policyfiles.Gates)), j.File(t, "token", j.Bearer)
	evidence := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(evidence, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	test := func(flags ...string) lab.Result {
		return l.Hallmark(t, "", append([]string{"policy", "test", file, "--token", token, "--image", image, "--kind", "index"}, flags...)...)
	}
	want(t, "nothing", test(), 1, "the token was not verified", "evidence.sbom: none", "would be refused")
	write("sbom", sbom)
	write("scan", scan("CRITICAL", 0))
	write("tests.xml", tests)
	want(t, "critical", test("--evidence", evidence), 1, "not excused: CVE-2026-1")
	write("scan", scan("LOW", 0))
	want(t, "good", test("--evidence", evidence), 0, "would be signed", "granted by\tacme-github")
	want(t, "next week", test("--evidence", evidence, "--now", time.Now().AddDate(0, 0, 7).UTC().Format(time.RFC3339)), 1, "older than 24h")

	// The service's decision about the same has the same checks, but for what is
	// said of when and where evidence is logged.
	var ours, theirs signer.Explanation
	unmarshal(t, test("--evidence", evidence, "-o", "json").Stdout, &ours)
	unmarshal(t, j.sign(t, image, sbom, scan("LOW", 0), tests, "--dry-run", "-o", "json").Stdout, &theirs)
	if len(ours.Checks) != len(theirs.Checks) || ours.Rule != theirs.Rule || ours.PolicyDigest != theirs.PolicyDigest || ours.Identity != theirs.Identity {
		t.Errorf("offline %+v\nservice %+v", ours, theirs)
	}
	for i := range min(len(ours.Checks), len(theirs.Checks)) {
		if a, b := ours.Checks[i], theirs.Checks[i]; a.Name != b.Name || a.Passed != b.Passed {
			t.Errorf("offline %+v, service %+v", a, b)
		}
	}

	// Bundles are verified, and judged by the time of their log entry.
	receipt := j.sign(t, image, sbom, scan("LOW", 0), tests, "-o", "json")
	want(t, "sign", receipt, 0)
	bundles := t.TempDir()
	for i, b := range attached(t, image) {
		if err := os.WriteFile(filepath.Join(bundles, fmt.Sprint(i)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "bundles", test("--evidence", bundles), 0, "attested for", "log index")
	moved := l.PushSmall(t, "acme/app", "v2")
	image = moved
	want(t, "bundles about another image", test("--evidence", bundles), 1)

	for name, args := range map[string][]string{
		"no image": {"policy", "test", file, "--token", token}, "no digest": {"policy", "test", file, "--token", token, "--image", "r.example/acme/app:1"},
		"no token": {"policy", "test", file, "--image", image}, "no policy": {"policy", "test", token, "--token", token, "--image", image},
		"which": {"policy"}, "two files": {"policy", "test", file, file}, "not claims": {"policy", "test", file, "--token", file, "--image", image},
		"kind": {"policy", "test", file, "--token", token, "--image", image, "--kind", "picture"},
	} {
		want(t, name, l.Hallmark(t, "", args...), 2)
	}
}
