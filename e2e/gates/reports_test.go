// SPDX-License-Identifier: Apache-2.0

package gates

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
)

// reportsPolicy asks for a lint report.
const reportsPolicy = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign, attest]
  kinds: [image, index]
  repositories: [acme/]
  predicateTypes: [https://in-toto.io/attestation/test-result/v0.1]
  conditions:
  - {name: own-repository, expression: claims.repository == "acme/app", message: sign your own repository}
  require:
    reports:
    - {kind: lint, tools: [hadolint]}
    conditions:
    - {name: nothing-grave, expression: 'evidence.lint.findings.all(f, !f.atLeast("high")) && !evidence.lint.embedded', message: mend the Dockerfile}
`

// TestReports: what the refusal says is what the command takes. The report is kept beside its statement.
func TestReports(t *testing.T) {
	l := lab.Start(t, lab.Options{Policy: []byte(reportsPolicy)})
	app := newJob(t, l)
	image := l.PushSmall(t, "acme/app", "v1")
	want(t, "none", app.sign(t, image, "", "", ""), 1, "evidence.lint: none", "--check FILE")
	report := `[{"code": "DL3008", "column": 1, "file": "Dockerfile", "level": "error", "line": 3, "message": "Pin versions"}]`
	want(t, "dry run", app.sign(t, image, "", "", "", "--dry-run", "--check", app.File(t, "grave", report)), 1, "mend the Dockerfile")
	want(t, "grave", app.sign(t, image, "", "", "", "--check", app.File(t, "grave", report)), 1, "mend the Dockerfile")
	want(t, "no check", app.sign(t, image, "", "", "", "--check", app.File(t, "sbom", sbom)), 2, "is a document of kind sbom")
	later := newJob(t, l)
	want(t, "mended", later.sign(t, image, "", "", "", "--check", later.File(t, "good", strings.Replace(report, "error", "info", 1))), 0, "signed\t"+image)
}
