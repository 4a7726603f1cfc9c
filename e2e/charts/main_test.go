// SPDX-License-Identifier: Apache-2.0

// Package charts tests Helm charts as their users see them: real programs, a real
// registry, stock Helm and Flux's source-controller with a real Kubernetes API server, and
// stock cosign.
package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

func TestMain(m *testing.M) { lab.Main(m) }

// signingPolicy lets acme/app sign images and charts by certificate and by key;
// charts only if all their images are signed.
const signingPolicy = `apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: images
  identity: github
  actions: [sign]
  kinds: [image, index]
  repositories: [acme/]
  conditions: [{name: own, expression: 'claims.repository == "acme/app"', message: only acme/app}]
- name: charts
  identity: github
  actions: [sign, chart-provenance]
  kinds: [chart]
  repositories: [acme/charts/]
  keys: [release]
  modes: [certificate, key]
  conditions: [{name: own, expression: 'claims.repository == "acme/app"', message: only acme/app}]
  require: {chartImages: {}}
`

// newLab starts a service that makes provenance files. more are members of its
// charts, each with a comma before it.
func newLab(t *testing.T, more ...string) *lab.Lab {
	t.Helper()
	return lab.Start(t, lab.Options{
		Registry: stock.Registry(t).Host, Policy: []byte(signingPolicy), Signing: "keys: [{name: release, signatures: file, attestations: file}]",
		RootKeys: true, Config: `charts: {pgpKey: file, userID: "Acme charts <charts@acme.example>", expires: "2036-12-31"` + strings.Join(more, "") + "}",
	})
}

// helm runs stock Helm.
func helm(t *testing.T, args ...string) stock.Result {
	t.Helper()
	return stock.Command{Tool: "helm"}.Run(t, args...)
}

// packaged copies the chart of the tests, with the registry filled in and with
// changes (OLD, NEW, …) to all of its files, and packages it with stock Helm.
func packaged(t *testing.T, registry string, changes ...string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "app")
	if err := os.CopyFS(source, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}
	replace := strings.NewReplacer(append([]string{"REGISTRY", registry}, changes...)...)
	var files []string
	for _, pattern := range []string{"*", "*/*", "*/*/*", "*/*/*/*"} {
		found, err := filepath.Glob(filepath.Join(source, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a folder
		}
		writeFile(t, file, replace.Replace(string(text)))
	}
	r := helm(t, "package", source, "-d", dir)
	if r.Code != 0 {
		t.Fatalf("helm package: %s", r.Stderr)
	}
	_, path, ok := strings.Cut(strings.TrimSpace(r.Stdout), "saved it to: ")
	if !ok {
		t.Fatalf("helm package says %q", r.Stdout)
	}
	return path
}

// pushResult is what chart push prints as data.
type pushResult struct {
	Chart, Digest string
	Unchanged     bool
	Provenance    signer.ChartReceipt
	Images        signer.Receipt
	Signature     signer.Receipt
}

func push(t *testing.T, l *lab.Lab, token, archive string, flags ...string) pushResult {
	t.Helper()
	r := l.Hallmark(t, token, append([]string{"chart", "push", archive, "oci://" + l.Registry + "/acme/charts", "-o", "json"}, flags...)...)
	return decode[pushResult](t, r)
}

func decode[T any](t *testing.T, r lab.Result) (out T) {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &out); err != nil {
		t.Fatalf("%v: %s", err, r.Stdout)
	}
	return out
}

// want checks how a program ended and what it said.
func want(t *testing.T, what string, code int, stdout, stderr string, wanted int, says ...string) {
	t.Helper()
	if (wanted == 0) != (code == 0) || (wanted > 1 && code != wanted) {
		t.Errorf("%s: exit code %d, want %d\n%s%s", what, code, wanted, stdout, stderr)
		return
	}
	for _, word := range says {
		if !strings.Contains(stdout+stderr, word) {
			t.Errorf("%s: does not say %q:\n%s%s", what, word, stdout, stderr)
		}
	}
}

func wantLab(t *testing.T, what string, r lab.Result, wanted int, says ...string) {
	t.Helper()
	want(t, what, r.Code, r.Stdout, r.Stderr, wanted, says...)
}

func wantStock(t *testing.T, what string, r stock.Result, wanted int, says ...string) {
	t.Helper()
	want(t, what, r.Code, r.Stdout, r.Stderr, wanted, says...)
}

// signImages pushes the images that the chart refers to and has some signed.
func signImages(t *testing.T, l *lab.Lab, token string, signed, unsigned []string) {
	t.Helper()
	for _, name := range append(append([]string{}, signed...), unsigned...) {
		l.PushSmall(t, "acme/"+name, "v1")
	}
	for _, name := range signed {
		wantLab(t, "sign "+name, l.Hallmark(t, token, "sign", fmt.Sprintf("%s/acme/%s:v1", l.Registry, name)), 0)
	}
}

// appToken is that of the CI job that may.
func appToken(t *testing.T, l *lab.Lab) string { t.Helper(); return l.Token(t, devissuer.GitHub) }
