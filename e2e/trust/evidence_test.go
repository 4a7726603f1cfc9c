// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	policyfiles "github.com/hallmark-dev/hallmark/deploy/policy"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	sbom  = `{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "packages": [{"name": "openssl", "SPDXID": "SPDXRef-1", "versionInfo": "3.0.1"}]}`
	tests = `<testsuites><testsuite name="app"><testcase classname="app" name="starts"/></testsuite></testsuites>`
	vex   = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "anybody", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": [
		{"vulnerability": {"name": "CVE-2026-1"}, "products": [{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:deb/debian/openssl"}]}],
		 "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path"}]}`
	scan = `{"SchemaVersion": 2, "Trivy": {"Version": "0.60.0"}, "CreatedAt": %q, "ArtifactName": "app", "Results": [{"Target": "app", "Class": "os-pkgs", "Vulnerabilities": [
		{"VulnerabilityID": "CVE-2026-1", "PkgName": "openssl", "InstalledVersion": "3.0.1", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.0.1?arch=amd64"}, "Severity": "CRITICAL"}]}]}`
)

// TestRevokedEvidence: a gate that an excuse has opened is closed again when the
// workflow that the excuse was attested for is revoked, and a dry run says so.
func TestRevokedEvidence(t *testing.T) {
	t.Parallel()
	l := lab.Start(t, lab.Options{Policy: policyfiles.Gates, RootKeys: true})
	image := l.PushHallmark(t, "acme/app", "v1")
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		check(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	ask := func(code int, says string, flags ...string) {
		t.Helper()
		// Another run each time, so that nothing is repeated.
		r := l.Hallmark(t, l.Token(t, devissuer.GitHub), append([]string{"sign", image}, flags...)...)
		if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
			t.Fatalf("sign %v: exit code %d, want %d and %q\n%s%s", flags, r.Code, code, says, r.Stdout, r.Stderr)
		}
	}
	ask(1, "not excused", "--sbom", file("sbom", sbom), "--test", file("test", tests), "--scan", file("scan", fmt.Sprintf(scan, time.Now().UTC().Format(time.RFC3339))))
	security := l.Token(t, devissuer.GitHub, "repository=acme/security")
	if r := l.Hallmark(t, security, "attest", image, "--type", "https://openvex.dev/ns/v0.2.0", "--predicate", file("vex", vex)); r.Code != 0 {
		t.Fatalf("attest: %s", r.Stderr)
	}
	ask(0, "signed")

	server(t, l, 0, "revoked", "revoke", "identity", "--reason", "team was phished", "https://github.com/acme/security/*")
	eventually(t, "the service knows", func() bool {
		return l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", image, "--dry-run").Code == 1
	})
	ask(1, "not excused: CVE-2026-1", "--dry-run")
	ask(1, "not excused: CVE-2026-1")
	if r := l.Hallmark(t, security, "sign", image, "--dry-run"); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "team was phished") {
		t.Errorf("dry run of who is revoked: exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
